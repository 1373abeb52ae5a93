"""A saved run resumes bit-exactly, its policy loads in other tools, and what no file can hold is asked for."""

import dataclasses
import json
import os
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from rllab.core.errors import LabError
from rllab.core.files import sha256, write_manifest
from rllab.reward.reward import TextReward
from rllab.trainer import runs
from rllab.trainer.checkpoints import current_version
from rllab.trainer.stages import STAGES, Stages
from rllab.trainer.trainer import Trainer
from rllab.worlds import load_world
from tests.trainer.small_run import same, small_run

GO_ON = """
import sys
from pathlib import Path
from rllab.trainer import runs
for folder in map(Path, sys.argv[1:]):
    trainer = runs.resume(folder)
    runs.record(trainer, folder, 4 - trainer.index)
"""
STOPPED = {"ppo": 1, "rloo": 3, "grpo": 2}  # algorithm -> updates before it is stopped


def test_a_loaded_run_goes_on_bit_for_bit(tmp_path):
    whole = small_run(load_world("micro"), kl_target=0.05, kl_horizon=100)  # the coefficient moves as well
    whole.run(2)
    whole.save(tmp_path)
    loaded = Trainer.load(tmp_path)
    assert same(whole, loaded)
    whole.run(2)
    loaded.run(2)
    assert same(whole, loaded)
    assert whole.kl_coef != whole.config.kl_coef


@pytest.mark.parametrize("lost", ["moments", "kl_coef", "seed", "version"])
def test_what_is_saved_is_needed(lost, tmp_path):
    whole = small_run(kl_target=0.05, kl_horizon=100)
    whole.run(2)
    whole.save(tmp_path)
    lose(current_version(tmp_path), lost)
    loaded = Trainer.load(tmp_path)
    whole.run(1)
    loaded.run(1)
    assert same(whole, loaded) == (lost == "version")  # a version is a count for the eye, the rest is the run


def lose(version, what):
    """Take one thing out of a save, and make its hashes right again."""
    if what == "moments":
        file = version / "optimizer.safetensors"
        save_file({name: torch.zeros_like(one) for name, one in load_file(file).items()}, file)
    else:
        settings = json.loads((version / "run.json").read_text())
        (version / "run.json").write_text(json.dumps(settings | {what: settings[what] * 2 + 1}))
    write_manifest(version)
    pointer = version.parent / "latest.json"
    named = json.loads(pointer.read_text()) | {"manifest": sha256(version / "manifest.json")}
    pointer.write_text(json.dumps(named))


def test_a_new_process_goes_on_to_the_same_bytes(tmp_path):
    for algorithm, stopped in STOPPED.items():
        runs.record(small_run(algorithm=algorithm), tmp_path / algorithm / "whole", 4)
        runs.record(small_run(algorithm=algorithm), tmp_path / algorithm / "parts", stopped)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    folders = [str(tmp_path / algorithm / "parts") for algorithm in STOPPED]
    subprocess.run([sys.executable, "-c", GO_ON, *folders], env=environment, check=True)
    for algorithm in STOPPED:
        whole, parts = tmp_path / algorithm / "whole", tmp_path / algorithm / "parts"
        for name in ("metrics.jsonl", "samples.jsonl", "tokens.jsonl"):
            assert (whole / name).read_bytes() == (parts / name).read_bytes()
        assert same(Trainer.load(whole / "checkpoint"), Trainer.load(parts / "checkpoint"))


def test_the_untouched_policy_is_still_its_reference_after_loading(tmp_path):
    fresh = small_run()
    fresh.save(tmp_path)
    loaded = Trainer.load(tmp_path)
    assert loaded.world.policy.weights is loaded.world.reference.weights
    loaded.run(1)
    assert loaded.history[0].metrics["objective/kl_exact"] == 0.0


@pytest.mark.parametrize("name", ["micro", "micro-tabular"])
def test_transformers_opens_the_policy_with_the_same_logits(name, tmp_path):
    trainer = small_run(load_world(name))
    trainer.run(1)
    trainer.save(tmp_path)
    model = AutoModelForCausalLM.from_pretrained(current_version(tmp_path) / "policy", dtype="auto")
    ids = torch.tensor([[*trainer.world.policy.encode("cat is"), 3, 0]])
    with torch.no_grad():
        assert torch.equal(model(ids).logits, trainer.world.policy.model(ids).logits)


def test_frozen_parts_come_back_too(tmp_path):
    trainer = small_run(load_world("micro"), trainable="head")
    trainer.run(1)
    trainer.save(tmp_path)
    loaded = Trainer.load(tmp_path)
    trainer.run(1)
    loaded.run(1)
    assert same(trainer, loaded)
    saved, kept = loaded.world.policy.model.state_dict(), trainer.world.policy.model.state_dict()
    assert all(torch.equal(saved[key], kept[key]) for key in kept)


def liked(prompt, response, *, ended):
    return {"length": float(len(response.split()))}


def own_reward(world):
    return TextReward("my taste", liked, world.policy.decode, {"length": 1.0})


def test_a_reward_that_is_a_function_is_asked_for(tmp_path):
    world = load_world("micro-tabular")
    trainer = small_run(world.replace(reward=own_reward(world)))
    trainer.run(1)
    trainer.save(tmp_path)
    with pytest.raises(LabError, match=r"my taste.*Python function.*reward="):
        Trainer.load(tmp_path)
    other = dataclasses.replace(own_reward(world), name="other")
    with pytest.raises(LabError, match="hand that one over"):
        Trainer.load(tmp_path, reward=other)
    loaded = Trainer.load(tmp_path, reward=own_reward(world))
    trainer.run(1)
    loaded.run(1)
    assert same(trainer, loaded)


def test_the_labs_own_judge_needs_no_handing_over(tmp_path):
    world = load_world("micro-tabular")
    small_run(world.replace(reward=world.gold)).save(tmp_path)
    assert Trainer.load(tmp_path).world.reward.name == world.gold.name


def test_replaced_stages_are_asked_for(tmp_path):
    def paid_twice(context, rows):
        scores = STAGES.score(context, rows)
        return dataclasses.replace(scores, total=2 * scores.total, per_token=2 * scores.per_token)

    world = load_world("micro-tabular")
    trainer = Trainer(world, "ppo", small_run(world).config, stages=Stages(score=paid_twice))
    trainer.save(tmp_path)
    with pytest.raises(LabError, match=r"score.*stages="):
        Trainer.load(tmp_path)
    assert Trainer.load(tmp_path, stages=Stages(score=paid_twice)).stages.replaced == ("score",)


def test_a_loaded_run_says_how_far_back_it_can_go(tmp_path):
    trainer = small_run()
    trainer.run(2)
    trainer.save(tmp_path)
    loaded = Trainer.load(tmp_path)
    loaded.run(1)
    with pytest.raises(LabError, match="loaded after update 2"):
        loaded.rewind(1)
    loaded.rewind(2)
    assert loaded.index == 2


def test_saving_in_the_middle_of_an_update_is_refused(tmp_path):
    trainer = small_run()
    phases = trainer.phases()
    next(phases)
    with pytest.raises(LabError, match="under way"):
        trainer.save(tmp_path)
    phases.close()
    trainer.save(tmp_path)


def test_a_model_that_wants_to_bring_code_is_refused(tmp_path):
    small_run().save(tmp_path)
    version = current_version(tmp_path)
    config = version / "policy" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"auto_map": {"AutoModelForCausalLM": "evil.Model"}}))
    write_manifest(version)
    with pytest.raises(LabError, match="auto_map"):
        Trainer.load(version)
