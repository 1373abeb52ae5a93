"""Choosing among samples: which two to show next, and which one is best."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rllab.core.errors import LabError
from rllab.core.jobs import NO_JOB, Job
from rllab.core.records import Sequences
from rllab.policy.generation import generate
from rllab.policy.networks import end_features
from rllab.preferences.pairs import Pair, SimulatedJudge
from rllab.reward.reward import Reward, RewardModel
from rllab.trainer.stages import derived_seed
from rllab.worlds.world import World

PER_PROMPT = 4  # responses of which every two make a pair


@dataclass(frozen=True)
class Question:
    """Two different responses to one prompt, waiting for a judge."""

    prompt: str
    first: str
    second: str


@dataclass(frozen=True, eq=False)
class Selection:
    """n responses to each prompt, and the row of the best of each."""

    n: int
    sequences: Sequences  # rows of one prompt side by side
    scores: Tensor  # (B,)
    rows: list[int]

    @property
    def best(self) -> Sequences:
        """Return the best response to each prompt."""
        return self.sequences.select(self.rows)


def best_of_n(
    world: World,
    prompts: Sequence[str],
    n: int,
    *,
    reward: Reward | None = None,
    seed: int | None = None,
    job: Job = NO_JOB,
) -> Selection:
    """Sample n responses to each prompt, and return the one with the highest reward (the world's by default)."""
    if n < 1:
        raise LabError("n", n, "draw at least one response")
    sequences = generate(
        world.policy,
        prompts,
        max_new_tokens=world.max_new_tokens,
        temperature=world.objective.temperature,
        samples_per_prompt=n,
        seed=seed,
        job=job,
    )
    scores = (reward or world.reward).score(sequences).total
    best = scores.reshape(-1, n).argmax(dim=1) + n * torch.arange(len(prompts), device=scores.device)
    return Selection(n, sequences, scores, best.tolist())


def propose(
    world: World,
    count: int,
    *,
    reward: Reward | None = None,
    seen: Iterable[Pair] = (),
    seed: int = 0,
    job: Job = NO_JOB,
) -> list[Question]:
    """Choose pairs of new responses for a judge: different texts, not labelled yet, the most informative first.

    With a reward model these are what its head would learn most from; otherwise chance decides, as it always does
    about which of two texts stands first.
    """
    if count < 1:
        raise LabError("pairs", count, "ask for at least one")
    chance = torch.Generator().manual_seed(derived_seed(seed, "questions"))
    order = torch.randperm(len(world.prompts), generator=chance).tolist()
    drawn = generate(
        world.policy,
        [world.prompts[order[number % len(order)]] for number in range(max(2, count))],
        max_new_tokens=world.max_new_tokens,
        samples_per_prompt=PER_PROMPT,
        seed=derived_seed(seed, "candidates"),
        job=job,
    )
    places = _new_pairs(drawn, seen)
    chosen = torch.randperm(len(places), generator=chance)[:count].tolist()
    if isinstance(reward, RewardModel):
        chosen = _telling(reward, drawn, places, count=count)
    pairs = [places[number] for number in chosen]
    turned = (torch.rand(len(pairs), generator=chance) < 0.5).tolist()
    rows = [(b, a) if turn else (a, b) for (a, b), turn in zip(pairs, turned, strict=True)]
    return [Question(drawn.prompts[a], drawn.responses[a], drawn.responses[b]) for a, b in rows]


def most_informative(differences: Tensor, margins: Tensor, *, count: int, ridge: float = 1.0) -> list[int]:
    """Choose pairs, one after the other, of which a Bradley-Terry head learns most: D-optimal design.

    A pair with feature difference d adds p(1-p) d d' to the information A that begins as `ridge`; the next is the
    one that raises log det A most. A pair is worth little whose verdict is clear, or that resembles one chosen.

    differences: (N, H), in units of their spread. margins: (N,) log-odds. Returns at most `count` rows.
    """
    weights = torch.sigmoid(margins) * torch.sigmoid(-margins)
    inverse = torch.eye(differences.shape[1], dtype=differences.dtype) / ridge
    spread = (differences @ inverse * differences).sum(dim=1)  # (N,): d' A^-1 d
    chosen: list[int] = []
    for _ in range(min(count, len(differences))):
        gain = torch.log1p(weights * spread)
        gain[chosen] = -torch.inf
        best = int(gain.argmax())
        chosen.append(best)
        direction = inverse @ differences[best]
        share = weights[best] / (1 + weights[best] * spread[best])
        inverse = inverse - share * torch.outer(direction, direction)
        spread = spread - share * (differences @ direction).square()
    return chosen


def label_pairs(
    world: World,
    judges: Mapping[str, tuple[float, float]],
    *,
    count: int,
    seed: int,
    cut: bool = False,
    job: Job = NO_JOB,
) -> list[Pair]:
    """Sample two responses to a prompt until `count` different pairs are judged, the judges in turn.

    `judges` maps a name to its noise (units of gold) and its length bias (units of gold per token). Pairs with a
    response that was cut at the limit are left out unless `cut` asks for them.
    """
    if world.gold is None:
        raise LabError("world", world.name, "it has no gold judge, so no judge can be simulated; label pairs by hand")
    panel = [SimulatedJudge(name, world.gold, noise, bias) for name, (noise, bias) in judges.items()]
    generator = torch.Generator().manual_seed(derived_seed(seed, "judges"))
    pairs: list[Pair] = []
    for turn in range(10 * count):
        drawn = [_side(world, turn, seed=derived_seed(seed, "pair", turn, side), job=job) for side in (0, 1)]
        judge = panel[turn % len(panel)]
        first_wins = judge.choose(drawn[0], drawn[1], generator=generator).tolist()
        for row, prompt in enumerate(drawn[0].prompts):
            texts = [side.responses[row] for side in drawn]
            if texts[0] != texts[1] and (cut or all(bool(side.ended[row]) for side in drawn)):
                chosen, rejected = texts if first_wins[row] else texts[::-1]
                pairs.append(Pair(prompt, chosen, rejected, judge=judge.name))
        job.report(min(len(pairs), count), count, "pairs judged")
        if len(pairs) >= count:
            break
    return pairs[:count]


def _side(world: World, turn: int, *, seed: int, job: Job) -> Sequences:
    """Sample one response to each of 64 prompts."""
    prompts = [world.prompts[(64 * turn + row) % len(world.prompts)] for row in range(64)]
    return generate(world.policy, prompts, max_new_tokens=world.max_new_tokens, seed=seed, job=job.quiet())


def _new_pairs(drawn: Sequences, seen: Iterable[Pair]) -> list[tuple[int, int]]:
    """Return the rows of every two different texts of one prompt, each two texts once, without those seen before."""
    known = {(pair.prompt, frozenset((pair.chosen, pair.rejected))) for pair in seen}
    places = []
    for start in range(0, len(drawn), PER_PROMPT):
        for a, b in itertools.combinations(range(start, start + PER_PROMPT), 2):
            texts = (drawn.prompts[a], frozenset((drawn.responses[a], drawn.responses[b])))
            if drawn.responses[a] != drawn.responses[b] and texts not in known:
                known.add(texts)
                places.append((a, b))
    if not places:
        remedy = "every two samples were alike or had been asked about; choose another seed, or prompts that allow more"
        raise LabError("pairs", 0, remedy)
    return places


def _telling(reward: RewardModel, drawn: Sequences, places: Sequence[tuple[int, int]], *, count: int) -> list[int]:
    """Choose the pairs that the reward model's head would learn most from."""
    features = end_features(reward.model, drawn).double()  # (B, H)
    scores = reward.score(drawn).total.double() * reward.scale  # as they were fitted, without the unit
    first, second = (torch.tensor(side) for side in zip(*places, strict=True))
    differences = features[first] - features[second]
    unit = differences.square().mean(dim=0).sqrt().clamp(min=1e-12)
    return most_informative((differences / unit).cpu(), (scores[first] - scores[second]).cpu(), count=count)
