"""Every long computation on values and gradients hears Stop within a second, and leaves nothing behind."""

import threading
import time

import pytest

from rllab.core.errors import Stopped
from rllab.policy.generation import generate
from rllab.truth import estimates, exact, monte_carlo, what_if
from rllab.truth.estimates import along, estimate
from rllab.truth.estimators import ARMS, compare, kl_rows, sampled
from rllab.truth.groups import sample_group
from rllab.truth.what_if import fan
from rllab.worlds.stepper import Stepper
from tests.patience import SOON

LINE = (3, 5, 3)
LONG_WORK = {
    "exact": lambda world, tree, stop: exact(world, world.prompts[0], stop=stop),
    "gradient": lambda world, tree, stop: tree.gradient(stop=stop),
    "kl": lambda world, tree, stop: tree.kl(world.policy.copy(), stop=stop),
    "leaf_logprobs_of": lambda world, tree, stop: tree.leaf_logprobs_of(world.policy, stop=stop),
    "monte_carlo": lambda world, tree, stop: monte_carlo(
        world, world.prompts[0], [()], samples=5000, seed=0, stop=stop
    ),
    "estimate": lambda world, tree, stop: estimate(
        world, world.prompts[0], [(), (3,)], ["monte-carlo"], samples=5000, stop=stop
    ),
    "along": lambda world, tree, stop: along(world, world.prompts[0], LINE, ["monte-carlo"], samples=5000, stop=stop),
    "candidates": lambda world, tree, stop: estimates(
        world, world.prompts[0], (), (3, 4), "monte-carlo", samples=5000, stop=stop
    ),
    "what_if": lambda world, tree, stop: what_if(world, world.prompts[0], (), (3, 4), samples=5000, stop=stop),
    "fan": lambda world, tree, stop: fan(world, world.prompts[0], (), samples=20, seed=0, stop=stop),
    "sample_group": lambda world, tree, stop: sample_group(world, world.prompts[0], samples=64, seed=0, stop=stop),
    "generate": lambda world, tree, stop: generate(world.policy, world.prompts, max_new_tokens=5, seed=0, stop=stop),
    "kl_rows": lambda world, tree, stop: kl_rows(world, world.prompts[0], stop=stop),
    "sampled": lambda world, tree, stop: sampled(world, [tree], ARMS[0], rows=4, group=4, draws=50, stop=stop),
    "compare": lambda world, tree, stop: compare(
        world, prompts=world.prompts[:1], rows=4, group=4, draws=50, stop=stop
    ),
}


@pytest.fixture
def slow(tabular, monkeypatch):
    """Make a world whose network takes its time, in pieces as small as those of a large one."""
    policy = tabular.policy.copy()
    world = tabular.replace(policy=policy, reward=tabular.gold)
    tree = exact(world, world.prompts[0], horizon=4)
    monkeypatch.setattr("rllab.truth.monte_carlo.BUDGET", 2**14)
    monkeypatch.setattr("rllab.truth.levels.BUDGET", 2**14)
    policy.model.register_forward_pre_hook(lambda *_: time.sleep(0.1))
    return world, tree


@pytest.mark.parametrize("name", LONG_WORK)
def test_stop_is_heard_within_a_second(name, slow):
    world, tree = slow
    stop = threading.Event()
    timer = threading.Timer(0.3, stop.set)
    timer.start()
    began = time.monotonic()
    with pytest.raises(Stopped):
        LONG_WORK[name](world, tree, stop)
    assert time.monotonic() - began < SOON
    timer.join()


class Presser:
    """A reward that presses Stop while it judges, and counts how often it is asked after that."""

    name = "presser"

    def __init__(self, reward):
        self.reward, self.stop, self.asked = reward, threading.Event(), 0

    def score(self, sequences, *, timing="eos"):
        self.asked += 1
        self.stop.set()
        return self.reward.score(sequences, timing=timing)


@pytest.mark.parametrize(
    "ask",
    [
        lambda world, stop: exact(world, world.prompts[0], horizon=3, stop=stop),
        lambda world, stop: monte_carlo(world, world.prompts[0], [()], samples=200, seed=0, stop=stop),
        lambda world, stop: sample_group(world, world.prompts[0], samples=2000, seed=0, stop=stop),
    ],
    ids=["exact", "monte_carlo", "sample_group"],
)
def test_stop_is_heard_between_the_responses_that_a_reward_judges(ask, tabular, monkeypatch):
    monkeypatch.setattr("rllab.truth.monte_carlo.AT_ONCE", 70)
    monkeypatch.setattr("rllab.truth.enumeration.SCORED_AT_ONCE", 70)
    reward = Presser(tabular.gold)
    with pytest.raises(Stopped):
        ask(tabular.replace(reward=reward), reward.stop)
    assert reward.asked == 1


def test_a_line_that_is_stopped_keeps_what_it_has(slow):
    world, _ = slow
    stepper, stop = Stepper(world, seed=2), threading.Event()
    timer = threading.Timer(0.15, stop.set)
    timer.start()
    began = time.monotonic()
    written = stepper.finish(stop)
    assert time.monotonic() - began < SOON
    assert len(written) == len(stepper.steps) < world.max_new_tokens
    timer.join()
    stepper.step()
