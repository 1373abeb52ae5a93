"""Monte Carlo: what a state is worth, from many continuations written by the policy itself."""

from __future__ import annotations

import math
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rllab.core.config import is_whole
from rllab.core.errors import LabError, Stopped
from rllab.maths.returns import charge_kl, discounted_returns
from rllab.policy.generation import Progress, check_room
from rllab.policy.policy import Policy
from rllab.truth.continuations import Start, Written, rows_at_once, write_on
from rllab.truth.levels import written_to
from rllab.value.evaluation import slices
from rllab.value.objective import Estimate, Objective
from rllab.worlds.payments import AT_ONCE, open_ended
from rllab.worlds.prefixes import check_prefixes, horizon_of, is_over, objective_of
from rllab.worlds.world import World

MOST_RETURNS = 5_000_000  # of all prefixes together: numbers that are kept, about 200 MiB


def monte_carlo(
    world: World,
    prompt: str,
    prefixes: Sequence[Sequence[int]],
    *,
    samples: int,
    seed: int,
    objective: Objective | None = None,
    barred: Collection[int] = (),
    stop: threading.Event | None = None,
    progress: Progress | None = None,
) -> list[Estimate]:
    """Estimate the value of the state after each prefix from `samples` continuations of it.

    Random numbers are common: sample j draws its token t by the same numbers behind every prefix. So two
    prefixes of one response, or two actions after the same prefix, can be compared sample by sample. Each
    estimate by itself is as random as it says. Texts that come to agree go on alike: where a sample writes just
    the token that leads to another of the prefixes, that one's continuation is taken and not written again.
    No continuation begins with a `barred` token: what all other actions together are worth, as often as each
    is written among them.
    """
    objective = objective_of(world, objective)
    ids = world.policy.encode(prompt)
    check_room(world.policy, [ids], max_new_tokens=1)
    task = _Task(world, prompt, ids, horizon_of(world, ids), objective, barred, seed, stop)
    _check(task, prefixes, samples=samples)
    family = Family.of(task, [tuple(prefix) for prefix in prefixes])
    returns = torch.zeros(len(prefixes), samples, dtype=torch.float64)  # behind a response that is over comes nothing
    parts, done = list(_parts(task, prefixes, samples)), 0
    total = sum(len(some) * (part.stop - part.start) for some, part in parts)
    for some, part in parts:
        if progress is not None:
            progress(done, total, "continuations")
        _fill(returns[:, part], task, family, some, part)
        done += len(some) * (part.stop - part.start)
    if progress is not None:
        progress(done, total, "continuations")
    return [sample_mean(row, task.objective) for row in returns]


def sample_mean(returns: Tensor, objective: Objective) -> Estimate:
    """Return mean and standard error of independent returns (N,); of a single one the error is not known (nan)."""
    n = len(returns)
    error = float(returns.std() / n**0.5) if n > 1 else float("nan")
    return Estimate(float(returns.mean()), error, n, "monte-carlo", objective, tuple(returns.tolist()))


@dataclass(frozen=True, eq=False)
class _Task:
    """What stays the same over all parts of the work."""

    world: World
    prompt: str
    ids: Sequence[int]  # of the prompt
    horizon: int  # tokens
    objective: Objective
    barred: Collection[int]
    seed: int
    stop: threading.Event | None

    @property
    def policies(self) -> list[Policy]:
        """Return who writes, and the reference where its log-probs are asked for."""
        policy, reference = self.world.policy, self.objective.reference
        same = self.objective.kl_coef == 0.0 or reference.weights is policy.weights
        return [policy] if same else [policy, reference]


def _check(task: _Task, prefixes: Sequence[Sequence[int]], *, samples: int) -> None:
    """Refuse what cannot be sampled."""
    policy = task.world.policy
    check_prefixes(policy, prefixes, horizon=task.horizon)
    most = MOST_RETURNS // max(1, len(prefixes))
    if not is_whole(samples, low=1, high=most):
        raise LabError("samples", samples, f"draw at least one continuation of each prefix, and at most {most:,}")
    if not is_whole(task.seed, low=-math.inf):
        raise LabError("seed", task.seed, "give a whole number; the same one draws the same again")
    barred = [is_whole(token, high=policy.vocabulary - 1) for token in task.barred]
    if not all(barred) or len(set(task.barred)) >= policy.vocabulary:
        raise LabError("barred", tuple(task.barred), f"leave a token of the ids 0 to {policy.vocabulary - 1}")


@dataclass(frozen=True, eq=False)
class Family:
    """Which prefixes lead to which others by one token, and what is paid for that token."""

    prefixes: Sequence[tuple[int, ...]]
    followers: Sequence[Mapping[int, int]]  # of each prefix: token -> number of the prefix it leads to
    paid: Sequence[float]  # for the last token of each prefix that follows another; 0 for the others

    @classmethod
    def of(cls, task: _Task, prefixes: Sequence[tuple[int, ...]]) -> Family:
        """Find who follows whom."""
        places: dict[tuple[int, ...], list[int]] = {}  # a prefix may be asked for twice
        for place, prefix in enumerate(prefixes):
            places.setdefault(prefix, []).append(place)
        followers: list[dict[int, int]] = [{} for _ in prefixes]
        for prefix, (place, *_) in places.items():
            for parent in places.get(prefix[:-1], []) if prefix else []:
                followers[parent][prefix[-1]] = place
        led = sorted({child for some in followers for child in some.values()})
        paid = [0.0] * len(prefixes)
        if led:
            rows = [prefixes[place] for place in led]
            texts = open_ended(task.world.policy, task.prompt, rows, horizon=task.horizon)
            for place, row in zip(led, task.objective.score(texts).per_token, strict=True):
                paid[place] = float(row[len(prefixes[place]) - 1])
        return cls(prefixes, followers, paid)


def _parts(task: _Task, prefixes: Sequence[Sequence[int]], samples: int) -> Iterator[tuple[list[int], slice]]:
    """Cut the work into prefixes and samples that fit into memory together, the longest prefixes first."""
    policy = task.world.policy
    unfinished = [n for n, one in enumerate(prefixes) if not is_over(one, eos=policy.eos_id, horizon=task.horizon)]
    unfinished.sort(key=lambda number: -len(prefixes[number]))
    size = rows_at_once(policy, width=len(task.ids) + task.horizon)
    for part in slices(samples, size=size):
        for some in slices(len(unfinished), size=max(1, size // (part.stop - part.start))):
            yield unfinished[some], part


def _fill(returns: Tensor, task: _Task, family: Family, some: Sequence[int], part: slice) -> None:
    """Write some samples behind some prefixes, longest first, and put what each brings into `returns`."""
    written = write_on(
        task.policies,
        task.ids,
        [Start(family.prefixes[number], family.followers[number], task.barred) for number in some],
        samples=part,
        seed=task.seed,
        horizon=task.horizon,
        temperature=task.objective.temperature,
        stop=task.stop,
    )
    whole = _returns_to_go(task, written)  # (n, horizon)
    count, kl_coef, gamma = part.stop - part.start, task.objective.kl_coef, task.objective.gamma
    for place, number in enumerate(some):
        rows, t = slice(place * count, (place + 1) * count), len(family.prefixes[number])
        returns[number] = whole[rows, t]
        for token, child in family.followers[number].items():
            led = written.known[rows].cpu() & (written.tokens[rows, t].cpu() == token)
            paid = family.paid[child] - kl_coef * written.gap[rows, t].double().cpu()
            returns[number] = torch.where(led, paid + gamma * returns[child], returns[number])


def _returns_to_go(task: _Task, written: Written) -> Tensor:
    """Return what each response that was written to its end brings from each token on, (n, horizon) float64."""
    returns = torch.zeros(written.tokens.shape, dtype=torch.float64)
    rows = (~written.known).nonzero()[:, 0]
    rows = rows[written.lengths[rows].argsort()]  # of like lengths together, so that little padding is read
    at_once = max(1, AT_ONCE // (len(task.ids) + task.horizon))
    for some in rows.split(at_once) if len(rows) else ():  # a sure policy may lead all rows into known prefixes
        if task.stop is not None and task.stop.is_set():
            raise Stopped
        lengths, width = written.lengths[some].cpu(), int(written.lengths[some].max())
        sequences = written_to(task.prompt, task.world.policy, written.tokens[some, :width].cpu(), lengths=lengths)
        paid, gap = task.objective.score(sequences).per_token.double(), written.gap[some, :width].double()
        mask, settings = sequences.response_mask, task.objective
        rewards = charge_kl(paid, gap, mask, kl_coef=settings.kl_coef)
        returns[some.cpu(), :width] = discounted_returns(rewards, mask, gamma=settings.gamma).cpu()
    return returns
