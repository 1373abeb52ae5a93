"""The recorded runs of the other experiments keep their claims: estimators, KL, lengths, entropy, pairs, classics.

Nothing is trained here: each record in data/runs/ is held to the same signature as the fast run in
tests/course/experiments, and its figures are put beside the curriculum's, which stand in brackets.
"""

from __future__ import annotations

import statistics
from dataclasses import asdict
from importlib import import_module

from benchmarks.experiments import Check, check
from benchmarks.result import Result
from rllab.course.experiments import (
    baselines,
    best_of_n_kl,
    cliff,
    dpo_vs_rlhf,
    entropy_bonus,
    gae_lambda,
    kl_estimators,
    kl_frontier,
    label_noise,
    length_bias,
    ppo_clip,
    temperature,
)
from rllab.course.experiments.recorded import recorded, recorded_result
from rllab.course.tabular.control import Q_LEARNING, SARSA

TARGET = (
    "gae_lambda: the error of GAE is U-shaped in lambda, its best rises with batch and critic error; baselines: no "
    "bias, leave-one-out falls towards 1; best_of_n_kl: KL within its bound, met by many answers; kl_frontier: slope "
    "beta, gap beta KL; kl_estimators: spread and bias of k1, k2, k3, and the gradient of each; length_bias: GRPO's "
    "wrong answers grow, right ones shrink, Dr. GRPO stays; entropy_bonus: an inverted U; dpo_vs_rlhf: alike with "
    "many pairs, held back or lost with few; ppo_clip: the clip bounds the step; temperature: the entropy's slope, "
    "best temperature inside and rising with the tries; cliff: Q-learning falls, walks the shorter way; label_noise: "
    "accuracy rises below the ceiling. Signatures as in the fast tests, on every seed; in brackets the curriculum's "
    "figures"
)


def measure() -> Result:
    """Read the records and check each claim."""
    checks: list[Check] = [check(name, one) for name, one in CHECKS.items()]
    figure = "; ".join(f"{one.name} ({one.seeds}): {one.found}" for one in checks)
    return Result(
        "The recorded experiments on estimators, KL, lengths, entropy, pairs, clipping, temperature and classics have "
        "their signatures (data/runs/)",
        TARGET,
        figure,
        passed=all(one.holds for one in checks),
        details={"checks": [asdict(one) for one in checks]},
    )


def _holds(name: str, result: object, **sizes: int) -> bool:
    """Tell whether a record has the signature that its test asks of a run."""
    try:
        import_module(f"tests.course.experiments.test_{name}").check_signature(result, **sizes)
    except AssertionError:
        return False
    return True


def _lambda() -> tuple[str, bool, str]:
    result: gae_lambda.Result = recorded_result(gae_lambda)
    best = {name: [f"{result.arm(name).best(batch):g}" for batch in gae_lambda.BATCHES] for name in gae_lambda.CRITICS}
    found = ", ".join(f"{name} {'/'.join(values)}" for name, values in best.items())
    size = recorded("gae_lambda")["size"]
    found = (
        f"best lambda for {gae_lambda.BATCHES} texts: {found} (noisy .6/.6/.6/.8/.9, blind .2/.9/.98/1/1, perfect 0)"
    )
    return found, _holds("gae_lambda", result), f"{size['critics']} critics"


def _baselines() -> tuple[str, bool, str]:
    result: baselines.Result = recorded_result(baselines)
    ratios = ", ".join(f"{group.ratio:.1f}" for group in result.groups)
    found = f"leave-one-out over the exact baseline {ratios} for k = 2, 4, 8, 16 (2.4, 1.5, 1.2, 1.1)"
    return found, _holds("baselines", result), "exact up to 4 samples"


def _best_of_n() -> tuple[str, bool, str]:
    result: best_of_n_kl.Result = recorded_result(best_of_n_kl)
    many = result.of(max(row.answers for row in result.rows))
    kls = "/".join(f"{row.kl:.3f}" for row in many if row.n in {2, 4, 16, 64})
    found = f"KL {kls} nats for n = 2/4/16/64 (0.193/0.636/1.835/3.175); 10 answers {result.of(10)[-1].kl:.3f} (2.303)"
    return found, _holds("best_of_n_kl", result), "exact"


def _frontier() -> tuple[str, bool, str]:
    result: kl_frontier.Result = recorded_result(kl_frontier)
    off = max(abs(edge.slope / edge.beta - 1) for edge in result.frontier)
    found = f"slope beta within {off:.0e} (1e-4); best of {kl_frontier.BEST_OF} earns {result.best_of.reward:.2f}, "
    found += f"the optimum at its KL {result.optimum_there.reward:.2f} (1.75, 1.91)"
    return found, _holds("kl_frontier", result), "exact"


def _estimators() -> tuple[str, bool, str]:
    result: kl_estimators.Result = recorded_result(kl_estimators)
    spread = [
        "/".join(f"{result.value(name, apart).deviation:.3g}" for apart in kl_estimators.APART)
        for name in ("k1", "k2", "k3")
    ]
    found = f"sd in units of KL k1 {spread[0]}, k2 {spread[1]}, k3 {spread[2]} (20/2, 1.42/1.73, 1.42/1.70)"
    return found, _holds("kl_estimators", result), f"{recorded('kl_estimators')['size']['samples']:,} samples"


def _lengths() -> tuple[str, bool, str]:
    result: length_bias.Result = recorded_result(length_bias)

    def ends(arm: str) -> str:
        curves = result.of(arm, 1)
        wrong, right = (statistics.fmean(getattr(one, path)[-1] for one in curves) for path in ("wrong", "right"))
        return f"{wrong:.1f} wrong, {right:.1f} right"

    found = f"from {length_bias.START:g} tokens: GRPO {ends(length_bias.GRPO)} (255-320, 1.1); "
    found += f"DAPO {ends(length_bias.DAPO)} (26-40, 5-6); Dr. GRPO {ends(length_bias.DR_GRPO)} (9.8, 10.0)"
    return found, _holds("length_bias", result), f"{len(result.of(length_bias.GRPO, 1))} seeds"


def _entropy() -> tuple[str, bool, str]:
    result: entropy_bonus.Result = recorded_result(entropy_bonus)
    found = ", ".join(f"{arm.found:.0%} at {arm.bonus:g}" for arm in result.arms)
    found = (
        f"best answer found on {found} (0, 12%, 100%, 0% at 0, .1, .2, .5); no bonus H {result.arms[0].entropy[0]:.2f}"
    )
    found += f" to {result.arms[0].entropy[5]:.2f} to {result.arms[0].entropy[-1]:.2f} (2.88, .61, .03)"
    return found, _holds("entropy_bonus", result), f"{recorded('entropy_bonus')['size']['seeds']} seeds"


def _pairs() -> tuple[str, bool, str]:
    result: dpo_vs_rlhf.Result = recorded_result(dpo_vs_rlhf)
    model, dpo, _ = dpo_vs_rlhf.ARMS
    share = [
        f"{pairs:,} pairs {result.closed(model, pairs):.2f}, {result.closed(dpo, pairs):.2f}"
        for pairs in (1_000, 20_000)
    ]
    found = f"share of the gap, reward model plus RL and DPO as it is: {'; '.join(share)} (ahead; both nearly all)"
    holds = _holds("dpo_vs_rlhf", result, few=1_000, many=20_000)
    return found, holds, f"{recorded('dpo_vs_rlhf')['size']['seeds']} seeds"


def _clip() -> tuple[str, bool, str]:
    result: ppo_clip.Result = recorded_result(ppo_clip)
    forms = [
        form for form in dict.fromkeys(walk.form for walk in result.walks) if "0.1" not in form and "0.4" not in form
    ]
    kls = ", ".join(f"{form} {statistics.fmean(walk.kl[-1] for walk in result.of(form)):.2g}" for form in forms)
    return f"KL after the last epoch: {kls}", _holds("ppo_clip", result), _seeds("ppo_clip")


def _temperature() -> tuple[str, bool, str]:
    result: temperature.Result = recorded_result(temperature)
    tries = sorted({one.tries for one in result.passes})
    best = ", ".join(f"{statistics.fmean(result.best(k)):.2f} for {k}" for k in tries)
    return f"best temperature {best} tries", _holds("temperature", result), _seeds("temperature")


def _cliff() -> tuple[str, bool, str]:
    result: cliff.Result = recorded_result(cliff)
    arms = [result.arm(rule) for rule in (Q_LEARNING, SARSA)]
    online, greedy = [statistics.fmean(arm.online) for arm in arms], [statistics.median(arm.greedy) for arm in arms]
    found = f"Q-learning {online[0]:.0f}, SARSA {online[1]:.0f} on the way (-50, -26); greedy {greedy[0]:.0f}, "
    return f"{found}{greedy[1]:.0f} (-13, -17)", _holds("cliff", result), _seeds("cliff")


def _accuracy() -> tuple[str, bool, str]:
    result: label_noise.Result = recorded_result(label_noise)
    few, many = (result.mean(label_noise.NOISES[-1], pairs) for pairs in (result.pairs[0], result.pairs[-1]))
    found = f"most noise: {few[0]:.0%} to {many[0]:.0%} of the labels foreseen, ceiling {many[1]:.0%}; gold's order "
    return f"{found}{many[2]:.0%}", _holds("label_noise", result), _seeds("label_noise")


def _seeds(name: str) -> str:
    return f"{recorded(name)['size']['seeds']} seeds"


CHECKS = {
    "gae_lambda": _lambda,
    "baselines": _baselines,
    "best_of_n_kl": _best_of_n,
    "kl_frontier": _frontier,
    "kl_estimators": _estimators,
    "length_bias": _lengths,
    "entropy_bonus": _entropy,
    "dpo_vs_rlhf": _pairs,
    "ppo_clip": _clip,
    "temperature": _temperature,
    "cliff": _cliff,
    "label_noise": _accuracy,
}
