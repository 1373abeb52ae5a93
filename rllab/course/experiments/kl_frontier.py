"""The frontier of reward against KL. Its slope is beta, and a trained policy is below it by beta KL(pi || pi*).

One state with 200 answers, everything exact: the tilted optimum, the best of n, and a policy on its way to the
optimum by gradient steps.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rllab.core.jobs import NO_JOB, Job
from rllab.course.experiments import unmet
from rllab.plots.charts import Axes, Line, line_chart
from rllab.plots.drawing import Picture
from rllab.plots.text import fixed, probability, significant
from rllab.truth import Tree
from rllab.truth.levels import Level
from rllab.truth.optimum import Optimum, best_of_law, soft_optimum

ANSWERS = 200
BETAS = (5.0, 3.0, 2.0, 1.4, 1.0, 0.7, 0.5, 0.4, 0.35, 0.3, 0.25)
TRAINED_AT = 0.5  # beta
NUDGE = 1e-4  # relative step of beta for the slope
PRICES = (5.0, 2.0, 1.0, 0.5, 0.25, 0.1, 0.05)  # betas of `price_of_kl`
BETWEEN = 6  # policies from one price to the next, so that the line bends where the frontier does
BEST_OF = 16
LR = 0.1


@dataclass(frozen=True)
class Size:
    """How many gradient steps the trained policy takes, and steps between two measurements."""

    steps: int
    every: int


@dataclass(frozen=True)
class Point:
    """One policy: its distance from the reference and its expected reward."""

    kl: float  # nats
    reward: float


@dataclass(frozen=True)
class Edge:
    """The frontier at one beta."""

    beta: float
    point: Point
    slope: float  # dE[R]/dKL along the frontier
    gap: float  # J* - beta log Z by summing over the answers: 0 up to rounding


@dataclass(frozen=True)
class Trained:
    """The trained policy after some steps at beta 0.5."""

    step: int
    point: Point
    below: float  # J* - J
    explained: float  # beta KL(pi || pi*)


@dataclass(frozen=True)
class Result:
    """Frontier, training, and the best of n with the optimum at the same KL."""

    frontier: tuple[Edge, ...]
    trained: tuple[Trained, ...]
    best_of: Point
    optimum_there: Point


FAST, WORKSHOP = Size(steps=100, every=20), Size(steps=2000, every=100)


def run(size: Size, *, job: Job = NO_JOB) -> Result:
    """Compute the frontier, and train one policy towards it.

    Args:
        size: FAST, WORKSHOP or another size.
        job: What can stop the run, and where it reports its progress.

    Returns:
        The frontier, the trained policy on its way, and the best of 16.
    """
    generator = torch.Generator().manual_seed(0)
    ref = torch.log_softmax(torch.randn(ANSWERS, generator=generator, dtype=torch.float64), dim=0)
    reward = torch.randn(ANSWERS, generator=generator, dtype=torch.float64)
    best = best_of_law(ref, reward, n=BEST_OF)
    there = _optimum(ref, reward, _beta_at(ref, reward, best.kl))
    return Result(
        tuple(_edge(ref, reward, beta) for beta in BETAS),
        tuple(_train(ref, reward, size, job)),
        Point(best.kl, best.reward),
        Point(there.kl, there.reward),
    )


def check_signature(result: Result) -> list[str]:
    """Return the claims that a result does not meet.

    Args:
        result: What `run` returned, or a recorded result.

    Returns:
        The claims in words; empty if all hold.
    """
    kls = [edge.point.kl for edge in result.frontier]
    below = [trained.below for trained in result.trained]
    return unmet(
        {
            "the slope of the frontier is beta": all(
                math.isclose(edge.slope, edge.beta, rel_tol=1e-4) for edge in result.frontier
            ),
            "the optimum is worth beta log Z": all(abs(edge.gap) <= 1e-10 for edge in result.frontier),
            "a lower beta goes further": kls == sorted(kls),
            "a trained policy is below the optimum by beta KL(pi || pi*)": all(
                abs(trained.below - trained.explained) <= 1e-10 for trained in result.trained
            ),
            "training comes nearer at first": all(before > after for before, after in itertools.pairwise(below[:4])),
            "training never passes the optimum and comes close to it": -1e-12 <= below[-1] < 0.05 * below[0],
            "the best of n is compared at its own KL": abs(result.optimum_there.kl - result.best_of.kl) <= 1e-6,
            "the best of n is below the frontier": result.best_of.reward < result.optimum_there.reward,
        }
    )


def frontier(result: Result) -> Picture:
    """Draw the best reward for every KL, a policy on its way there, and best of 16.

    Args:
        result: What `run` returned, or a recorded result.

    Returns:
        The picture; its outcome is the slope of the frontier at beta 0.5.
    """
    best = [result.trained[0].point, *(edge.point for edge in result.frontier), result.optimum_there]
    best.sort(key=lambda point: point.kl)
    steps = [trained.point for trained in result.trained]
    lines = [
        _line("frontier", best, "ink", "lines+markers"),
        _line("trained", steps, "policy", "markers"),
        _line(f"best of {BEST_OF}", [result.best_of], "reward", "markers"),
    ]
    half = next(edge for edge in result.frontier if edge.beta == TRAINED_AT)
    early = result.trained[1]
    words = (
        f"At β = {TRAINED_AT:g} the slope of the frontier is {fixed(half.slope, 3)}. Best of {BEST_OF} gets "
        f"{fixed(result.best_of.reward)} where the best policy at the same KL gets "
        f"{fixed(result.optimum_there.reward)}. After {early.step} steps the trained policy is below J* by "
        f"{significant(early.below)}, and β·KL(π‖π*) is {significant(early.explained)}."
    )
    axes = Axes("KL to the reference (nats)", "expected reward")
    return Picture(line_chart(lines, axes), words, "reward over KL", half.slope)


def price_of_kl(tree: Tree, betas: Sequence[float] = PRICES) -> Callable[[float], Picture]:
    """Return the picture of the frontier of a world that is known exactly.

    Args:
        tree: All responses to a prompt.
        betas: Prices of a nat that can be asked for, from high to low.

    Returns:
        A function of beta, which marks the best policy for it on the frontier.
    """
    best = {beta: tree.optimum(beta) for beta in betas}
    edge = [
        tree.optimum(high ** (1 - at / BETWEEN) * low ** (at / BETWEEN)) if at else best[high]
        for high, low in itertools.pairwise(betas)
        for at in range(BETWEEN)
    ]
    edge.append(best[betas[-1]])

    def draw(beta: float) -> Picture:
        chosen = best[beta]
        lines = [
            _line("frontier", edge, "ink", "lines"),
            _line(f"β = {beta:g}", [chosen], "policy", "markers"),
        ]
        likely = int(chosen.leaf_logprobs.argmax())
        words = (
            f"At β = {beta:g} the best policy earns {fixed(chosen.reward)} at {fixed(chosen.kl)} nats. Its most likely "
            f"text is “{tree.leaves.responses[likely]}”, with probability "
            f"{probability(float(chosen.leaf_logprobs[likely].exp()))}."
        )
        axes = Axes("KL to the reference (nats)", "expected reward", height=240)
        return Picture(line_chart(lines, axes), words, "reward over KL, the best policy for each beta")

    return draw


def _line(name: str, policies: Sequence[Point | Optimum], role: str, mode: str) -> Line:
    return Line(name, [policy.kl for policy in policies], [policy.reward for policy in policies], role, mode=mode)


def _optimum(ref: Tensor, reward: Tensor, beta: float) -> Optimum:
    """Return the best policy of a tree that is one state."""
    actions = torch.arange(ANSWERS)[None]
    level = Level(torch.zeros(1, 0, dtype=torch.long), actions, ref[None], torch.full_like(actions, -1), actions)
    return soft_optimum([level], [reward[None]], [ref[None]], beta=beta, gamma=1.0)


def _edge(ref: Tensor, reward: Tensor, beta: float) -> Edge:
    """Return the frontier at one beta, with its slope by a small step to both sides."""
    low, here, high = (_optimum(ref, reward, beta * (1 + sign * NUDGE)) for sign in (-1, 0, 1))
    partition = float((ref + reward / beta).logsumexp(0))
    slope = (high.reward - low.reward) / (high.kl - low.kl)
    return Edge(beta, Point(here.kl, here.reward), slope, here.J - beta * partition)


def _beta_at(ref: Tensor, reward: Tensor, kl: float) -> float:
    """Return the beta whose optimum has this KL to the reference, by bisection: KL falls as beta rises."""
    low, high = 1e-2, 1e2
    for _ in range(60):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if _optimum(ref, reward, middle).kl > kl else (low, middle)
    return math.sqrt(low * high)


def _train(ref: Tensor, reward: Tensor, size: Size, job: Job) -> list[Trained]:
    """Return the policy on its way up J = E[R] - beta KL by the exact gradient, compared with the optimum."""
    beta, seen = TRAINED_AT, []
    best = _optimum(ref, reward, beta)
    logits = ref.clone().requires_grad_()
    optimizer = torch.optim.Adam([logits], lr=LR)
    for step in range(size.steps + 1):
        job.check()
        logprobs = torch.log_softmax(logits, dim=0)
        probs = logprobs.exp()
        earned, kl = (probs * reward).sum(), (probs * (logprobs - ref)).sum()
        if step % size.every == 0:
            apart = float((probs * (logprobs - best.leaf_logprobs)).sum().detach())
            below = best.J - float((earned - beta * kl).detach())
            seen.append(Trained(step, Point(float(kl.detach()), float(earned.detach())), below, beta * apart))
            job.report(step, size.steps, "training")
        optimizer.zero_grad()
        (beta * kl - earned).backward()
        optimizer.step()
    return seen
