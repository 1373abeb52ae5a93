"""Checks that can be ordered for a case: numbers that no curve shows, because something has to be done again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from rllab.core.jobs import Job
from rllab.course.clinic.cases import Case
from rllab.maths.masking import apply_mask
from rllab.value.evaluation import evaluate

COMPARED = {"policy loss": "loss/policy_avg", "gradient norm": "grad_norm"}
SAME = 1e-4  # relative: what rounding in float32 stays below


@dataclass(frozen=True)
class Sighting:
    """What a check has shown."""

    words: str
    agrees: bool  # the two numbers that were compared are the same


@dataclass(frozen=True)
class Check:
    """One thing that can be done again."""

    name: str
    title: str
    do: Callable[[Case, Job], Sighting]


def score_again(case: Case, job: Job) -> Sighting:
    """Let the reward judge the texts of the last update once more."""
    del job  # no network is run again but the reward's
    written = case.last.scores.total
    again = case.trainer.world.objective.score(case.last.rollout).total
    off = ~_close(written, again)
    if not bool(off.any()):
        return Sighting(f"Scored again, all {len(again)} responses get the score that they had.", agrees=True)
    row = int((again - written).abs().argmax())
    had, gets = (_written(float(one[row])) for one in (written, again))
    return Sighting(
        f"Scored again, {int(off.sum())} of {len(again)} responses get another score; "
        f"{case.last.rollout.responses[row]!r} had {had} and gets {gets}.",
        agrees=False,
    )


def read_again(case: Case, job: Job) -> Sighting:
    """Go back to before the last update, and read policy and critic on its texts."""
    rows, then = case.last.rollout, case.trainer.fork()
    then.rewind(case.trainer.index - 1, job=job)
    again = evaluate(then.world.policy, rows, critic=then.world.critic, temperature=then.config.temperature, job=job)
    read = {"log π": (rows.logprobs, again.logprobs), "V": (rows.values, again.values)}
    off = {name: _furthest(*pair, rows.response_mask) for name, pair in read.items()}
    words = " and ".join(f"{name} by at most {size:.2g}" for name, size in off.items())
    return Sighting(
        f"Read again with the weights of that moment, what was written down is off: {words}.",
        agrees=max(off.values()) < SAME,
    )


def cut_again(case: Case, job: Job) -> Sighting:
    """Do the first update once more, with the batch cut into other micro-batches."""
    config, first = case.trainer.config, case.history[0].metrics
    size = config.batch_size if config.micro_batch_size < config.batch_size else config.batch_size // 4
    again = case.start_again(micro_batch_size=size).update(job=job)
    pairs = {title: (first[name], again[name]) for title, name in COMPARED.items()}
    said = ", ".join(f"{title} {_written(one)} and {_written(other)}" for title, (one, other) in pairs.items())
    return Sighting(
        f"The first update with micro-batches of {config.micro_batch_size}, and again with {size}: {said}.",
        agrees=all(abs(one - other) <= SAME * (1 + abs(one)) for one, other in pairs.values()),
    )


CHECKS = (
    Check("score again", "Score the texts again", score_again),
    Check("read again", "Read policy and critic again", read_again),
    Check("cut again", "Cut the batch into other pieces", cut_again),
)


def _close(first: Tensor, second: Tensor) -> Tensor:
    return (first - second).abs() <= SAME * (1 + first.abs())


def _furthest(first: Tensor, second: Tensor, mask: Tensor) -> float:
    """Return the largest difference where the mask holds."""
    return float(apply_mask(first - second, mask).abs().max())


def _written(value: float) -> str:
    """Write a number with a true minus sign; a rounded zero has none."""
    return f"{round(value, 4) + 0.0:.4f}".replace("-", "\u2212")
