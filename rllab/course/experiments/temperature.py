"""Temperature. How the entropy depends on it, where pass@k is best, and the bug of scoring at a different one.

The entropy of a softmax at temperature tau grows at the rate Var(z) / tau^3, z the logits. The more tries are allowed
the more diversity pays: the best temperature for pass@k rises with k. And text that is sampled at tau but scored at 1
has a ratio different from 1 before anything is learned, which is how that bug is caught.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rllab.core.jobs import NO_JOB, Job
from rllab.core.records import Rollout
from rllab.course.experiments import unmet
from rllab.maths.divergence import entropy
from rllab.plots.charts import Axes, Line, line_chart
from rllab.plots.drawing import Picture
from rllab.plots.text import fixed, probability
from rllab.trainer.stages import STAGES, Context, Stages
from rllab.trainer.trainer import Trainer
from rllab.value.evaluation import evaluate
from rllab.worlds import World, load_world

TAUS = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.2, 1.5, 2.0)
TRIES = (1, 4, 16, 64, 256)
ROLES = ("policy", "value", "reward", "down", "kl")  # their colours
WORDS, TOKENS, HINT = 20, 4, 2.5  # a task is TOKENS choices among WORDS, with HINT added to the logit of the right one
NUDGE = 1e-4  # step of tau for the slope
SAMPLED = (0.5, 0.7, 1.0, 1.5)
DRAWN = tuple(number / 20 for number in range(2, 81))  # temperatures of a drawn entropy, 0.1 to 4
REACH = 0.5  # how far its tangent goes to both sides


@dataclass(frozen=True)
class Size:
    """How many tasks pass@k is averaged over, and seeds."""

    tasks: int
    seeds: int


@dataclass(frozen=True)
class Slope:
    """dH/dtau in nats at one temperature, averaged over the states of `micro`: measured, and by the law."""

    tau: float
    entropy: float  # nats
    measured: float
    law: float


@dataclass(frozen=True)
class Passes:
    """The share of tasks solved in k tries, at each of TAUS, for one seed's tasks."""

    tries: int
    seed: int
    solved: tuple[float, ...]

    @property
    def best(self) -> float:
        """Return the temperature at which most tasks are solved."""
        return TAUS[self.solved.index(max(self.solved))]


@dataclass(frozen=True)
class Mismatch:
    """The first epoch of a run that samples at some temperature, scored at the same one or at 1."""

    sampled_at: float
    scored_alike: bool
    ratio: float  # mean over tokens
    approx_kl: float  # nats per token
    clipped: float  # share of the tokens


@dataclass(frozen=True)
class Result:
    """The law, the tries and the bug."""

    slopes: tuple[Slope, ...]
    passes: tuple[Passes, ...]
    mismatches: tuple[Mismatch, ...]

    def best(self, tries: int) -> list[float]:
        """Return the best temperature for a number of tries, by seed."""
        return [curve.best for curve in self.passes if curve.tries == tries]


FAST, WORKSHOP = Size(200, 5), Size(2_000, 20)


def run(size: Size, *, job: Job = NO_JOB) -> Result:
    """Measure the slope on `micro`, pass@k on random tasks, and the first epoch of mismatched runs.

    Args:
        size: FAST, WORKSHOP or another size.
        job: What can stop the run, and where it reports its progress.

    Returns:
        The law, the tries and the bug.
    """
    world, passes, mismatches = load_world("micro"), [], []
    for seed in range(size.seeds):
        job.check()
        job.report(seed, size.seeds + 1, f"tasks of seed {seed}")
        passes += pass_at(TRIES, size.tasks, seed=seed)
    job.report(size.seeds, size.seeds + 1, "first epochs on micro")
    for tau in SAMPLED:
        mismatches += [first_epoch(world, tau, alike=alike, job=job) for alike in (True, False)]
    logits = state_logits(world)
    return Result(tuple(slope_at(logits, tau) for tau in TAUS), tuple(passes), tuple(mismatches))


def check_signature(result: Result) -> list[str]:
    """Return the claims that a result does not meet.

    Args:
        result: What `run` returned, or a recorded result.

    Returns:
        The claims in words; empty if all hold.
    """
    alike = [run for run in result.mismatches if run.scored_alike or run.sampled_at == 1.0]
    wrong = [run for run in result.mismatches if run not in alike]
    seeds = {curve.seed for curve in result.passes}
    bests = [[curve.best for curve in result.passes if curve.seed == seed] for seed in seeds]  # by number of tries
    return unmet(
        {
            "the entropy grows at the rate Var(z) / tau^3": all(
                math.isclose(slope.measured, slope.law, rel_tol=1e-6) for slope in result.slopes
            ),
            "the best temperature rises with the tries, on every seed": all(
                best == sorted(best) and best[-1] > best[0] for best in bests
            ),
            "the best temperature for many tries is inside": all(TAUS[0] < best[-1] < TAUS[-1] for best in bests),
            "scored alike, the first epoch has ratio 1 and clips nothing": all(
                abs(run.ratio - 1) <= 1e-6 and run.clipped == 0.0 and abs(run.approx_kl) <= 1e-9 for run in alike
            ),
            "scored at 1, the first epoch shows the bug": all(
                abs(run.ratio - 1) > 0.01 and run.approx_kl > 1e-3 and run.clipped > 0.05 for run in wrong
            ),
        }
    )


def passes_by_temperature(result: Result) -> Picture:
    """Draw the share of tasks solved in k tries over the temperature, with a large dot at the best; first seed.

    Args:
        result: What `run` returned, or a recorded result.

    Returns:
        The picture; its outcome is the way the best temperature moves with k: "up", "same" or "down".
    """
    curves, lines = [curve for curve in result.passes if curve.seed == 0], []
    for curve, role in zip(curves, ROLES, strict=True):
        solved = [100 * share for share in curve.solved]
        line = Line(f"pass@{curve.tries}", TAUS, solved, role, mode="lines+markers")
        lines += [line, line.dot(TAUS.index(curve.best))]
    drawn = line_chart(lines, Axes("temperature τ", "tasks solved (%)"))
    found = ", ".join(f"{curve.best:g} for {curve.tries}" for curve in curves)
    words = (
        f"The best temperature by number of tries: {found} (large dots). Diversity pays when only one try has to be "
        "right."
    )
    way = curves[-1].best - curves[0].best
    return Picture(drawn, words, "tasks solved by temperature", "up" if way > 0 else "down" if way < 0 else "same")


def entropy_by_temperature(states: Mapping[str, Tensor], names: Mapping[int, str]) -> Callable[[str, float], Picture]:
    """Return the picture of a state's entropy over tau, with its tangent at one tau.

    The tangent's slope is Var(z) / tau^3, with the variance of the logits z under the policy at tau; the curve is
    computed independently of it.

    Args:
        states: Logits (A,) by the state's name.
        names: The words of the tokens.

    Returns:
        A function of the state and tau.
    """

    def draw(state: str, tau: float) -> Picture:
        z = states[state].double()
        pi = (z / tau).softmax(dim=0)
        here, most = float(entropy(z / tau)), math.log(len(z))
        slope = float(pi @ (z - pi @ z).square()) / tau**3
        ends = [max(DRAWN[0], tau - REACH), tau + REACH]
        lines = [
            Line("H(τ)", DRAWN, [float(entropy(z / at)) for at in DRAWN], "policy"),
            Line("", ends, [here + slope * (end - tau) for end in ends], "ink", "dash"),
            Line("log |V|", [DRAWN[0], DRAWN[-1]], [most, most], "edge", "dot"),
        ]
        drawn = line_chart(lines, Axes("temperature τ", "entropy H (nats)", around=0.0, mark=tau))
        best = int(pi.argmax())
        words = (
            f"At τ = {tau:g} the most likely token is “{names[best].strip()}” with {probability(float(pi[best]))}, "
            f"and H = {fixed(here)} of at most {fixed(most)} nats. The dashed slope is Var(z)/τ³ = {fixed(slope)}."
        )
        return Picture(drawn, words, "entropy over temperature, with its slope")

    return draw


def state_logits(world: World) -> Tensor:
    """Return the logits of a world's policy after each prompt, (prompts, A)."""
    rows = []
    for prompt in world.prompts:
        ids = torch.tensor([world.policy.encode(prompt)])
        with torch.no_grad():
            rows.append(world.policy.model(ids).logits[0, -1, : world.policy.vocabulary].double())
    return torch.stack(rows)


def slope_at(logits: Tensor, tau: float) -> Slope:
    """Return the slope of the entropy in the temperature by two points, and by Var(z) / tau^3; logits: (states, A)."""
    probs = (logits / tau).softmax(dim=1)
    variance = (probs * logits.square()).sum(dim=1) - (probs * logits).sum(dim=1).square()
    above, below = (entropy(logits / (tau + step)) for step in (NUDGE, -NUDGE))
    measured = float((above - below).mean()) / (2 * NUDGE)
    return Slope(tau, float(entropy(logits / tau).mean()), measured, float(variance.mean()) / tau**3)


def pass_at(tries: Sequence[int], tasks: int, *, seed: int) -> list[Passes]:
    """Return the exact share of random tasks solved in k independent tries: the mean of 1 - (1 - p)^k."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(tasks, TOKENS, WORDS, generator=generator, dtype=torch.float64)
    logits[..., 0] += HINT  # the right word comes first, and is not always the most likely
    logps = [(logits / tau).log_softmax(dim=-1)[..., 0].sum(dim=1) for tau in TAUS]  # (tasks,) for each tau
    missed = [torch.log1p(-logp.exp().clamp(max=1 - 1e-15)) for logp in logps]
    return [Passes(k, seed, tuple(1 - float((k * miss).exp().mean()) for miss in missed)) for k in tries]


def first_epoch(world: World, tau: float, *, alike: bool, job: Job = NO_JOB) -> Mismatch:
    """Return the first epoch of an update at tau, the old log-probs taken at the same temperature or (the bug) at 1."""

    def scored_at_one(context: Context, prompts: Sequence[str]) -> Rollout:
        rows = STAGES.rollout(context, prompts)
        size = context.config.micro_batch_size
        plain = evaluate(context.policy, rows, reference=context.reference, micro_batch_size=size, job=context.job)
        return dataclasses.replace(rows, logprobs=plain.logprobs)

    stages = STAGES if alike else Stages(rollout=scored_at_one)
    metrics = Trainer(world, "ppo", world.config("ppo", temperature=tau, epochs=1), stages=stages).update(job=job)
    names = ("val/ratio_first", "policy/approxkl_first", "policy/clipfrac_first")
    return Mismatch(tau, alike, *(metrics[name] for name in names))
