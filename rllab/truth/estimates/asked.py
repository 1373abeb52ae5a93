"""What is asked for: a world, a prompt, an objective, and how much sampling may cost."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from rllab.core.errors import LabError
from rllab.maths.divergence import kl_k1
from rllab.policy.generation import Progress, sequences_from_ids
from rllab.truth import Tree, exact, monte_carlo
from rllab.value.critic import Critic, ZeroCritic
from rllab.value.evaluation import evaluate
from rllab.value.objective import Estimate, Objective
from rllab.worlds.payments import open_ended
from rllab.worlds.prefixes import check_prefixes, horizon_of, is_over
from rllab.worlds.world import World

Prefix = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Asked:
    """One question about one prompt; what it takes to answer is made once."""

    world: World
    prompt: str
    objective: Objective
    samples: int
    seed: int
    stop: threading.Event | None
    progress: Progress | None

    @cached_property
    def ids(self) -> list[int]:
        """Return the prompt's token ids."""
        return self.world.policy.encode(self.prompt)

    @cached_property
    def horizon(self) -> int:
        """Return the largest number of response tokens."""
        return horizon_of(self.world, self.ids)

    @cached_property
    def tree(self) -> Tree:
        """Return the exact tree, where the world is small enough."""
        return exact(self.world, self.prompt, objective=self.objective, stop=self.stop)

    def is_over(self, prefix: Sequence[int]) -> bool:
        """Tell whether nothing is written behind a prefix any more."""
        return is_over(prefix, eos=self.world.policy.eos_id, horizon=self.horizon)

    def check_next(self, prefix: Sequence[int], token_ids: object) -> None:
        """Refuse what are no tokens to write behind a prefix."""
        self.check([prefix])
        if not isinstance(token_ids, Sequence) or isinstance(token_ids, str) or not token_ids:
            raise LabError("tokens", token_ids, "choose some tokens by their ids")
        self.check([(*prefix, token) for token in token_ids])

    def check(self, prefixes: Sequence[Sequence[int]]) -> None:
        """Refuse what is no continuation of the prompt."""
        check_prefixes(self.world.policy, prefixes, horizon=self.horizon)


def exact_values(asked: Asked, prefixes: Sequence[Prefix]) -> list[Estimate]:
    """Read V off the tree."""
    return [asked.tree.estimate(prefix) for prefix in prefixes]


def sampled_values(asked: Asked, prefixes: Sequence[Prefix]) -> list[Estimate]:
    """Average over continuations."""
    return monte_carlo(
        asked.world,
        asked.prompt,
        prefixes,
        samples=asked.samples,
        seed=asked.seed,
        objective=asked.objective,
        stop=asked.stop,
        progress=asked.progress,
    )


def learned_values(asked: Asked, prefixes: Sequence[Prefix]) -> list[Estimate]:
    """Ask the critic; it speaks of the objective that it was trained on and of no other."""
    check_critic(asked)
    if not prefixes:
        return []
    world = asked.world
    rows = [prefix or (world.policy.eos_id,) for prefix in prefixes]  # a batch needs a column, seen or not
    sequences = sequences_from_ids(world.policy, [asked.prompt] * len(rows), rows)
    with torch.no_grad(), world.policy.lock:
        values = world.critic.state_values(sequences).double().cpu()
    found = [
        0.0 if asked.is_over(prefix) else float(row[len(prefix)]) for prefix, row in zip(prefixes, values, strict=True)
    ]
    return [Estimate(value, float("nan"), 0, "learned", asked.objective) for value in found]


WAYS = {"exact": exact_values, "monte-carlo": sampled_values, "learned": learned_values}


def payments(asked: Asked, rows: Sequence[Prefix]) -> tuple[Tensor, Tensor]:
    """Return what is paid for each token of some responses, finished or not, and log pi - log pi_ref there, (n, T)."""
    policy, objective = asked.world.policy, asked.objective
    sequences = open_ended(policy, asked.prompt, rows, horizon=asked.horizon)
    paid = objective.score(sequences).per_token.double().cpu()
    rollout = evaluate(
        policy, sequences, reference=objective.reference, temperature=objective.temperature, stop=asked.stop
    )
    return paid, kl_k1(rollout.logprobs, rollout.ref_logprobs).double().cpu()


def check_critic(asked: Asked) -> None:
    """Refuse a critic that speaks of something else."""
    world = asked.world
    if isinstance(world.critic, ZeroCritic):
        raise LabError("critic", "none", "this world has no critic; train one with A2C or PPO, or ask for monte-carlo")
    if difference := world.objective.difference(asked.objective):
        remedy = f"{difference}: the critic was trained on {world.objective.describe()}; compare it under that"
        raise LabError("objective", asked.objective.describe(), remedy)
    if isinstance(world.critic, Critic):
        world.critic.check_knows(asked.prompt, asked.ids, vocabulary=world.policy.vocabulary)
