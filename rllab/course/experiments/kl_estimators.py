"""Three estimators of KL. As a value k3 is the one to look at; as a loss each of them does something else.

Two unit Gaussians, a little or a lot apart, for the values; a softmax over six actions, exactly, for the gradients.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from rllab.core.jobs import NO_JOB, Job
from rllab.maths.divergence import categorical_kl
from rllab.trainer.stages import KL_ESTIMATORS

APART = (0.1, 1.0)  # distance of the means; KL is half its square
ACTIONS = 6
BLOCK = 1_000_000  # samples that are worked on at once: Stop is asked about between blocks


@dataclass(frozen=True)
class Size:
    """How many samples are drawn."""

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
    """Measure values and gradients of k1, k2 and k3."""
    generator, values = torch.Generator().manual_seed(0), []
    for number, apart in enumerate(APART):
        job.report(number, len(APART), f"means {apart:g} apart")
        values += _values(apart, size.samples, generator, job)
    return Result(tuple(values), tuple(_slope(name, generator.manual_seed(1)) for name in KL_ESTIMATORS))


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
    logprobs, ref_logprobs = (torch.log_softmax(one, dim=0) for one in (logits, ref_logits))
    mean = (logprobs.detach().exp() * KL_ESTIMATORS[name](logprobs, ref_logprobs)).sum()
    wanted = (categorical_kl(logits, ref_logits), categorical_kl(ref_logits, logits))
    got, reverse, forward = (torch.autograd.grad(one, logits, retain_graph=True)[0] for one in (mean, *wanted))
    differences = (float((got - other).abs().max()) for other in (torch.zeros_like(got), reverse, forward))
    return Slope(name, *differences)
