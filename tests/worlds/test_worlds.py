"""The worlds: loaded as they were built, threads and listeners as they should be, parts that follow each other."""

import dataclasses
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from rllab.core.errors import LabError
from rllab.core.files import data_dir, write_manifest
from rllab.maths.algorithms import ALGORITHMS
from rllab.policy.generation import generate, sequences_from_ids
from rllab.value.critic import ZeroCritic
from rllab.value.evaluation import evaluate
from rllab.worlds import load_world
from rllab.worlds.machine import usable_cores, usable_threads
from tests.small import gpt2_policy, same_weights, small_world, state_of, text_reward

THREADS = """
import torch
before = torch.get_num_threads()
import rllab, rllab.trainer.trainer, rllab.worlds.stepper
rllab.load_world
assert torch.get_num_threads() == before, "an import has set the threads"
rllab.load_world("micro")
from rllab.worlds.machine import usable_threads
assert torch.get_num_threads() == usable_threads(), "the first world has not set the threads"
torch.set_num_threads(before + 1)
rllab.load_world("micro")
assert torch.get_num_threads() == before + 1, "the second world has set them again"
"""


SOCKETS = Path("/proc/net/tcp")


def listeners():
    """Return the sockets of this process that wait for somebody to connect."""
    waiting = {line.split()[9] for line in SOCKETS.read_text("ascii").splitlines()[1:] if line.split()[3] == "0A"}
    opened = {str(path.readlink()) for path in Path("/proc/self/fd").iterdir() if path.is_symlink()}
    return opened & {f"socket:[{inode}]" for inode in waiting}


@pytest.mark.parametrize("name", ["micro", "micro-tabular"])
def test_a_world_is_whole(name, request):
    world = request.getfixturevalue(name.removeprefix("micro-"))
    assert world.name == name
    assert world.policy.dtype == world.reference.dtype == torch.float64
    assert world.policy.vocabulary == 8
    assert not any(parameter.requires_grad for parameter in world.reference.model.parameters())
    rows = generate(world.policy, world.prompts, max_new_tokens=world.max_new_tokens, samples_per_prompt=8, seed=0)
    rollout = evaluate(world.policy, rows, reference=world.reference, critic=world.critic)
    assert (rollout.exact_kl == 0.0).all()
    gold = world.gold.score(rows).total
    assert gold.abs().max() <= 1.5
    assert torch.isfinite(world.reward.score(rows).total).all()
    for line in (name, "parameters", world.reward.name, world.objective.describe(), repr(world.prompts[0])):
        assert line in world.describe()


def test_the_table_is_the_transformers_policy(micro, tabular):
    rows = generate(micro.policy, micro.prompts, max_new_tokens=5, samples_per_prompt=200, seed=0)
    one, other = (evaluate(world.policy, rows).logprobs for world in (micro, tabular))
    assert torch.allclose(one, other, atol=1e-9)


def test_one_negation_turns_the_gold_of_what_follows(micro):
    def gold(text):
        ids = micro.policy.encode_response(text)
        return float(micro.gold.score(sequences_from_ids(micro.policy, ["cat is"], [ids])).total[0])

    assert gold("happy") > gold("sad")
    assert gold("not happy") < gold("not sad")
    assert gold("very happy") > gold("happy") > 0 > gold("sad") > gold("very sad")


def test_loading_twice_gives_two_worlds_of_the_same_weights(micro, untouched_chance):
    again = load_world("micro")
    assert again.policy is not micro.policy
    for part in ("policy", "reference", "critic", "reward"):
        assert same_weights(state_of(getattr(again, part).model), state_of(getattr(micro, part).model)), part


@pytest.mark.parametrize("typo", ["mikro", "micro tabular", "Tales", "smolm2", ""])
def test_a_world_with_a_typo_is_met_with_the_nearest(typo):
    with pytest.raises(LabError, match="it is not a folder or a hub id either; choose one of micro, ") as caught:
        load_world(typo)
    assert caught.value.value == typo
    if typo == "mikro":
        assert "did you mean micro" in str(caught.value)


def test_a_device_that_is_not_there_is_refused():
    with pytest.raises(LabError, match=r"device is 'tpu': this machine does not have it; choose one of auto, .*cpu"):
        load_world("micro", device="tpu")


# Parts


def test_an_unknown_part_is_met_with_the_nearest():
    with pytest.raises(LabError, match=r"part of a world is 'rewards'.*did you mean reward"):
        small_world().replace(rewards=None)


def test_the_objective_follows_a_new_reward_and_a_new_reference():
    world = small_world()
    other = text_reward(world.policy, name="other", words=1.0)
    reference = gpt2_policy(seed=5)
    changed = world.replace(reward=other, reference=reference)
    assert changed.objective.reward is other
    assert changed.objective.reference is reference
    assert world.objective.reward is world.reward
    assert world.replace(critic=ZeroCritic()).objective is world.objective
    fixed = dataclasses.replace(world.objective, gamma=0.5)
    assert world.replace(reward=other, objective=fixed).objective is fixed


@pytest.mark.parametrize("name", ALGORITHMS)
def test_a_world_has_settings_for_every_algorithm(name, micro, tabular):
    for world in (micro, tabular):
        config = world.config(name)
        assert config.max_new_tokens == world.max_new_tokens == 5
        assert config.reducer == "seq-mean-token-sum"
        assert world.config(name, lr=0.5).lr == 0.5
    with pytest.raises(LabError, match="setting is 'lrr': did you mean lr"):
        micro.config(name, lrr=0.5)


@pytest.mark.parametrize(("folder", "lost"), [("critic", "score.weight"), ("policy", "transformer.wpe.weight")])
def test_weights_that_a_file_lacks_are_not_made_up(folder, lost, tmp_path, monkeypatch, untouched_chance):
    shutil.copytree(data_dir() / "micro", tmp_path / "micro")
    models = shutil.copytree(data_dir() / "models" / "micro", tmp_path / "models" / "micro")
    tensors = load_file(models / folder / "model.safetensors")
    lacking = {name: tensor for name, tensor in tensors.items() if name != lost}
    save_file(lacking, models / folder / "model.safetensors", metadata={"format": "pt"})
    write_manifest(models)  # so that only the loading itself can notice
    monkeypatch.setenv("RLLAB_DATA", str(tmp_path))
    with pytest.raises(LabError, match=f"lack 1 tensors, such as {lost}"):
        load_world("micro")


def test_a_damaged_weight_file_is_a_sentence(tmp_path, monkeypatch):
    shutil.copytree(data_dir() / "micro", tmp_path / "micro")
    models = shutil.copytree(data_dir() / "models" / "micro", tmp_path / "models" / "micro")
    (models / "policy" / "model.safetensors").write_bytes(b"no weights at all")
    write_manifest(models)
    monkeypatch.setenv("RLLAB_DATA", str(tmp_path))
    with pytest.raises(LabError, match="cannot be read"):
        load_world("micro")


def test_want_of_memory_is_not_called_a_damaged_file(monkeypatch):
    def full(*_args, **_settings):
        raise RuntimeError("unable to mmap 1732960 bytes: Cannot allocate memory (12)")

    monkeypatch.setattr(AutoModelForCausalLM, "from_pretrained", full)
    with pytest.raises(LabError, match=r"Cannot allocate memory \(12\)\); close other notebooks first"):
        load_world("micro")


def test_loading_writes_nothing_into_the_notebook(capfd):
    load_world("micro")
    assert capfd.readouterr() == ("", "")


# The machine


def test_threads_are_set_at_the_first_world_and_never_at_an_import():
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    done = subprocess.run([sys.executable, "-c", THREADS], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


def test_threads_leave_a_core_free_and_are_one_on_a_hub(monkeypatch):
    for cores, threads in ((1, 1), (2, 1), (3, 2), (4, 3), (16, 4)):
        monkeypatch.setattr("rllab.worlds.machine.usable_cores", lambda cores=cores: cores)
        assert usable_threads() == threads
    monkeypatch.setenv("JUPYTERHUB_USER", "ada")
    assert usable_threads() == 1


def test_a_container_may_use_no_more_cores_than_its_quota(monkeypatch):
    monkeypatch.setattr("rllab.worlds.machine._quota", lambda: 1.5)
    assert usable_cores() == min(2, len(os.sched_getaffinity(0)))
    monkeypatch.setattr("rllab.worlds.machine._quota", lambda: 0.2)
    assert usable_cores() == 1


@pytest.mark.skipif(not SOCKETS.exists(), reason="needs Linux's list of sockets")
def test_nothing_listens_after_a_world_has_been_used():
    with socket.socket() as own:
        before = listeners()
        own.bind(("127.0.0.1", 0))
        own.listen()
        assert len(listeners() - before) == 1  # the test would see one
    before = listeners()
    world = load_world("micro")
    generate(world.policy, world.prompts, max_new_tokens=2, seed=0)
    assert listeners() == before
