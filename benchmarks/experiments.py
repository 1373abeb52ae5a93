"""Every recorded experiment shows its signature: the claims of its `check_signature`, on at least five seeds.

This script trains nothing. It reads the records in data/runs/, each made by `python -m rllab.course.experiments NAME`
at WORKSHOP size, and lists their figures next to the curriculum's, which are in brackets.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.result import Result
from rllab.course.experiments import (
    baselines,
    best_of_n_gold,
    best_of_n_kl,
    cliff,
    credit_or_objective,
    critic_foresight,
    dpo_vs_rlhf,
    entropy_bonus,
    gae_lambda,
    kl_estimators,
    kl_frontier,
    label_noise,
    learned_reward,
    length_bias,
    load_experiment,
    noise_by_length,
    ppo_clip,
    ppo_details,
    recorded,
    recorded_result,
    samples_by_length,
    shaping,
    temperature,
)
from rllab.course.experiments.__main__ import RECORDED
from rllab.course.tabular.control import Q_LEARNING, SARSA

FROM = 32  # tokens from which on the number of texts needed is proportional to the length
SEEDS = 5  # at least, where an experiment is not exact
TARGET = (
    "baselines: no bias, leave-one-out falls towards 1; best_of_n_gold: one maximum of gold under extreme errors and "
    "none under Gaussian ones; best_of_n_kl: KL within its bound, met by many answers; cliff: Q-learning falls, walks "
    "the shorter way; credit_or_objective: honest gold rises, the easy judge's rises and falls, sooner with a reward "
    "at each token; critic_foresight: a critic explains more in the second half of a text, more than one that is "
    "frozen or has a value after the end, on micro and on tales; dpo_vs_rlhf: alike with many pairs, held back or "
    "lost with few; entropy_bonus: an inverted U; gae_lambda: the error is U-shaped in lambda, the best lambda rises "
    "with batch and critic error; kl_estimators: spread and bias of k1, k2, k3, and the gradient of each; "
    "kl_frontier: slope beta, gap beta KL; label_noise: accuracy rises below the ceiling; learned_reward: one maximum "
    "in at least 95% of runs, the proxy rising in all, the peak later with 10,000 pairs than with 100 (95% interval "
    "above 0); length_bias: GRPO's wrong answers grow, right ones shrink, Dr. GRPO stays; noise_by_length: slopes of "
    "noise-to-signal in T 1, 1, 0, reward-to-go at half the level; ppo_clip: the clip bounds the step; ppo_details: "
    "each of six numbers moves as predicted when its detail is left out; samples_by_length: slopes of the texts "
    "needed from 32 tokens on 1, 1, 0 (±0.2; ±0.1); shaping: no gain with whole returns, one step at most 0.4 of "
    "sparse; temperature: the entropy's slope, the best temperature inside and rising with the tries. All on every "
    "seed, as in each experiment's check_signature; in brackets the curriculum's figures"
)


@dataclass(frozen=True)
class Check:
    """One recorded run: its figures, the claims it does not meet, its number of samples and its date."""

    name: str
    found: str
    unmet: list[str]
    sample: str
    date: str


def measure() -> Result:
    """Read the records and check each signature."""
    checks = [check(name) for name in RECORDED]
    figure = "; ".join(f"{done.name} ({done.sample}, recorded {done.date}): {done.found}" for done in checks)
    failed = [f"{done.name}: {claim}" for done in checks for claim in done.unmet]
    return Result(
        "Every recorded experiment shows its signature (data/runs/)",
        TARGET,
        f"NOT MET: {'; '.join(failed)}. {figure}" if failed else figure,
        passed=not failed,
        details={"checks": [asdict(done) for done in checks]},
    )


def check(name: str) -> Check:
    """Check one record; the name may end in a dash and a size."""
    stem, _, further = name.partition("-")
    experiment, record = load_experiment(stem), recorded(name)
    result, size = recorded_result(experiment, size=further), record["size"]
    unmet = experiment.check_signature(result)
    if size.get("seeds", SEEDS) < SEEDS:
        unmet.append(f"it has at least {SEEDS} seeds")
    unmet += [claim for claim, holds in FURTHER.get(name, {}).items() if not holds(result)]
    sample = SAMPLES[name].format(**size) if name in SAMPLES else f"{size['seeds']} seeds"
    return Check(name, FIGURES[stem](result), unmet, sample, record["date"])


SAMPLES = {
    "baselines": "exact up to 4 samples",
    "best_of_n_kl": "exact",
    "gae_lambda": "{critics} critics",
    "kl_estimators": "{samples:,} samples",
    "kl_frontier": "exact",
    "noise_by_length": "{draws:,} gradients a length",
}
FURTHER: dict[str, dict[str, Callable[[Any], bool]]] = {  # claims that only the recorded size can meet
    "learned_reward": {"the peak is later beyond chance": lambda result: result.put_off(100, 10_000)[1] > 0},
    "samples_by_length": {
        "one score at the end has slope 1": lambda result: abs(result.slope("terminal", beyond=FROM) - 1) < 0.2,
        "reward-to-go has slope 1": lambda result: abs(result.slope("reward-to-go", beyond=FROM) - 1) < 0.2,
        "own tokens have slope 0": lambda result: abs(result.slope("own token", beyond=FROM)) < 0.1,
    },
}


def _baselines(result: baselines.Result) -> str:
    ratios = ", ".join(f"{group.ratio:.1f}" for group in result.groups)
    return f"leave-one-out over the exact baseline {ratios} for k = 2, 4, 8, 16 (2.4, 1.5, 1.2, 1.1)"


def _best_of_n_gold(result: best_of_n_gold.Result) -> str:
    tails, stuffing = result.of("heavy tails"), result.of("keyword stuffing")
    humps = [sum(curve.humps for curve in curves) for curves in (tails, stuffing)]
    turns = sum(curve.turns for curve in result.of("gaussian"))
    top, end = statistics.fmean(max(curve.gold) for curve in tails), statistics.fmean(curve.gold[-1] for curve in tails)
    found = (
        f"one maximum on {humps[0]} and {humps[1]} of {len(tails)}, Gaussian {turns}; heavy tails gold {top:.2f} to "
    )
    return f"{found}{end:.2f} (0.87 to 0.21)"


def _best_of_n_kl(result: best_of_n_kl.Result) -> str:
    many = result.of(max(row.answers for row in result.rows))
    kls = "/".join(f"{row.kl:.3f}" for row in many if row.n in {2, 4, 16, 64})
    found = f"KL {kls} nats for n = 2/4/16/64 (0.193/0.636/1.835/3.175)"
    return f"{found}; 10 answers {result.of(10)[-1].kl:.3f} (2.303)"


def _cliff(result: cliff.Result) -> str:
    arms = [result.arm(rule) for rule in (Q_LEARNING, SARSA)]
    online, greedy = [statistics.fmean(arm.online) for arm in arms], [statistics.median(arm.greedy) for arm in arms]
    found = f"Q-learning {online[0]:.0f}, SARSA {online[1]:.0f} while learning (-50, -26)"
    return f"{found}; greedy {greedy[0]:.0f}, {greedy[1]:.0f} (-13, -17)"


def _credit_or_objective(result: credit_or_objective.Result) -> str:
    honest = [arm for timing in credit_or_objective.TIMINGS for arm in result.of(credit_or_objective.HONEST, timing)]
    late, soon = (result.of(credit_or_objective.EASY, timing) for timing in credit_or_objective.TIMINGS)
    sooner = sum(early.lost < arm.lost for early, arm in zip(soon, late, strict=True))
    ends = [statistics.fmean(arm.gold[-1] for arm in arms) for arms in (honest, late, soon)]
    found = f"gold {honest[0].gold[0]:.1f} at the start, at the end {ends[0]:.1f} honest, {ends[1]:.1f} easy, "
    return f"{found}{ends[2]:.1f} easy at each token, lost sooner on {sooner} of {len(soon)}"


def _critic_foresight(result: critic_foresight.Result) -> str:
    quarters = zip(*(critic.explained for critic in result.of(critic_foresight.FITTED)), strict=True)
    medians = [
        f"{arm} {statistics.median(critic.overall for critic in result.of(arm)):.2f}" for arm in critic_foresight.ARMS
    ]
    by_quarter = ", ".join(f"{statistics.fmean(quarter):.2f}" for quarter in quarters)
    return f"{result.world} explained by quarter {by_quarter}, in total {', '.join(medians)} (median)"


def _dpo_vs_rlhf(result: dpo_vs_rlhf.Result) -> str:
    shares = [
        f"{pairs:,} pairs {result.closed(dpo_vs_rlhf.MODEL, pairs):.2f}, {result.closed(dpo_vs_rlhf.DPO, pairs):.2f}"
        for pairs in (1_000, 20_000)
    ]
    return f"share of the gap, reward model plus RL and DPO as it is: {'; '.join(shares)} (ahead; both nearly all)"


def _entropy_bonus(result: entropy_bonus.Result) -> str:
    found = ", ".join(f"{arm.found:.0%} at {arm.bonus:g}" for arm in result.arms)
    plain = " to ".join(f"{result.arms[0].entropy[at]:.2f}" for at in (0, 5, -1))
    best = f"best answer found on {found} (0, 12%, 100%, 0% at 0, .1, .2, .5)"
    return f"{best}; no bonus H {plain} (2.88, .61, .03)"


def _gae_lambda(result: gae_lambda.Result) -> str:
    best = {arm.critic: "/".join(f"{arm.best(batch):g}" for batch in gae_lambda.BATCHES) for arm in result.arms}
    found = ", ".join(f"{critic} {lambdas}" for critic, lambdas in best.items())
    curriculum = "(noisy .6/.6/.6/.8/.9, uninformative .2/.9/.98/1/1, perfect 0)"
    return f"best lambda for {gae_lambda.BATCHES} texts: {found} {curriculum}"


def _kl_estimators(result: kl_estimators.Result) -> str:
    spread = [
        f"{name} " + "/".join(f"{result.value(name, apart).deviation:.3g}" for apart in kl_estimators.APART)
        for name in ("k1", "k2", "k3")
    ]
    return f"sd in units of KL {', '.join(spread)} (20/2, 1.42/1.73, 1.42/1.70)"


def _kl_frontier(result: kl_frontier.Result) -> str:
    off = max(abs(edge.slope / edge.beta - 1) for edge in result.frontier)
    found = f"slope beta within {off:.0e} (1e-4); best of {kl_frontier.BEST_OF} earns {result.best_of.reward:.2f}, "
    return f"{found}the optimum at its KL {result.optimum_there.reward:.2f} (1.75, 1.91)"


def _label_noise(result: label_noise.Result) -> str:
    few, many = (result.mean(label_noise.NOISES[-1], pairs) for pairs in (result.pairs[0], result.pairs[-1]))
    found = f"most noise: {few[0]:.0%} to {many[0]:.0%} of the labels predicted, ceiling {many[1]:.0%}; gold's order "
    return f"{found}{many[2]:.0%}"


def _learned_reward(result: learned_reward.Result) -> str:
    humps, rises = (sum(getattr(curve, name) for curve in result.curves) for name in ("humps", "rises"))
    off, low, high = result.put_off(100, 10_000)
    peaks = ", ".join(f"{statistics.fmean(result.peak_kl(pairs)):.1f}" for pairs in (100, 1_000, 10_000))
    found = f"one maximum in {humps} of {len(result.curves)} runs, proxy rising in {rises}; peaks at {peaks} nats "
    return f"{found}(3.7, 4.0, 6.4), later by {off:.1f} (95% {low:.2f} to {high:.1f})"


def _length_bias(result: length_bias.Result) -> str:
    ends = {}
    for arm in (length_bias.GRPO, length_bias.DAPO, length_bias.DR_GRPO):
        wrong, right = (
            statistics.fmean(getattr(curve, path)[-1] for curve in result.of(arm, 1)) for path in ("wrong", "right")
        )
        ends[arm] = f"{wrong:.1f} wrong, {right:.1f} right"
    found = f"from {length_bias.START:g} tokens: GRPO {ends[length_bias.GRPO]} (255-320, 1.1); "
    return f"{found}DAPO {ends[length_bias.DAPO]} (26-40, 5-6); Dr. GRPO {ends[length_bias.DR_GRPO]} (9.8, 10.0)"


def _noise_by_length(result: noise_by_length.Result) -> str:
    slopes = ", ".join(f"{result.slope(arm):.2f}" for arm in noise_by_length.ARMS)
    level = result.level("reward-to-go") / result.level("terminal")
    return f"slopes {slopes}, reward-to-go at {level:.2f} of the level"


def _ppo_clip(result: ppo_clip.Result) -> str:
    kls = {form: result.mean_kl(form)[-1] for form in (ppo_clip.PAPER, ppo_clip.ONE_SIDED, ppo_clip.NO_CLIP)}
    return f"KL after the last epoch: {', '.join(f'{form} {kl:.2g}' for form, kl in kls.items())}"


def _ppo_details(result: ppo_details.Result) -> str:
    means = {switch.name: result.means(switch.name) for switch in ppo_details.SWITCHES}
    return "; ".join(f"{name} {kept:.2g} to {without:.2g}" for name, (kept, without) in means.items())


def _samples_by_length(result: samples_by_length.Result) -> str:
    slopes = ", ".join(f"{result.slope(arm, beyond=FROM):.2f}" for arm in noise_by_length.ARMS)
    ends = ", ".join(f"{result.texts(arm, 512):,.0f}" for arm in noise_by_length.ARMS)
    return f"slopes {slopes}; texts at 512 tokens {ends} (2,896, 1,920, 64)"


def _shaping(result: shaping.Result) -> str:
    found = ", ".join(f"{arm.texts:,.0f} {arm.name}" for arm in result.arms)
    return f"texts {found} (7,600, 11,008, 544, 320)"


def _temperature(result: temperature.Result) -> str:
    best = ", ".join(f"{statistics.fmean(result.best(tries)):.2f} for {tries}" for tries in temperature.TRIES)
    return f"best temperature {best} tries"


FIGURES: dict[str, Callable[[Any], str]] = {
    "baselines": _baselines,
    "best_of_n_gold": _best_of_n_gold,
    "best_of_n_kl": _best_of_n_kl,
    "cliff": _cliff,
    "credit_or_objective": _credit_or_objective,
    "critic_foresight": _critic_foresight,
    "dpo_vs_rlhf": _dpo_vs_rlhf,
    "entropy_bonus": _entropy_bonus,
    "gae_lambda": _gae_lambda,
    "kl_estimators": _kl_estimators,
    "kl_frontier": _kl_frontier,
    "label_noise": _label_noise,
    "learned_reward": _learned_reward,
    "length_bias": _length_bias,
    "noise_by_length": _noise_by_length,
    "ppo_clip": _ppo_clip,
    "ppo_details": _ppo_details,
    "samples_by_length": _samples_by_length,
    "shaping": _shaping,
    "temperature": _temperature,
}
