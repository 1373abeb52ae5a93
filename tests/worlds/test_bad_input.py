"""Bad input: each a sentence with field, value and remedy, and everything as it was before."""

import math

import pytest

from rllab.core.config import Config
from rllab.core.errors import LabError
from rllab.core.records import Sequences
from rllab.maths.losses import reduce
from rllab.policy.generation import generate, sequences_from_ids
from rllab.trainer.trainer import Trainer
from rllab.value.evaluation import evaluate
from rllab.worlds import load_world
from rllab.worlds.stepper import Stepper
from tests.small import run_state, same_weights, text_reward


class Bench:
    """What a learner has open: a world, a run after one update and a line of two tokens."""

    def __init__(self, world):
        self.world = world
        self.trainer = Trainer(world, config=world.config(batch_size=8, micro_batch_size=8, epochs=1), seed=1)
        self.trainer.update()
        self.stepper = Stepper(world, seed=1)
        self.stepper.step()
        self.stepper.step()

    def generate(self, prompts=("cat is",), **settings):
        return generate(self.world.policy, list(prompts), **({"max_new_tokens": 3, "seed": 0} | settings))

    def judged(self, judge):
        """Start a run on a reward function of the learner's own."""
        reward = text_reward(self.world.policy, judge, name="mine", one=1.0)
        Trainer(self.world.replace(reward=reward), config=self.trainer.config).update()

    def state(self):
        line = self.stepper.prompt, self.stepper.prefix_ids, self.stepper.state.value, self.stepper.state.t
        run = len(self.trainer.history), self.trainer.config, self.trainer.kl_coef, self.trainer.seed
        return line, run, self.trainer.world.policy.version, self.world.policy.version


@pytest.fixture(scope="module")
def bench(micro):
    return Bench(micro)


def raises(prompt, response, *, ended):
    raise RuntimeError("no such table")


# what is done -> the field, what the sentence has to show of the value, what it has to say as a remedy
CASES = {
    "empty prompt": (lambda b: b.generate([""]), "prompt", "empty", "write at least one word"),
    "blank prompt": (lambda b: b.stepper.reset("   "), "prompt", "'   '", "write at least one word"),
    "unknown word": (lambda b: b.generate(["cat is hapy"]), "prompt", "hapy", "happy"),
    "unknown word in a line": (lambda b: b.stepper.reset("dgo is"), "prompt", "dgo", "dog"),
    "a special word": (lambda b: b.generate(["cat <eos>"]), "prompt", "<eos>", "no word"),
    "long prompt": (
        lambda b: b.stepper.reset("cat " * 9),
        "prompt",
        "cat cat",
        "9 tokens and the model reads at most 8",
    ),
    "no room": (lambda b: b.generate(max_new_tokens=7), "max_new_tokens", "7", "at most 6"),
    "no prompts": (lambda b: b.generate([]), "prompts", "[]", "at least one"),
    "token that does not exist": (lambda b: b.stepper.step(8), "token id", "8", "0 to 7"),
    "token before the first": (lambda b: b.stepper.step(-1), "token id", "-1", "0 to 7"),
    "state that was not reached": (lambda b: b.stepper.state_at(9), "state", "9", "0 to 2"),
    "temperature 0": (lambda b: b.generate(temperature=0.0), "temperature", "0.0", "top-k 1"),
    "negative temperature": (lambda b: b.stepper.set_sampling(temperature=-1.0), "temperature", "-1.0", "above 0"),
    "temperature nan": (lambda b: b.generate(temperature=math.nan), "temperature", "nan", "finite"),
    "temperature of a run": (lambda b: b.trainer.configure(temperature=0.0), "temperature", "0.0", "above 0"),
    "temperature as a word": (lambda b: b.generate(temperature="warm"), "temperature", "'warm'", "number"),
    "top_p 0": (lambda b: b.stepper.set_sampling(top_p=0.0), "top_p", "0.0", "at most 1"),
    "no tokens": (lambda b: b.generate(max_new_tokens=0), "max_new_tokens", "0", "at least 1"),
    "half a token": (lambda b: b.generate(max_new_tokens=2.5), "max_new_tokens", "2.5", "whole number"),
    "no samples": (lambda b: b.generate(samples_per_prompt=0), "samples_per_prompt", "0", "at least 1"),
    "batch of 0": (lambda b: b.trainer.configure(batch_size=0), "batch_size", "0", "at least 1"),
    "learning rate nan": (lambda b: b.trainer.configure(lr=math.nan), "lr", "nan", "finite"),
    "negative learning rate": (lambda b: Config(lr=-1.0), "lr", "-1.0", "of at least 0"),
    "learning rate as a word": (lambda b: b.world.config(lr="fast"), "lr", "'fast'", "finite number"),
    "a field that is not read": (lambda b: b.world.config("grpo", lam=0.5), "lam", "0.5", "GRPO does not read it"),
    "a field that is none": (lambda b: b.trainer.configure(lamda=1.0), "setting", "'lamda'", "lam"),
    "a field that is fixed": (lambda b: b.trainer.configure(trainable="head"), "trainable", "'head'", "new Trainer"),
    "an algorithm that is none": (lambda b: Trainer(b.world, "ppo2"), "algorithm", "'ppo2'", "ppo"),
    "a word for an algorithm": (lambda b: b.world.config("grop"), "algorithm", "'grop'", "grpo"),
    "a reducer that is none": (lambda b: b.world.config(reducer="mean"), "reducer", "'mean'", "token-mean"),
    "groups that do not fill": (
        lambda b: b.world.config("grpo", samples_per_prompt=7),
        "batch_size",
        "64",
        "multiple of samples_per_prompt",
    ),
    "no updates": (lambda b: b.trainer.run(0), "updates", "0", "at least 1"),
    "half an update": (lambda b: b.trainer.run(1.5), "updates", "1.5", "whole number"),
    "rewind to the future": (lambda b: b.trainer.rewind(2), "update", "2", "choose 0 to 1"),
    "rewind before the start": (lambda b: b.trainer.rewind(-1), "update", "-1", "choose 0 to 1"),
    "a reward that raises": (lambda b: b.judged(raises), "reward", "'mine'", "RuntimeError (no such table)"),
    "a reward of nan": (
        lambda b: b.judged(lambda prompt, response, *, ended: {"one": math.nan}),
        "reward",
        "'mine'",
        "return finite numbers",
    ),
    "a reward without its part": (
        lambda b: b.judged(lambda prompt, response, *, ended: {}),
        "reward",
        "'mine'",
        "fix the function",
    ),
    "a world with a typo": (lambda b: load_world("micrp"), "world", "'micrp'", "micro"),
    "a world of nothing": (lambda b: load_world(""), "world", "empty", "choose one of micro, "),
    "a folder that is none": (
        lambda b: load_world("./no/such/folder"),
        "model folder",
        "no/such/folder",
        "no such folder",
    ),
    "a hub id that was not fetched": (
        lambda b: load_world("nobody/nothing"),
        "model",
        "'nobody/nothing'",
        "rllab fetch",
    ),
    "a part that is none": (lambda b: b.world.replace(polices=1), "part of a world", "'polices'", "policy"),
    "a device that is not there": (lambda b: load_world("micro", device="gpu"), "device", "'gpu'", "cpu"),
    "no pass size": (
        lambda b: evaluate(b.world.policy, b.generate(), micro_batch_size=0),
        "micro_batch_size",
        "0",
        "at least 1",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_bad_input_is_a_sentence_and_the_state_before_stays(case, bench):
    act, field, value, remedy = CASES[case]
    before, weights = bench.state(), run_state(bench.trainer)
    with pytest.raises(LabError) as caught:
        act(bench)
    sentence = str(caught.value)
    assert caught.value.field == field
    assert sentence.startswith(f"{field} is ")
    assert value in sentence
    assert remedy in sentence
    assert "\n" not in sentence
    assert bench.state() == before
    assert same_weights(weights, run_state(bench.trainer))


def test_after_all_that_run_and_line_go_on_as_if_nothing_had_been(bench, micro):
    fresh = Bench(micro)
    fresh.trainer.update()
    bench.trainer.update()
    assert same_weights(run_state(fresh.trainer), run_state(bench.trainer))
    fresh.stepper.finish()
    bench.stepper.finish()
    assert fresh.stepper.prefix_ids == bench.stepper.prefix_ids


def test_records_refuse_parts_of_other_shapes(micro):
    rows = generate(micro.policy, micro.prompts, max_new_tokens=3, seed=0)
    parts = vars(rows)
    for name, value in (("response_mask", rows.response_mask[:, :-1]), ("prompts", rows.prompts[:-1])):
        with pytest.raises(LabError):
            Sequences(**(parts | {name: value}))


def test_a_row_without_a_prompt_or_a_sequence_of_nothing(micro):
    with pytest.raises(LabError):
        sequences_from_ids(micro.policy, [""], [[1]])
    with pytest.raises(LabError, match="denominator"):
        reduce(micro.policy.model.lm_head.weight, micro.policy.model.lm_head.weight > 0, "constant")
