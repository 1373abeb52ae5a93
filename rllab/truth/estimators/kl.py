"""k1, k2 and k3: as a value, as a term of the reward, as a term of the loss; every response listed, no chance in it."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from rllab.maths.masking import masked_sum
from rllab.reward.reward import TokenReward
from rllab.trainer.stages import KL_ESTIMATORS
from rllab.truth import Tree, exact
from rllab.truth.estimators.arms import Arm, nobody
from rllab.truth.estimators.gradients import enumerated, true_gradient
from rllab.truth.estimators.rows import BenchRow, judge
from rllab.value.evaluation import evaluate
from rllab.worlds.world import World


@dataclass(frozen=True)
class KLRow:
    """One estimator in one place."""

    estimator: str
    place: str  # reward or loss
    mean: float  # nats per response
    deviation: float  # of one response, nats
    exact: float  # KL(pi || pi_ref) of whole responses, nats
    gradient: BenchRow  # against the gradient of minus that KL


def kl_rows(world: World, prompt: str, *, stop: threading.Event | None = None) -> list[KLRow]:
    """Return every estimator in both places, in a world small enough to list every response of one prompt."""
    bare = without_reward(world)
    tree = exact(bare, prompt, stop=stop)
    return list(_rows(bare, tree, stop))


def without_reward(world: World) -> World:
    """Return a world in which nothing is paid and KL costs its own size: J = -KL(pi || pi_ref)."""
    nothing = TokenReward("nothing", torch.zeros(world.policy.vocabulary, dtype=torch.float64))
    objective = dataclasses.replace(world.objective, reward=nothing, kl_coef=1.0, gamma=1.0)
    return world.replace(reward=nothing, objective=objective)


def _rows(world: World, tree: Tree, stop: threading.Event | None) -> Iterator[KLRow]:
    """Measure each estimator as a value, and its gradient in both places."""
    policy, temperature = world.policy, world.objective.temperature
    rollout = evaluate(policy, tree.leaves, reference=world.reference, temperature=temperature, stop=stop)
    probs, truth = tree.leaf_logprobs.exp(), true_gradient([tree], stop=stop)
    for name, estimator in KL_ESTIMATORS.items():
        value = masked_sum(estimator(rollout.logprobs, rollout.ref_logprobs), rollout.response_mask, dim=1).double()
        mean = float((probs * value).sum())
        deviation = float((probs * (value - mean).square()).sum().sqrt())
        for place in ("reward", "loss"):
            arm = Arm(f"{name} in the {place}", "reinforce", nobody, {"kl_place": place, "kl_estimator": name})
            row = judge(arm.name, enumerated(world, tree, arm, group=1, stop=stop), truth)
            yield KLRow(name, place, mean, deviation, -tree.J, row)
