"""The real model, where it was fetched: it loads whole, writes what transformers would, and learns by the same loop."""

import os
from pathlib import Path

import psutil
import pytest
import torch

from rllab.policy.generation import generate
from rllab.trainer.trainer import Trainer
from rllab.value.evaluation import evaluate
from rllab.worlds import World, load_world
from rllab.worlds.machine import model_folder
from rllab.worlds.shipped import FETCH, prompts_of
from tests.conftest import USERS_HOME


@pytest.fixture(scope="module")
def world() -> World:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RLLAB_HOME", USERS_HOME)
        if not model_folder("smollm2").is_dir():
            pytest.skip(f"SmolLM2 is not on this machine: {FETCH}")
        return load_world("smollm2", device="cpu")


def test_it_is_the_model_that_was_pinned(world: World) -> None:
    model = world.policy.model
    assert sum(parameter.numel() for parameter in model.parameters()) == 134_515_008
    assert all(parameter.dtype == torch.float32 for parameter in model.parameters())
    assert world.policy.context == 8192
    assert world.policy.token_text(world.policy.eos_id) == "<|im_end|>"


def test_a_prompt_takes_the_form_of_a_chat(world: World) -> None:
    text = world.policy.tokenizer.decode(world.policy.encode("How is the soup?"))
    assert text.startswith("<|im_start|>system\n")
    assert text.endswith("<|im_start|>user\nHow is the soup?<|im_end|>\n<|im_start|>assistant\n")
    assert text.count("<|im_start|>") == 3


def test_it_knows_what_a_language_model_knows(world: World) -> None:
    ids = world.policy.encode("What is the capital of France?")
    with torch.no_grad():
        written = world.policy.model.generate(
            torch.tensor([ids]), attention_mask=torch.ones(1, len(ids)), do_sample=False, max_new_tokens=12
        )[0, len(ids) :]
    assert "Paris" in world.policy.decode(written.tolist())
    assert "".join(world.policy.token_texts(written.tolist())) == world.policy.decode(written.tolist())


def test_one_update_on_two_prompts_moves_the_policy_and_nothing_else(world: World) -> None:
    config = world.config("ppo", batch_size=2, max_new_tokens=6, epochs=1, lr=1e-4)
    trainer = Trainer(world, "ppo", config, seed=0)
    rows = generate(world.policy, prompts_of("smollm2", "held-out")[:2], max_new_tokens=6, seed=0)
    before = evaluate(world.policy, rows, reference=world.reference)
    metrics = trainer.update()
    assert metrics["val/ratio_first"] == pytest.approx(1.0, abs=1e-5)
    assert torch.equal(evaluate(world.policy, rows, reference=world.reference).logprobs, before.logprobs)
    after = evaluate(trainer.world.policy, rows, reference=world.reference)
    assert torch.equal(after.ref_logprobs, before.logprobs)
    assert not torch.equal(after.logprobs, before.logprobs)


def test_it_stays_within_three_gib(world: World) -> None:
    assert psutil.Process(os.getpid()).memory_info().rss < 3 * 2**30
    assert Path(USERS_HOME).is_dir()


def test_prompts_for_training_and_measuring_are_apart() -> None:
    train, held_out = (prompts_of("smollm2", split) for split in ("train", "held-out"))
    assert len(set(train) | set(held_out)) == len(train) + len(held_out)
    assert len(held_out) == 16
