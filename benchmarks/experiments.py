"""The recorded runs of the experiments on credit, over-optimisation and the parts of PPO keep their claims.

Nothing is trained here: the records in data/runs/ are read, each made by
`python -m rllab.course.experiments NAME` at workshop size, and what they hold is compared with the targets.
`pytest tests/course/experiments` runs the fast sizes.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import asdict, dataclass

from benchmarks.result import Result
from rllab.course.experiments import (
    best_of_n_gold,
    credit_or_objective,
    critic_foresight,
    learned_reward,
    noise_by_length,
    ppo_details,
    samples_by_length,
    shaping,
)
from rllab.course.experiments.recorded import recorded, recorded_result

FROM = 32  # tokens, beyond which the texts needed are in proportion to the length
TARGET = (
    "noise_by_length: slope of noise-to-signal in T 1, 1, 0 (±0.1; ±0.02 for own token), reward-to-go at half the "
    "level; samples_by_length: slope of the texts needed beyond 32 tokens 1, 1, 0 (±0.2; ±0.1); shaping: shaping with "
    "whole returns no gain, one step at most 0.4 of sparse; best_of_n_gold: one maximum of gold under extreme errors "
    "and none under Gaussian ones, on 5 of 5 seeds; learned_reward: one maximum in at least 95% of runs, the proxy "
    "rising in all, the peak later with 10,000 pairs than with 100 (95% interval above 0); critic_foresight: a fitted "
    "critic explains more of the return in the second half of a text than in the first, more in all than one that is "
    "frozen (0) or believes in a value after the end, and padding in the fit changes it by at most 0.15, on every "
    "seed of micro and of tales; ppo_details: each of six numbers moves as predicted when its detail is left out, on "
    "every seed; credit_or_objective: honest gold rises, the easy judge's rises and falls, sooner when each token is "
    "paid. In brackets the curriculum's figures"
)


@dataclass(frozen=True)
class Check:
    """One experiment: what was found, whether that is what was claimed, and when it was recorded on how many seeds."""

    name: str
    found: str
    holds: bool
    seeds: str
    date: str


def measure() -> Result:
    """Read the records and check each claim."""
    checks = [check(name, one) for name, one in CHECKS.items()]
    figure = "; ".join(f"{one.name} ({one.seeds}, recorded {one.date}): {one.found}" for one in checks)
    claim = "The recorded experiments on credit, over-optimisation and PPO's parts have their signatures (data/runs/)"
    passed = all(one.holds for one in checks)
    return Result(claim, TARGET, figure, passed=passed, details={"checks": [asdict(one) for one in checks]})


def check(name: str, read: Callable[[], tuple[str, bool, str]]) -> Check:
    """Check one record by what `read` finds in it: words, whether the claim holds, and on how many seeds."""
    found, holds, seeds = read()
    return Check(name, found, holds, seeds, recorded(name)["date"])


def _noise() -> tuple[str, bool, str]:
    result: noise_by_length.Result = recorded_result(noise_by_length)
    terminal, to_go, own = (result.slope(arm) for arm in noise_by_length.ARMS)
    level = result.level("reward-to-go") / result.level("terminal")
    holds = max(abs(terminal - 1), abs(to_go - 1)) < 0.1 and abs(own) < 0.02 and 0.45 < level < 0.56
    found = f"slopes {terminal:.2f}, {to_go:.2f}, {own:.2f}, reward-to-go at {level:.2f} of the level"
    return found, holds, f"{recorded('noise_by_length')['size']['draws']:,} gradients a length"


def _samples() -> tuple[str, bool, str]:
    result: samples_by_length.Result = recorded_result(samples_by_length)
    terminal, to_go, own = (result.slope(arm, beyond=FROM) for arm in noise_by_length.ARMS)
    holds = max(abs(terminal - 1), abs(to_go - 1)) < 0.2 and abs(own) < 0.1
    ends = [f"{result.texts(arm, 512):,.0f}" for arm in noise_by_length.ARMS]
    found = f"slopes {terminal:.2f}, {to_go:.2f}, {own:.2f}; texts at 512 tokens {', '.join(ends)} (2,896, 1,920, 64)"
    return found, holds, f"{len(result.costs[0].by_seed)} seeds"


def _shaping() -> tuple[str, bool, str]:
    result: shaping.Result = recorded_result(shaping)
    sparse, whole, step, bonus = (result.texts(arm.name) for arm in result.arms)
    holds = whole > 0.7 * sparse and step < 0.4 * sparse and result.shift_error < 1e-10
    found = f"texts {sparse:,.0f} sparse, {whole:,.0f} whole return, {step:,.0f} one step, {bonus:,.0f} bonus"
    return f"{found} (7,600, 11,008, 544, 320)", holds, f"{len(result.arms[0].by_seed)} seeds"


def _best_of_n() -> tuple[str, bool, str]:
    result: best_of_n_gold.Result = recorded_result(best_of_n_gold)
    humps = [sum(one.humps for one in result.of(kind)) for kind in ("heavy tails", "keyword stuffing")]
    turns, seeds = sum(one.turns for one in result.of("gaussian")), len(result.of("gaussian"))
    tails = result.of("heavy tails")
    top, end = (statistics.fmean(pick(one.gold) for one in tails) for pick in (max, lambda gold: gold[-1]))
    holds = humps == [seeds, seeds] and turns == 0 and all(one.rises for one in result.curves)
    found = f"one maximum on {humps[0]} and {humps[1]} of {seeds}, Gaussian {turns}; heavy tails gold {top:.2f} to "
    return f"{found}{end:.2f} (0.87 to 0.21)", holds and seeds >= 5, f"{seeds} seeds"


def _learned_reward() -> tuple[str, bool, str]:
    result: learned_reward.Result = recorded_result(learned_reward)
    humps, rises = (sum(getattr(one, name) for one in result.curves) for name in ("humps", "rises"))
    off, low, high = result.put_off(100, 10_000)
    count, seeds = len(result.curves), len(result.of(100))
    positive = all(fit.alpha > 0 and fit.beta > 0 for fit in result.fits)
    peaks = ", ".join(f"{statistics.fmean(result.peak_kl(pairs)):.1f}" for pairs in (100, 1_000, 10_000))
    found = f"one maximum in {humps} of {count} runs, proxy rising in {rises}; peaks at {peaks} nats (3.7, 4.0, 6.4), "
    found += f"put off by {off:.1f} (95% {low:.2f} to {high:.1f})"
    return found, humps >= 0.95 * count and rises == count and low > 0 and positive and seeds >= 5, f"{seeds} seeds"


def _critic() -> tuple[str, bool, str]:
    results: list[critic_foresight.Result] = [
        recorded_result(critic_foresight),
        recorded_result(critic_foresight, size="tales"),
    ]
    holds = all(_calibrated(result) for result in results) and min(map(_seeds, results)) >= 5
    seeds = f"{_seeds(results[0])} seeds, tales {_seeds(results[1])}"
    return "; ".join(f"{result.world} {_explained(result)}" for result in results), holds, seeds


def _calibrated(result: critic_foresight.Result) -> bool:
    arms = zip(*(result.of(arm) for arm in critic_foresight.ARMS), strict=True)
    return all(
        sum(fitted.explained[2:]) > sum(fitted.explained[:2])
        and fitted.overall > max(0.05, wrong.overall + 0.03)
        and not any(frozen.explained)
        and abs(padded.overall - fitted.overall) < 0.15
        for fitted, frozen, wrong, padded in arms
    )


def _seeds(result: critic_foresight.Result) -> int:
    return len(result.of(critic_foresight.FITTED))


def _explained(result: critic_foresight.Result) -> str:
    quarters = zip(*(one.explained for one in result.of(critic_foresight.FITTED)), strict=True)
    overall = {arm: [one.overall for one in result.of(arm)] for arm in critic_foresight.ARMS}
    found = f"explained by quarter {', '.join(f'{statistics.fmean(quarter):.2f}' for quarter in quarters)}, in all "
    medians = (f"{arm} {statistics.median(shares):.2f}" for arm, shares in overall.items())
    return found + ", ".join(medians) + " (median)"


def _details() -> tuple[str, bool, str]:
    result: ppo_details.Result = recorded_result(ppo_details)
    found, holds = [], True
    for switch in ppo_details.SWITCHES:
        outcomes = result.of(switch.name)
        holds = holds and len(outcomes) >= 5 and all(switch.way * (one.left_out - one.kept) > 0 for one in outcomes)
        kept, without = result.means(switch.name)
        found.append(f"{switch.name} {kept:.2g} to {without:.2g}")
    return "; ".join(found), holds, f"{len(result.of(ppo_details.SWITCHES[0].name))} seeds"


def _two_by_two() -> tuple[str, bool, str]:
    result: credit_or_objective.Result = recorded_result(credit_or_objective)
    honest = [arm for timing in credit_or_objective.TIMINGS for arm in result.of("honest", timing)]
    late, soon = (result.of("easy to please", timing) for timing in credit_or_objective.TIMINGS)
    sooner = sum(one.lost < two.lost for one, two in zip(soon, late, strict=True))
    fine, fallen = all(arm.gain > 8 and arm.fall < 0.5 for arm in honest), all(arm.fall > 4 for arm in [*late, *soon])
    ends = [statistics.fmean(arm.gold[-1] for arm in arms) for arms in (honest, late, soon)]
    found = f"gold {honest[0].gold[0]:.1f} at the start, in the end {ends[0]:.1f} honest, {ends[1]:.1f} easy, "
    found += f"{ends[2]:.1f} easy at each token, lost sooner on {sooner} of {len(soon)}"
    return found, fine and fallen and sooner == len(soon) >= 5, f"{len(soon)} seeds"


CHECKS = {
    "noise_by_length": _noise,
    "samples_by_length": _samples,
    "shaping": _shaping,
    "best_of_n_gold": _best_of_n,
    "learned_reward": _learned_reward,
    "critic_foresight": _critic,
    "ppo_details": _details,
    "credit_or_objective": _two_by_two,
}
