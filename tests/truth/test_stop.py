"""Every long computation on values and gradients hears Stop within a second, and leaves nothing behind."""

import threading
import time

import pytest

from rllab.core.errors import Stopped
from rllab.core.jobs import Job
from rllab.policy.generation import generate
from rllab.truth import exact, monte_carlo
from rllab.truth.estimates import candidates, estimate, estimate_along
from rllab.truth.estimators import ARMS, compare, kl_rows, sampled
from rllab.truth.groups import sample_group
from rllab.truth.what_if import continuations, what_if
from rllab.worlds.stepper import Stepper
from tests.patience import SOON

LINE = (3, 5, 3)
LONG_WORK = {
    "exact": lambda world, tree, job: exact(world, world.prompts[0], job=job),
    "gradient": lambda world, tree, job: tree.gradient(job=job),
    "kl": lambda world, tree, job: tree.kl(world.policy.copy(), job=job),
    "leaf_logprobs_of": lambda world, tree, job: tree.leaf_logprobs_of(world.policy, job=job),
    "monte_carlo": lambda world, tree, job: monte_carlo(world, world.prompts[0], [()], samples=5000, seed=0, job=job),
    "estimate": lambda world, tree, job: estimate(
        world, world.prompts[0], [(), (3,)], ["monte-carlo"], samples=5000, job=job
    ),
    "along": lambda world, tree, job: estimate_along(
        world, world.prompts[0], LINE, ["monte-carlo"], samples=5000, job=job
    ),
    "candidates": lambda world, tree, job: candidates(
        world, world.prompts[0], (), (3, 4), "monte-carlo", samples=5000, job=job
    ),
    "what_if": lambda world, tree, job: what_if(world, world.prompts[0], (), (3, 4), samples=5000, job=job),
    "fan": lambda world, tree, job: continuations(world, world.prompts[0], (), samples=20, seed=0, job=job),
    "sample_group": lambda world, tree, job: sample_group(world, world.prompts[0], samples=64, seed=0, job=job),
    "generate": lambda world, tree, job: generate(world.policy, world.prompts, max_new_tokens=5, seed=0, job=job),
    "kl_rows": lambda world, tree, job: kl_rows(world, world.prompts[0], job=job),
    "sampled": lambda world, tree, job: sampled(world, [tree], ARMS[0], rows=4, group=4, draws=50, job=job),
    "compare": lambda world, tree, job: compare(world, prompts=world.prompts[:1], rows=4, group=4, draws=50, job=job),
}


@pytest.fixture
def slow(tabular, monkeypatch):
    """Make a world whose network takes its time, in pieces as small as those of a large one."""
    policy = tabular.policy.copy()
    world = tabular.replace(policy=policy, reward=tabular.gold)
    tree = exact(world, world.prompts[0], horizon=4)
    monkeypatch.setattr("rllab.truth.sampling.BUDGET", 2**14)
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
        LONG_WORK[name](world, tree, Job(stop))
    assert time.monotonic() - began < SOON
    timer.join()


class Presser:
    """A reward that presses Stop while it judges, and counts how often it is asked after that."""

    name = "presser"

    def __init__(self, reward):
        self.reward, self.stop, self.asked = reward, threading.Event(), 0

    def score(self, sequences, *, timing="end"):
        self.asked += 1
        self.stop.set()
        return self.reward.score(sequences, timing=timing)


@pytest.mark.parametrize(
    "ask",
    [
        lambda world, job: exact(world, world.prompts[0], horizon=3, job=job),
        lambda world, job: monte_carlo(world, world.prompts[0], [()], samples=200, seed=0, job=job),
        lambda world, job: sample_group(world, world.prompts[0], samples=2000, seed=0, job=job),
    ],
    ids=["exact", "monte_carlo", "sample_group"],
)
def test_stop_is_heard_between_the_responses_that_a_reward_judges(ask, tabular, monkeypatch):
    monkeypatch.setattr("rllab.truth.sampling.AT_ONCE", 70)
    monkeypatch.setattr("rllab.truth.enumeration.SCORED_AT_ONCE", 70)
    reward = Presser(tabular.gold)
    with pytest.raises(Stopped):
        ask(tabular.replace(reward=reward), Job(reward.stop))
    assert reward.asked == 1


def test_a_line_that_is_stopped_keeps_what_it_has(slow):
    world, _ = slow
    stepper, stop = Stepper(world, seed=2), threading.Event()
    timer = threading.Timer(0.15, stop.set)
    timer.start()
    began = time.monotonic()
    written = stepper.finish(Job(stop))
    assert time.monotonic() - began < SOON
    assert len(written) == len(stepper.steps) < world.max_new_tokens
    timer.join()
    stepper.step()
