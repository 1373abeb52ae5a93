"""How well a reward agrees: with labels, with the judge who gave them, with gold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rllab.core.errors import LabError
from rllab.core.jobs import NO_JOB, Job
from rllab.core.records import Sequences
from rllab.maths.losses import bradley_terry_loss
from rllab.preferences.pairs import Pair, SimulatedJudge, tokenize_pairs
from rllab.reward.reward import Reward, RewardModel
from rllab.value.evaluation import slices
from rllab.worlds.world import World

ROWS = 128  # of one pass
BINS = 5


@dataclass(frozen=True)
class Bin:
    """Pairs about which a reward is equally sure, and how often it is right about them."""

    low: float
    high: float
    predicted: float  # mean probability that the reward gives to the response that it prefers
    observed: float  # share of these pairs in which the label prefers it too
    count: int


@dataclass(frozen=True)
class Agreement:
    """What labels say of a reward."""

    pairs: int
    accuracy: float  # share of labels that the reward ranks alike; equal scores count half
    standard_error: float
    loss: float  # nats per pair; ln 2 = 0.693 is guessing
    calibration: tuple[Bin, ...]

    @property
    def ranked_alike(self) -> float:
        """Return the number of labels that the reward ranks alike."""
        return self.accuracy * self.pairs

    @property
    def calibration_error(self) -> float:
        """Return the mean distance of predicted and observed shares, each bin by its pairs."""
        return sum(bucket.count * abs(bucket.predicted - bucket.observed) for bucket in self.calibration) / self.pairs


@dataclass(frozen=True)
class AgainstJudge:
    """What the known taste of simulated judges says of a reward or of labels, without the luck of single labels."""

    ceiling: float  # E[max(p, 1 - p)]: no model can predict more of the judges' labels
    expected: float  # share of the judges' fresh labels on these pairs that would be the same


@dataclass(frozen=True)
class AgainstGold:
    """What gold says of a reward over the same responses."""

    pairs: float  # share of pairs of responses that both rank alike
    rank_correlation: float  # Spearman's


def agreement(world: World, reward: Reward, pairs: Sequence[Pair], *, job: Job = NO_JOB) -> Agreement:
    """Compare a reward with labels; only labels that it was not fitted to tell how good it is."""
    if not pairs:
        raise LabError("pairs", 0, "give at least one labelled pair")
    margin = margins(world, reward, pairs, job=job)
    right = (margin > 0).double() + 0.5 * (margin == 0).double()
    return Agreement(
        pairs=len(pairs),
        accuracy=float(right.mean()),
        standard_error=float(right.std(unbiased=False)) / len(pairs) ** 0.5,
        loss=float(bradley_terry_loss(margin, torch.zeros_like(margin)).mean()),
        calibration=tuple(_bins(torch.sigmoid(margin.abs()), right)),
    )


def against_judges(
    world: World, reward: Reward, pairs: Sequence[Pair], judges: Mapping[str, SimulatedJudge], *, job: Job = NO_JOB
) -> AgainstJudge:
    """Compare a reward with what simulated judges, found by the pairs' `judge`, would say again and again."""
    unknown = {pair.judge for pair in pairs} - judges.keys()
    if unknown or not pairs:
        raise LabError("judge", min(unknown, default="none"), "its taste is not known; give judges for all pairs")
    likely = _repeated(world, pairs, [judges[pair.judge] for pair in pairs])
    margin = margins(world, reward, pairs, job=job)
    agreed = torch.where(margin > 0, likely, torch.where(margin < 0, 1 - likely, torch.full_like(likely, 0.5)))
    return AgainstJudge(ceiling=float(torch.maximum(likely, 1 - likely).mean()), expected=float(agreed.mean()))


def repeated_by(world: World, pairs: Sequence[Pair], judge: SimulatedJudge) -> AgainstJudge:
    """Compare labels that anybody gave with what a simulated judge would say of the same pairs."""
    if not pairs:
        raise LabError("pairs", 0, "give at least one labelled pair")
    likely = _repeated(world, pairs, [judge] * len(pairs))
    return AgainstJudge(ceiling=float(torch.maximum(likely, 1 - likely).mean()), expected=float(likely.mean()))


def against_gold(world: World, reward: Reward, sequences: Sequences) -> AgainstGold:
    """Compare the order that a reward gives to responses with gold's; only responses to one prompt are paired."""
    if world.gold is None:
        raise LabError("world", world.name, "it has no gold judge to compare with")
    ours, gold = (judge.score(sequences).total.double() for judge in (reward, world.gold))
    first, second = torch.triu_indices(len(sequences), len(sequences), offset=1)
    signs = torch.sign(ours[first] - ours[second]), torch.sign(gold[first] - gold[second])
    counted = (sequences.group[first] == sequences.group[second]) & (signs[1] != 0)
    alike = (signs[0] == signs[1]).double() + 0.5 * (signs[0] == 0).double()
    share = float(alike[counted].mean()) if bool(counted.any()) else float("nan")
    return AgainstGold(pairs=share, rank_correlation=rank_correlation(ours, gold))


def margins(world: World, reward: Reward, pairs: Sequence[Pair], *, job: Job = NO_JOB) -> Tensor:
    """Return the log-odds that a reward gives to the chosen response of each pair, (N,).

    A reward model is asked in the unit that it was fitted in; of any other reward the score itself is taken.
    """
    batch = tokenize_pairs(world.policy, pairs, limit=world.max_new_tokens)
    found = []
    for part in slices(len(batch), size=ROWS):
        job.check()
        some = batch.select(range(part.start, part.stop))
        found.append(reward.score(some.chosen).total.double() - reward.score(some.rejected).total.double())
    unit = reward.scale if isinstance(reward, RewardModel) else 1.0
    return torch.cat(found) * unit


def likely_share(share: float, count: int) -> tuple[float, float]:
    """Return Wilson's interval of one standard error for a share of `count`: of few it is wide, even at 0 and 1.

    >>> [round(end, 2) for end in likely_share(1.0, 4)]
    [0.8, 1.0]
    """
    middle = (share + 0.5 / count) / (1 + 1 / count)
    half = (share * (1 - share) / count + 0.25 / count**2) ** 0.5 / (1 + 1 / count)
    return max(0.0, middle - half), min(1.0, middle + half)


def rank_correlation(first: Tensor, second: Tensor) -> float:
    """Return Spearman's rank correlation of two rows of numbers, (N,); equal numbers share their mean rank."""
    both = torch.stack([_ranks(first), _ranks(second)])
    return float(torch.corrcoef(both)[0, 1])


def _repeated(world: World, pairs: Sequence[Pair], judges: Sequence[SimulatedJudge]) -> Tensor:
    """Return with which probability its judge, asked again, gives the verdict that each pair has, (N,)."""
    batch = tokenize_pairs(world.policy, pairs, limit=world.max_new_tokens)
    distinct = {id(judge): judge for judge in judges}
    gaps = {key: (one.utility(batch.chosen) - one.utility(batch.rejected)) / one.noise for key, one in distinct.items()}
    return torch.sigmoid(torch.stack([gaps[id(judge)][row].double() for row, judge in enumerate(judges)]))


def _ranks(values: Tensor) -> Tensor:
    """Return the rank of each number, (N,)."""
    _, place, count = torch.unique(values, return_inverse=True, return_counts=True)
    last = count.cumsum(0).double()
    ranks: Tensor = (last - (count - 1) / 2)[place]
    return ranks


def _bins(sure: Tensor, right: Tensor) -> list[Bin]:
    """Group pairs by the reward's confidence, from 0.5 to 1, into equal steps; empty ones are left out."""
    edges = [0.5 + 0.5 * number / BINS for number in range(BINS + 1)]
    place = ((sure - 0.5) * 2 * BINS).long().clamp(max=BINS - 1)
    made = []
    for number in range(BINS):
        inside = place == number
        if bool(inside.any()):
            predicted, observed = float(sure[inside].mean()), float(right[inside].mean())
            made.append(Bin(edges[number], edges[number + 1], predicted, observed, int(inside.sum())))
    return made
