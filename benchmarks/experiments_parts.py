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
from rllab.course.experiments import x03, x05, x06, x09, x10, x11, x12, x13, x14, x15, x16, x19
from rllab.course.experiments.recorded import recorded, recorded_result
from rllab.course.tabular.control import Q_LEARNING, SARSA

TARGET = (
    "X3: the error of GAE is U-shaped in lambda, its best rises with batch and critic error; X5: no bias, "
    "leave-one-out falls towards 1; X6: KL within its bound, met by many answers; X9: slope beta, gap beta KL; X10: "
    "spread and bias of k1, k2, k3, and the gradient of each; X11: GRPO's wrong answers grow, right ones shrink, Dr. "
    "GRPO stays; X12: an inverted U; X13: alike with many pairs, held back or lost with few; X14: the clip bounds the "
    "step; X15: the entropy's slope, best temperature inside and rising with the tries; X16: Q-learning falls, walks "
    "the shorter way; X19: accuracy rises below the ceiling. Signatures as in the fast tests, on every seed; in "
    "brackets the curriculum's figures"
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
    result: x03.Result = recorded_result(x03)
    best = {name: [f"{result.arm(name).best(batch):g}" for batch in x03.BATCHES] for name in x03.CRITICS}
    found = ", ".join(f"{name} {'/'.join(values)}" for name, values in best.items())
    size = recorded("x03")["size"]
    found = f"best lambda for {x03.BATCHES} texts: {found} (noisy .6/.6/.6/.8/.9, blind .2/.9/.98/1/1, perfect 0)"
    return found, _holds("x03", result), f"{size['critics']} critics"


def _baselines() -> tuple[str, bool, str]:
    result: x05.Result = recorded_result(x05)
    ratios = ", ".join(f"{group.ratio:.1f}" for group in result.groups)
    found = f"leave-one-out over the exact baseline {ratios} for k = 2, 4, 8, 16 (2.4, 1.5, 1.2, 1.1)"
    return found, _holds("x05", result), "exact up to 4 samples"


def _best_of_n() -> tuple[str, bool, str]:
    result: x06.Result = recorded_result(x06)
    many = result.of(max(row.answers for row in result.rows))
    kls = "/".join(f"{row.kl:.3f}" for row in many if row.n in {2, 4, 16, 64})
    found = f"KL {kls} nats for n = 2/4/16/64 (0.193/0.636/1.835/3.175); 10 answers {result.of(10)[-1].kl:.3f} (2.303)"
    return found, _holds("x06", result), "exact"


def _frontier() -> tuple[str, bool, str]:
    result: x09.Result = recorded_result(x09)
    off = max(abs(edge.slope / edge.beta - 1) for edge in result.frontier)
    found = f"slope beta within {off:.0e} (1e-4); best of {x09.BEST_OF} earns {result.best_of.reward:.2f}, the optimum "
    found += f"at its KL {result.optimum_there.reward:.2f} (1.75, 1.91)"
    return found, _holds("x09", result), "exact"


def _estimators() -> tuple[str, bool, str]:
    result: x10.Result = recorded_result(x10)
    spread = [
        "/".join(f"{result.value(name, apart).deviation:.3g}" for apart in x10.APART) for name in ("k1", "k2", "k3")
    ]
    found = f"sd in units of KL k1 {spread[0]}, k2 {spread[1]}, k3 {spread[2]} (20/2, 1.42/1.73, 1.42/1.70)"
    return found, _holds("x10", result), f"{recorded('x10')['size']['samples']:,} samples"


def _lengths() -> tuple[str, bool, str]:
    result: x11.Result = recorded_result(x11)

    def ends(arm: str) -> str:
        curves = result.of(arm, 1)
        wrong, right = (statistics.fmean(getattr(one, path)[-1] for one in curves) for path in ("wrong", "right"))
        return f"{wrong:.1f} wrong, {right:.1f} right"

    found = f"from {x11.START:g} tokens: GRPO {ends(x11.GRPO)} (255-320, 1.1); DAPO {ends(x11.DAPO)} (26-40, 5-6); Dr. "
    found += f"GRPO {ends(x11.DR_GRPO)} (9.8, 10.0)"
    return found, _holds("x11", result), f"{len(result.of(x11.GRPO, 1))} seeds"


def _entropy() -> tuple[str, bool, str]:
    result: x12.Result = recorded_result(x12)
    found = ", ".join(f"{arm.found:.0%} at {arm.bonus:g}" for arm in result.arms)
    found = (
        f"best answer found on {found} (0, 12%, 100%, 0% at 0, .1, .2, .5); no bonus H {result.arms[0].entropy[0]:.2f}"
    )
    found += f" to {result.arms[0].entropy[5]:.2f} to {result.arms[0].entropy[-1]:.2f} (2.88, .61, .03)"
    return found, _holds("x12", result), f"{recorded('x12')['size']['seeds']} seeds"


def _pairs() -> tuple[str, bool, str]:
    result: x13.Result = recorded_result(x13)
    model, dpo, _ = x13.ARMS
    share = [
        f"{pairs:,} pairs {result.closed(model, pairs):.2f}, {result.closed(dpo, pairs):.2f}"
        for pairs in (1_000, 20_000)
    ]
    found = f"share of the gap, reward model plus RL and DPO as it is: {'; '.join(share)} (ahead; both nearly all)"
    holds = _holds("x13", result, few=1_000, many=20_000)
    return found, holds, f"{recorded('x13')['size']['seeds']} seeds"


def _clip() -> tuple[str, bool, str]:
    result: x14.Result = recorded_result(x14)
    forms = [
        form for form in dict.fromkeys(walk.form for walk in result.walks) if "0.1" not in form and "0.4" not in form
    ]
    kls = ", ".join(f"{form} {statistics.fmean(walk.kl[-1] for walk in result.of(form)):.2g}" for form in forms)
    return f"KL after the last epoch: {kls}", _holds("x14", result), _seeds("x14")


def _temperature() -> tuple[str, bool, str]:
    result: x15.Result = recorded_result(x15)
    tries = sorted({one.tries for one in result.passes})
    best = ", ".join(f"{statistics.fmean(result.best(k)):.2f} for {k}" for k in tries)
    return f"best temperature {best} tries", _holds("x15", result), _seeds("x15")


def _cliff() -> tuple[str, bool, str]:
    result: x16.Result = recorded_result(x16)
    arms = [result.arm(rule) for rule in (Q_LEARNING, SARSA)]
    online, greedy = [statistics.fmean(arm.online) for arm in arms], [statistics.median(arm.greedy) for arm in arms]
    found = f"Q-learning {online[0]:.0f}, SARSA {online[1]:.0f} on the way (-50, -26); greedy {greedy[0]:.0f}, "
    return f"{found}{greedy[1]:.0f} (-13, -17)", _holds("x16", result), _seeds("x16")


def _accuracy() -> tuple[str, bool, str]:
    result: x19.Result = recorded_result(x19)
    few, many = (result.mean(x19.NOISES[-1], pairs) for pairs in (result.pairs[0], result.pairs[-1]))
    found = f"most noise: {few[0]:.0%} to {many[0]:.0%} of the labels foreseen, ceiling {many[1]:.0%}; gold's order "
    return f"{found}{many[2]:.0%}", _holds("x19", result), _seeds("x19")


def _seeds(name: str) -> str:
    return f"{recorded(name)['size']['seeds']} seeds"


CHECKS = {
    "x03": _lambda,
    "x05": _baselines,
    "x06": _best_of_n,
    "x09": _frontier,
    "x10": _estimators,
    "x11": _lengths,
    "x12": _entropy,
    "x13": _pairs,
    "x14": _clip,
    "x15": _temperature,
    "x16": _cliff,
    "x19": _accuracy,
}
