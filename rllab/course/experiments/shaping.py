"""Reward shaping. A potential is a guess of the value: it helps where each step of it is used, and nowhere else.

Six positions, and a score of 1 for the one right text. The potential is the share of the text that is right so far,
and 0 once the text is over.

- sparse: the score at the end alone.
- shaped, whole return: the shaping adds up to minus the first potential, the same for all texts, so nothing is gained.
- shaped, one step: each word is judged by its own step of the potential (lambda = 0), the potential as critic.
- progress bonus: the steps without the one that takes them back; fast, and a different objective from the score.

The target for whole returns was 1.4 times the sparse score's texts, which is called no gain. Here it is a clear loss:
the potentials at later words differ from text to text, and a mean over the batch does not remove that noise.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rllab.core.jobs import NO_JOB, Job
from rllab.course.experiments import unmet
from rllab.course.experiments.samples_by_length import Credit, Search, texts_needed
from rllab.plots.charts import HEIGHT, bars
from rllab.plots.drawing import Picture, colour, drawing, faded
from rllab.plots.text import esc, fixed
from rllab.reward.shaping import potential_shaping

GOAL = 0.5  # probability of the right text


@dataclass(frozen=True)
class Size:
    """Length of the texts, seeds and learning rates; an arm that has not learned after `cap` texts counts as cap."""

    length: int
    seeds: int
    rates: tuple[float, ...]
    cap: int


@dataclass(frozen=True)
class Arm:
    """The texts that one arm needs until the right text has probability 1/2, at its best learning rate."""

    name: str
    texts: float  # median over seeds
    rate: float
    by_seed: tuple[int, ...]


@dataclass(frozen=True)
class Result:
    """All arms, and how far the shaped returns are from the plain ones less the first potential."""

    arms: tuple[Arm, ...]
    shift_error: float

    def texts(self, name: str) -> float:
        """Return the texts that one arm needs."""
        return next(arm.texts for arm in self.arms if arm.name == name)


RATES = tuple(2.0**power for power in range(-2, 3))
FAST, WORKSHOP = Size(5, 11, RATES, 20_000), Size(6, 31, RATES, 60_000)


def run(size: Size, *, job: Job = NO_JOB) -> Result:
    """Train every arm at every learning rate on every seed.

    Args:
        size: FAST, WORKSHOP or another size.
        job: What can stop the run, and where it reports its progress.

    Returns:
        The texts that each arm needs at its best learning rate.
    """
    arms, search = [], Search(size.rates, size.seeds, size.cap)
    for number, (name, credit) in enumerate(CREDIT_OF.items()):
        job.report(number, len(CREDIT_OF), name)
        found = texts_needed(
            credit,
            lambda chance: chance.prod(dim=1) >= GOAL,
            length=size.length,
            search=search,
            seed=size.length,
            job=job,
        )
        arms.append(Arm(name, found.texts, found.rate, found.by_seed))
    return Result(tuple(arms), shift_error(size.length))


def check_signature(result: Result) -> list[str]:
    """Return the claims that a result does not meet.

    Args:
        result: What `run` returned, or a recorded result.

    Returns:
        The claims in words; empty if all hold.
    """
    sparse = result.texts("sparse")
    return unmet(
        {
            "shaped returns are plain ones less the first potential": result.shift_error < 1e-10,
            "shaping whole returns gains nothing": result.texts("shaped, whole return") > 0.7 * sparse,
            "shaping each step needs far fewer texts": result.texts("shaped, one step") < 0.4 * sparse,
            "the progress bonus needs far fewer texts": result.texts("progress bonus") < 0.4 * sparse,
        }
    )


def shaping_arms(result: Result) -> Picture:
    """Draw how many texts each use of one and the same potential needs.

    Args:
        result: What `run` returned, or a recorded result.

    Returns:
        The picture; its outcome is the quickest arm that leaves the objective unchanged: any but the progress bonus.
    """
    names, texts = [arm.name for arm in result.arms], [arm.texts for arm in result.arms]
    colours = [colour("edge" if name == "progress bonus" else "reward") for name in names]
    series = bars(names, texts, colours, texts=[f"{count:,.0f}" for count in texts], horizontal=True)
    layout = {"height": HEIGHT - 40, "margin": {"r": 50}}
    drawn = drawing([series], x="texts until the right one has probability 1/2", y="", layout=layout)
    whole, step = result.texts("shaped, whole return"), result.texts("shaped, one step")
    words = (
        f"Sparse: {result.texts('sparse'):,.0f} texts. The same potential does not help with whole returns "
        f"({whole:,.0f}), and helps a lot where each step is used alone ({step:,.0f}). The progress bonus is a "
        "different objective."
    )
    fair = [arm for arm in result.arms if arm.name != "progress bonus"]
    return Picture(drawn, words, "texts needed by use of the potential", min(fair, key=lambda arm: arm.texts).name)


def painted_shaping(tokens: Sequence[str], rewards: Sequence[float]) -> Callable[[float, float, float], Picture]:
    """Return the picture of one text of three tokens under a potential that is 0 at its prompt.

    Args:
        tokens: The words of the text.
        rewards: What each is paid without shaping.

    Returns:
        A function of the potentials of the second and the third state, and of the finished text, which should be 0.
    """
    plain = torch.tensor([list(rewards)], dtype=torch.float64)
    names = [f"{at + 1} {esc(token)}" for at, token in enumerate(tokens)]

    def draw(second: float, third: float, last: float) -> Picture:
        potentials = torch.tensor([[0.0, second, third, 0.0]], dtype=torch.float64)
        shaped = plain + potential_shaping(potentials, torch.ones_like(plain, dtype=torch.bool), gamma=1.0)
        shaped[0, -1] += last
        traces = [
            bars(names, rewards, faded("reward", 0.35), name="paid without shaping"),
            bars(names, shaped[0].tolist(), colour("reward"), name="paid with shaping"),
        ]
        for trace in traces:  # a pale bar is seen by its edge
            trace["marker"]["line"] = {"color": colour("reward"), "width": 1.5}
        layout = {"height": HEIGHT - 40, "barmode": "group", "showlegend": True, "yaxis": {"range": [-3.2, 4.2]}}
        drawn = drawing(traces, x="token", y="reward", layout=layout)
        total, before = float(shaped.sum()), float(plain.sum())
        moved = (
            "the same as without shaping" if last == 0 else f"moved from {fixed(before, signed=True)} by Φ at the end"
        )
        words = f"Each token is also paid its step of Φ. The sum is {fixed(total, signed=True)}, {moved}."
        return Picture(drawn, words, "what each token is paid with and without shaping", total - before)

    return draw


def potentials_of(right: Tensor) -> Tensor:
    """Return the share of the text that is right so far, at the states s_0..s_T, (..., T+1); right: (..., T)."""
    so_far = right.cumprod(dim=-1).cumsum(dim=-1) / right.shape[-1]
    return torch.cat([torch.zeros_like(so_far[..., :1]), so_far], dim=-1)


def shaped_rewards(right: Tensor) -> Tensor:
    """Return the score at the end with the shaping added at every word, (B, T) -> (B, T)."""
    mask = torch.ones_like(right, dtype=torch.bool)
    return score_at_end(right) + potential_shaping(potentials_of(right), mask, gamma=1.0)


def shift_error(length: int) -> float:
    """Return how far shaped returns are from plain returns less the potential of the first state, over random texts."""
    right = (torch.rand(200, length, generator=torch.Generator().manual_seed(0)) < 0.8).double()
    shaped, plain = (rewards.sum(dim=1) for rewards in (shaped_rewards(right), score_at_end(right)))
    return float((shaped - plain + potentials_of(right)[:, 0]).abs().max())


def score_at_end(right: Tensor) -> Tensor:
    """Return a reward of 1 at the last word of each text that is right throughout, (B, T) -> (B, T)."""
    score = right.prod(dim=1, keepdim=True)
    return torch.cat([torch.zeros_like(right[:, 1:]), score], dim=1)


def _to_go(rewards: Tensor) -> Tensor:
    """Return the reward-to-go of each word, less its mean over the batch."""
    returns = rewards.flip(1).cumsum(dim=1).flip(1)
    return returns - returns.mean(dim=0)


CREDIT_OF: dict[str, Credit] = {
    "sparse": lambda right: _to_go(score_at_end(right)),
    "shaped, whole return": lambda right: _to_go(shaped_rewards(right)),
    "shaped, one step": shaped_rewards,
    "progress bonus": lambda right: _to_go(potentials_of(right).diff(dim=1)),
}
