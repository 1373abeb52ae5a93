"""Three estimators of KL. As a value, watch k3; as a loss, each of them does something different.

Two unit Gaussians, close together or far apart, for the values; a softmax over six actions, exactly, for the gradients.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from rllab.core.jobs import NO_JOB, Job
from rllab.course.experiments import unmet
from rllab.maths.divergence import categorical_kl
from rllab.plots.charts import HEIGHT, bars
from rllab.plots.drawing import Picture, colour, drawing
from rllab.plots.text import fixed, significant
from rllab.trainer.stages import KL_ESTIMATORS

APART = (0.1, 1.0)  # distance of the means; KL is half its square
ACTIONS = 6
BLOCK = 1_000_000  # samples computed at once: the job is checked between blocks
DEVIATIONS = {  # what one sample's standard deviation should be, in units of the true KL
    ("k1", 0.1): 20.0,
    ("k2", 0.1): 1.42,
    ("k3", 0.1): 1.42,
    ("k1", 1.0): 2.0,
    ("k2", 1.0): 1.73,
    ("k3", 1.0): 1.70,
}


@dataclass(frozen=True)
class Size:
    """How many samples are taken."""

    samples: int


@dataclass(frozen=True)
class Value:
    """One estimator at one distance, in units of the true KL."""

    estimator: str
    apart: float
    bias: float
    deviation: float  # of one sample


@dataclass(frozen=True)
class Slope:
    """The expected gradient of one estimator differentiated as a loss, samples held fixed: largest differences."""

    estimator: str
    to_nothing: float
    to_reverse: float  # the gradient of KL(pi || pi_ref)
    to_forward: float  # the gradient of KL(pi_ref || pi)


@dataclass(frozen=True)
class Result:
    """Values by sampling, gradients by enumeration."""

    values: tuple[Value, ...]
    slopes: tuple[Slope, ...]

    def value(self, estimator: str, apart: float) -> Value:
        """Return one estimator's row."""
        return next(row for row in self.values if (row.estimator, row.apart) == (estimator, apart))

    def slope(self, estimator: str) -> Slope:
        """Return one estimator's gradient."""
        return next(row for row in self.slopes if row.estimator == estimator)


FAST, WORKSHOP = Size(samples=400_000), Size(samples=10_000_000)


def run(size: Size, *, job: Job = NO_JOB) -> Result:
    """Measure values and gradients of k1, k2 and k3.

    Args:
        size: FAST, WORKSHOP or another size.
        job: What can stop the run, and where it reports its progress.

    Returns:
        Bias and deviation of each as a value, and what each follows as a loss.
    """
    generator, values = torch.Generator().manual_seed(0), []
    for number, apart in enumerate(APART):
        job.report(number, len(APART), f"means {apart:g} apart")
        values += _values(apart, size.samples, generator, job)
    return Result(tuple(values), tuple(_slope(name, generator.manual_seed(1)) for name in KL_ESTIMATORS))


def check_signature(result: Result) -> list[str]:
    """Return the claims that a result does not meet.

    Args:
        result: What `run` returned, or a recorded result.

    Returns:
        The claims in words; empty if all hold.
    """
    k1, k2, k3 = (result.slope(name) for name in ("k1", "k2", "k3"))
    return unmet(
        {
            "each estimator has its spread": all(
                math.isclose(result.value(name, apart).deviation, deviation, rel_tol=0.04)
                for (name, apart), deviation in DEVIATIONS.items()
            ),
            "k2 has little bias close together": abs(result.value("k2", 0.1).bias - 0.0025) < 0.012,
            "k2 is off by a quarter far apart": abs(result.value("k2", 1.0).bias - 0.25) < 0.02,
            "k3 has no bias far apart": abs(result.value("k3", 1.0).bias) < 0.02,
            "as a loss k1 does nothing": k1.to_nothing <= 1e-9,
            "as a loss k2 follows KL(pi || pi_ref)": k2.to_reverse <= 1e-9 and k2.to_forward > 1e-3,
            "as a loss k3 follows KL(pi_ref || pi)": k3.to_forward <= 1e-9 and k3.to_reverse > 1e-3,
            "as a loss k3 does something": k3.to_nothing > 1e-3,
        }
    )


def estimator_errors(result: Result) -> Picture:
    """Draw the spread of k1, k2 and k3 for policies close together and far apart, with the bias far apart in words.

    Args:
        result: What `run` returned, or a recorded result.

    Returns:
        The picture; its outcome is the estimator with the least bias and spread.
    """
    near, far = APART
    names = [slope.estimator for slope in result.slopes]
    spreads = {apart: [result.value(name, apart).deviation for name in names] for apart in APART}
    biases = {name: f"{fixed(100 * result.value(name, far).bias, 0, signed=True)}%" for name in names}
    traces = [
        bars(names, heights, colour(role), name=label, texts=[significant(height, 2) for height in heights])
        for heights, label, role in (
            (spreads[near], "close together", "policy"),
            (spreads[far], "far apart", "reward"),
        )
    ]
    under = [f"{name}<br>off by {bias}<br>far apart" for name, bias in biases.items()]  # close by, noise hides it
    ticks = {"tickvals": names, "ticktext": under}
    layout = {"height": HEIGHT, "barmode": "group", "showlegend": True, "xaxis": ticks, "bargap": 0.3}
    drawn = drawing(traces, x="estimator and its bias", y="spread of one sample / true KL", layout=layout)
    k1, k3 = (significant(result.value(name, near).deviation, 2) for name in ("k1", "k3"))
    words = (
        f"Close together a single k1 scatters by {k1} times the KL itself, a single k3 by only {k3} times; far apart "
        f"k2 is off by {biases['k2']} on average."
    )
    least = min(names, key=lambda name: result.value(name, near).deviation + abs(result.value(name, far).bias))
    return Picture(drawn, words, "spread of the estimators of KL", least)


def _values(apart: float, samples: int, generator: torch.Generator, job: Job) -> list[Value]:
    """Compare estimators on samples of N(0, 1); the reference is N(apart, 1)."""
    true, off, square = apart**2 / 2, dict.fromkeys(KL_ESTIMATORS, 0.0), dict.fromkeys(KL_ESTIMATORS, 0.0)
    for start in range(0, samples, BLOCK):
        job.check()
        drawn = torch.randn(min(BLOCK, samples - start), generator=generator, dtype=torch.float64)
        logprobs, ref_logprobs = -drawn.square() / 2, -(drawn - apart).square() / 2
        for name, estimator in KL_ESTIMATORS.items():
            error = estimator(logprobs, ref_logprobs) / true - 1.0
            off[name] += float(error.sum()) / samples
            square[name] += float(error.square().sum()) / samples
    return [Value(name, apart, off[name], (square[name] - off[name] ** 2) ** 0.5) for name in KL_ESTIMATORS]


def _slope(name: str, generator: torch.Generator) -> Slope:
    """Differentiate one estimator's mean, the probabilities of the samples held fixed."""
    logits, ref_logits = (torch.randn(ACTIONS, generator=generator, dtype=torch.float64) for _ in range(2))
    logits.requires_grad_()
    logprobs, ref_logprobs = (torch.log_softmax(row, dim=0) for row in (logits, ref_logits))
    mean = (logprobs.detach().exp() * KL_ESTIMATORS[name](logprobs, ref_logprobs)).sum()
    wanted = (categorical_kl(logits, ref_logits), categorical_kl(ref_logits, logits))
    got, reverse, forward = (torch.autograd.grad(value, logits, retain_graph=True)[0] for value in (mean, *wanted))
    differences = (float((got - other).abs().max()) for other in (torch.zeros_like(got), reverse, forward))
    return Slope(name, *differences)
