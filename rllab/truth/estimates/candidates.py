"""Q and A of the tokens that could be written next."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rllab.core.errors import LabError
from rllab.policy.generation import Decoder, Progress
from rllab.reward.reward import payment_places
from rllab.truth import Tree, monte_carlo
from rllab.truth.estimates.arithmetic import SURE, action_value, combine, difference
from rllab.truth.estimates.asked import WAYS, Asked, Prefix, check_critic
from rllab.truth.estimates.values import check_kinds
from rllab.value.objective import Estimate
from rllab.worlds.payments import open_ended
from rllab.worlds.prefixes import objective_of
from rllab.worlds.stepper import Stepper
from rllab.worlds.world import World

LOOKED_AT = 32  # likeliest tokens that a critic is asked about
NEVER = 1e-9  # all others together, if they are less likely than that, are not asked about


@dataclass(frozen=True, eq=False)
class Candidates:
    """Some actions of one state with their values; together with all others they average to V.

    So Q - A = V for each of them, and the sum of pi A is 0 with the others' part in it.
    """

    prefix: tuple[int, ...]
    token_ids: tuple[int, ...]
    probs: tuple[float, ...]  # at the objective's temperature
    q: tuple[Estimate, ...]
    others: Estimate  # Q of all other actions, as often as each is written among them
    value: Estimate  # V of the state: the average of Q

    @property
    def advantages(self) -> tuple[float, ...]:
        """Return A = Q - V of each action."""
        return tuple(one.mean - self.value.mean for one in self.q)

    @property
    def errors(self) -> tuple[float, ...]:
        """Return the standard error of each A, from differences sample by sample; not a number where learned."""
        return tuple(difference(one, self.value).standard_error for one in self.q)

    def is_sure(self, at: int) -> bool:
        """Tell whether the sign of an action's A is more than chance; of what is not sampled no chance is known."""
        return self.value.kind != "monte-carlo" or abs(self.advantages[at]) > SURE * self.errors[at]

    @property
    def other_prob(self) -> float:
        """Return the probability of all other actions together."""
        return max(0.0, 1.0 - sum(self.probs))


def candidates(
    world: World,
    prompt: str,
    prefix: Sequence[int],
    token_ids: Sequence[int],
    kind: str,
    *,
    samples: int = 64,
    seed: int = 0,
    stop: threading.Event | None = None,
    progress: Progress | None = None,
) -> Candidates:
    """Return Q of some tokens behind a prefix in one way, and V of the state, under the world's objective."""
    asked = Asked(world, prompt, objective_of(world, None), samples, seed, stop, progress)
    check_kinds([kind])
    asked.check_next(prefix, token_ids)
    start, chosen = tuple(prefix), tuple(token_ids)
    if len(set(chosen)) < len(chosen):
        raise LabError("tokens", chosen, "name each token once: twice it would count twice beside the others")
    if kind == "exact":
        return of_tree(asked.tree, start, chosen)
    here = Next.of(asked, start)
    return _sampled(asked, here, chosen) if kind == "monte-carlo" else _learned(asked, here, chosen)


def of_tree(tree: Tree, prefix: Prefix, token_ids: Sequence[int]) -> Candidates:
    """Read Q and V off an exact tree."""
    probs, q, value = tree.pi(prefix), tree.Q(prefix), tree.estimate(prefix)
    rest = torch.ones_like(probs).index_fill(0, torch.tensor(token_ids, dtype=torch.long), 0.0) * probs
    whole = float(rest.sum())
    mean = float((rest * q.nan_to_num(0.0)).sum()) / whole if whole > NEVER else value.mean
    made = [Estimate(one, 0.0, value.samples, "exact", tree.objective) for one in (*q[list(token_ids)].tolist(), mean)]
    return Candidates(
        prefix, tuple(token_ids), tuple(probs[list(token_ids)].tolist()), tuple(made[:-1]), made[-1], value
    )


def foreseen(stepper: Stepper, t: int, token_ids: Sequence[int]) -> Candidates:
    """Return Q of some tokens after t tokens of a line as its critic has it; what was read is not read again."""
    asked = Asked(stepper.world, stepper.prompt, stepper.world.objective, 0, 0, None, None)
    logits, ref_logits, critic = stepper.read_at(t)
    both = [logits, ref_logits]
    here = Next.read(stepper.prefix_ids[:t], both, temperature=asked.objective.temperature, critic=critic)
    return _learned(asked, here, tuple(token_ids))


def action_values(asked: Asked, here: Next, token_ids: Sequence[int], kind: str) -> list[Estimate]:
    """Return Q of some tokens of one state: what is paid for each, and V of where it leads."""
    rows = [(*here.prefix, token) for token in token_ids]
    asked.check(rows)
    chosen = torch.tensor(token_ids, dtype=torch.long)
    gap = (here.logprobs - here.ref_logprobs)[chosen]
    net = _paid(asked, here.prefix, rows) - asked.objective.kl_coef * gap
    return list(map(action_value, here.values(asked, rows, kind), net.tolist()))


@dataclass(frozen=True, eq=False)
class Next:
    """One state: the log-probs of all tokens (A,) there, and a critic that has read up to it."""

    prefix: Prefix
    logprobs: Tensor
    ref_logprobs: Tensor
    critic: Decoder | None = None

    @classmethod
    def of(cls, asked: Asked, prefix: Prefix) -> Next:
        """Read a prefix with the policy and, where it is another one, with the reference."""
        policy, reference = asked.world.policy, asked.objective.reference
        both = [policy] if reference.weights is policy.weights else [policy, reference]
        logits = [Decoder(one, [[*asked.ids, *prefix]], stop=asked.stop).logits[0] for one in both]
        return cls.read(prefix, [logits[0], logits[-1]], temperature=asked.objective.temperature)

    @classmethod
    def read(
        cls, prefix: Prefix, logits: Sequence[Tensor], *, temperature: float, critic: Decoder | None = None
    ) -> Next:
        """Keep what policy and reference say of a state, logits (A,) of both."""
        logprobs = [torch.log_softmax(one.double().cpu() / temperature, dim=0) for one in logits]
        return cls(prefix, logprobs[0], logprobs[1], critic)

    def values(self, asked: Asked, rows: Sequence[Prefix], kind: str) -> list[Estimate]:
        """Return V of the states behind some tokens."""
        if self.critic is None or kind != "learned":
            return WAYS[kind](asked, rows)
        tokens = torch.tensor([row[-1] for row in rows], device=self.critic.tokens.device)
        decoder = self.critic.take(torch.zeros_like(tokens))
        decoder.push(tokens)
        found = [
            0.0 if asked.is_over(row) else value
            for row, value in zip(rows, decoder.output.double().tolist(), strict=True)
        ]
        return [Estimate(value, float("nan"), 0, "learned", asked.objective) for value in found]


def _sampled(asked: Asked, here: Next, chosen: Prefix) -> Candidates:
    """Continue every token, and all others together, with common random numbers."""
    probs = here.logprobs[list(chosen)].exp().tolist()
    q = action_values(asked, here, chosen, "monte-carlo")
    rest = 1.0 - sum(probs) if len(set(chosen)) < len(here.logprobs) else 0.0
    if rest <= NEVER:
        value = combine(q, [prob / sum(probs) for prob in probs])
        return Candidates(here.prefix, chosen, tuple(probs), tuple(q), value, value)
    (others,) = monte_carlo(
        asked.world,
        asked.prompt,
        [here.prefix],
        samples=asked.samples,
        seed=asked.seed,
        objective=asked.objective,
        barred=chosen,
        stop=asked.stop,
    )
    value = combine([*q, others], [*probs, rest])
    return Candidates(here.prefix, chosen, tuple(probs), tuple(q), others, value)


def _learned(asked: Asked, here: Next, chosen: Prefix) -> Candidates:
    """Ask the critic one token ahead, of the chosen tokens and the likeliest; the rest counts as average."""
    check_critic(asked)
    likeliest = here.logprobs.topk(min(LOOKED_AT, len(here.logprobs))).indices.tolist()
    looked = list(dict.fromkeys([*chosen, *likeliest]))
    q = action_values(asked, here, looked, "learned")
    probs = here.logprobs[looked].exp()
    value = combine(q, (probs / probs.sum()).tolist())
    own, shown = tuple(probs[: len(chosen)].tolist()), q[: len(chosen)]
    rest = 1.0 - sum(own)
    known = sum(prob * one.mean for prob, one in zip(own, shown, strict=True))
    mean = (value.mean - known) / rest if rest > NEVER else value.mean
    return Candidates(
        here.prefix, chosen, own, tuple(shown), Estimate(mean, float("nan"), 0, "learned", asked.objective), value
    )


def _paid(asked: Asked, prefix: Prefix, rows: Sequence[Prefix]) -> Tensor:
    """Return what is paid for the last token of each row, (n,) float64; only rows that are paid for it are judged."""
    objective, place = asked.objective, len(prefix)
    sequences = open_ended(asked.world.policy, asked.prompt, rows, horizon=asked.horizon)
    due = payment_places(sequences, timing=objective.timing)[:, place].nonzero()[:, 0].tolist()
    paid = torch.zeros(len(rows), dtype=torch.float64)
    if due:
        paid[due] = objective.score(sequences.select(due)).per_token[:, place].double().cpu()
    return paid
