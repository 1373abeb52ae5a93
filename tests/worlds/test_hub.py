"""Any language model's folder is a world; one that could run code, or is not whole, is refused in a sentence."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from rllab.core.errors import LabError
from rllab.policy.generation import generate
from rllab.trainer.trainer import Trainer
from rllab.value.critic import ZeroCritic
from rllab.value.evaluation import evaluate
from rllab.worlds import load_world
from rllab.worlds.machine import model_folder

SMALL = {"batch_size": 4, "micro_batch_size": 2, "max_new_tokens": 6, "lr": 1e-2}


def change_json(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | changes), "utf-8")


def test_a_folder_is_a_world_that_writes_and_is_evaluated(saved: Path) -> None:
    world = load_world(str(saved), device="cpu")
    assert world.gold is None
    assert isinstance(world.critic, ZeroCritic)
    rows = generate(world.policy, world.prompts[:3], max_new_tokens=8, samples_per_prompt=2, seed=0)
    rollout = evaluate(world.policy, rows, reference=world.reference, critic=world.critic)
    assert len(rows) == 6
    assert torch.isfinite(rollout.logprobs).all()
    assert (rollout.exact_kl == 0).all()
    assert set(world.reward.score(rows).parts) == {"mood", "repetition", "ending"}


def test_prompts_go_through_the_chat_template_with_one_start_of_each_turn(saved: Path) -> None:
    policy = load_world(str(saved), device="cpu").policy
    ids = policy.encode("How is the soup?")
    text = policy.tokenizer.decode(ids)
    assert text == "<|im_start|>user\nHow is the soup?<|im_end|>\n<|im_start|>assistant\n"
    assert policy.eos_id not in policy.encode_response("good")[:-1]
    assert policy.encode_response("good")[-1] == policy.eos_id


def test_sampling_ignores_what_a_model_asks_for_in_its_generation_config(tiny: Path) -> None:
    plain = generate(load_world(str(tiny), device="cpu").policy, ["Hello"], max_new_tokens=20, seed=1)
    (tiny / "generation_config.json").write_text(json.dumps({"do_sample": True, "top_k": 1, "temperature": 0.01}))
    assert generate(load_world(str(tiny), device="cpu").policy, ["Hello"], max_new_tokens=20, seed=1).responses == (
        plain.responses
    )


@pytest.mark.parametrize("algorithm", ["ppo", "rloo"])
def test_an_update_moves_the_last_blocks_alone(saved: Path, algorithm: str) -> None:
    world = load_world(str(saved), device="cpu")
    before = {name: one.clone() for name, one in world.policy.model.named_parameters()}
    trainer = Trainer(world, algorithm, world.config(algorithm, **SMALL), seed=0)
    metrics = trainer.update()
    assert metrics["val/ratio_first"] == pytest.approx(1.0, abs=1e-5)
    after = dict(trainer.world.policy.model.named_parameters())
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert {name.split(".")[2] for name in moved if "layers" in name} == {"9", "10", "11"}
    assert not any("embed" in name for name in moved)
    for other in (world.policy, world.reference):
        assert all(torch.equal(before[name], one) for name, one in other.model.named_parameters())


def test_what_is_frozen_is_shared_and_what_is_trained_is_not(saved: Path) -> None:
    world = load_world(str(saved), device="cpu")
    trainer = Trainer(world, "ppo", world.config("ppo", **SMALL), seed=0)
    theirs = dict(world.reference.model.named_parameters())
    for name, one in trainer.world.policy.model.named_parameters():
        assert (one.data_ptr() == theirs[name].data_ptr()) != one.requires_grad, name


def test_training_all_of_a_model_leaves_the_reference_alone(saved: Path) -> None:
    world = load_world(str(saved), device="cpu")
    before = {name: one.clone() for name, one in world.reference.model.named_parameters()}
    trainer = Trainer(world, "ppo", world.config("ppo", trainable="all", **SMALL), seed=0)
    twin = trainer.fork()
    trainer.run(2)
    assert all(torch.equal(before[name], one) for name, one in world.reference.model.named_parameters())
    assert all(torch.equal(before[name], one) for name, one in twin.world.policy.model.named_parameters())
    assert not torch.equal(
        before["model.embed_tokens.weight"], trainer.world.policy.model.get_input_embeddings().weight
    )


def test_a_stopped_or_rewound_run_is_where_it_was(saved: Path) -> None:
    world = load_world(str(saved), device="cpu")
    trainer = Trainer(world, "ppo", world.config("ppo", **SMALL), seed=0)
    trainer.run(3)
    third = [parameter.clone() for parameter in trainer.world.policy.model.parameters()]
    trainer.rewind(1)
    trainer.run(2)
    assert all(torch.equal(one, two) for one, two in zip(third, trainer.world.policy.model.parameters(), strict=True))


# ---- refused in a sentence ------------------------------------------------------------------------


def with_code(folder: Path) -> None:
    change_json(folder / "config.json", auto_map={"AutoModelForCausalLM": "modeling.Evil"})


def with_code_in_the_tokenizer(folder: Path) -> None:
    change_json(folder / "tokenizer_config.json", auto_map={"AutoTokenizer": ["tokenization.Evil", None]})


def with_a_fetched_kernel(folder: Path) -> None:
    change_json(folder / "config.json", _attn_implementation="somebody/kernel")


def pickled(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x04cos\nsystem\n(S'touch ran'\ntR.")


def without_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()


def without_settings(folder: Path) -> None:
    (folder / "config.json").unlink()


def half_written_settings(folder: Path) -> None:
    (folder / "config.json").write_text('{"model_type": "lla')


def settings_that_are_a_list(folder: Path) -> None:
    (folder / "config.json").write_text("[]")


def of_unknown_kind(folder: Path) -> None:
    change_json(folder / "config.json", model_type="lama")


def cut_short(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])


def of_noise(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(bytes(range(256)) * 8)


def of_another_shape(folder: Path) -> None:
    change_json(folder / "config.json", intermediate_size=48)


def with_more_blocks_than_weights(folder: Path) -> None:
    change_json(folder / "config.json", num_hidden_layers=13)


def without_a_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()


def broken_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").write_text('{"version": "1.0", "model": {"type": "Evil"}}')


def without_an_end(folder: Path) -> None:
    settings = json.loads((folder / "tokenizer_config.json").read_text("utf-8"))
    del settings["eos_token"]
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))


def with_a_broken_template(folder: Path) -> None:
    (folder / "chat_template.jinja").write_text("{{ messages[0].nothing.here }}")


def with_a_template_that_reaches_out(folder: Path) -> None:
    (folder / "chat_template.jinja").write_text(
        "{{ ''.__class__.__mro__[1].__subclasses__()[0].__init__.__globals__['os'].system('touch ran') }}"
    )


DAMAGES: dict[Callable[[Path], None], str] = {
    with_code: "auto_map",
    with_code_in_the_tokenizer: "auto_map",
    with_a_fetched_kernel: "would fetch code",
    pickled: "pickled",
    without_weights: "no weights",
    without_settings: "no config.json",
    half_written_settings: "cannot be read",
    settings_that_are_a_list: "one JSON object",
    of_unknown_kind: "llama",
    cut_short: "cannot be read",
    of_noise: "cannot be read",
    of_another_shape: "cannot be read",
    with_more_blocks_than_weights: "lack",
    without_a_tokenizer: "cannot be read",
    broken_tokenizer: "cannot be read",
    without_an_end: "end token",
    with_a_broken_template: "chat template",
    with_a_template_that_reaches_out: "chat template",
}


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_a_folder_that_is_damaged_or_brings_code_is_refused(
    damage: Callable[[Path], None], tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tiny)
    damage(tiny)
    with pytest.raises(LabError) as caught:
        load_world(str(tiny), device="cpu")
    assert DAMAGES[damage] in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tiny / "ran").exists()


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("somebody/model", "python -m rllab fetch somebody/model"),
        ("somebody--model", "python -m rllab fetch"),
        ("/no/such/folder", "no such folder"),
        ("./nothing", "no such folder"),
        ("smolm2", "smollm2"),
        ("smollm2", "python -m rllab fetch smollm2"),
    ],
)
def test_a_name_without_a_model_gets_a_remedy(name: str, told: str, home: Path) -> None:
    with pytest.raises(LabError, match=told):
        load_world(name, device="cpu")


def test_a_fetched_hub_model_is_found_by_its_id(saved: Path, home: Path) -> None:
    from rllab.core.files import write_manifest

    write_manifest(Path(shutil.copytree(saved, model_folder("somebody/model"))))
    assert load_world("somebody/model", device="cpu").name == "somebody/model"


def test_too_little_memory_is_told_before_the_model_is_read(fetched: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEM_LIMIT", str(2**30))
    with pytest.raises(LabError, match=r"free memory is '0\.\d GiB': smollm2 needs about 1\.5 GiB"):
        load_world("smollm2", device="cpu")
    monkeypatch.delenv("MEM_LIMIT")
    assert load_world("smollm2", device="cpu").name == "smollm2"


def test_loading_draws_no_bar(saved: Path, capfd: pytest.CaptureFixture[str]) -> None:
    load_world(str(saved), device="cpu")
    assert capfd.readouterr().err == ""
