"""`ppo_clip` at its fast size: where the clip takes the gradient away, and what that does to the step."""

import statistics
import threading

import pytest

from rllab.core.errors import Stopped
from rllab.core.jobs import Job
from rllab.course.experiments import ppo_clip
from rllab.course.experiments.recorded import recorded, recorded_result

PAPER, ONE_SIDED, NO_CLIP = "paper, epsilon 0.2", "one-sided, epsilon 0.2", "no clip"
HALFWAY = ppo_clip.EPOCHS // ppo_clip.MARK // 2


def check_signature(result: ppo_clip.Result) -> None:
    check_walks(result)
    check_epochs(result)
    for corner in result.corners:
        over, under, good = corner.ratio > 1.2, corner.ratio < 0.8, corner.advantage > 0
        held = (good and over) or (not good and under)
        assert corner.paper == pytest.approx(0.0 if held else corner.advantage, abs=1e-12)
        assert corner.one_sided == pytest.approx(0.0 if over else corner.advantage, abs=1e-12)


def check_walks(result: ppo_clip.Result) -> None:
    for paper, one_sided, free in zip(*(result.of(form) for form in (PAPER, ONE_SIDED, NO_CLIP)), strict=True):
        assert paper.kl[-1] < one_sided.kl[-1]  # a sign test over paired seeds
        assert paper.kl[-1] < free.kl[-1] / 10
        assert one_sided.least_ratio < 0.3 < paper.least_ratio
    assert 0.01 < mean_kl(result, PAPER, -1) < 0.06
    assert mean_kl(result, ONE_SIDED, -1) > 0.2
    assert mean_kl(result, NO_CLIP, -1) > 1.0
    assert mean_kl(result, PAPER, -1) < 1.15 * mean_kl(result, PAPER, HALFWAY)  # it has flattened
    assert mean_kl(result, ONE_SIDED, -1) > 1.3 * mean_kl(result, ONE_SIDED, HALFWAY)
    ends = [mean_kl(result, f"paper, epsilon {eps}", -1) for eps in (0.1, 0.2, 0.4)]
    assert ends == sorted(ends)


def check_epochs(result: ppo_clip.Result) -> None:
    for one in result.epochs:
        assert one.ratio[0] == pytest.approx(1.0, abs=1e-12)
        assert one.clipped[0] == 0.0
        assert one.clipped[-1] > one.clipped[1]
        assert one.kl[-1] > 2 * one.kl[0]
        assert one.kl[0] == pytest.approx(result.epochs[0].kl[0], rel=1e-9)  # the first step knows no epsilon
    kls, clipped = [one.kl[-1] for one in result.epochs], [one.clipped[2] for one in result.epochs]
    assert kls == sorted(kls)
    assert clipped == sorted(clipped, reverse=True)


def mean_kl(result: ppo_clip.Result, form: str, epoch: int) -> float:
    return statistics.fmean(walk.kl[epoch] for walk in result.of(form))


def test_the_clip_bounds_the_step_and_the_one_sided_form_does_not() -> None:
    seen: list[int] = []
    check_signature(ppo_clip.run(ppo_clip.FAST, job=Job(report=lambda done, total, text: seen.append(done))))
    assert seen == list(range(9))


def test_the_recorded_run_has_the_signature() -> None:
    assert recorded("ppo_clip")["size"] == {"seeds": 20, "epochs": 16}
    check_signature(recorded_result(ppo_clip))


def test_it_stops() -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(Stopped):
        ppo_clip.run(ppo_clip.FAST, job=Job(stop))
    with pytest.raises(Stopped):
        ppo_clip.open_epochs(0.2, 2, stop)
