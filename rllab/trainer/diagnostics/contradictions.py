"""Patterns that no healthy run can show: two numbers that must agree, and do not."""

from __future__ import annotations

import statistics
from collections.abc import Callable

from rllab.core.records import UpdateRecord
from rllab.trainer.diagnostics.curves import Curves, Finding, standard_errors

Pattern = Callable[[Curves], Finding | None]
ENOUGH = 10  # updates before a mean is judged
SURE = 6.0  # standard errors; ten healthy updates exceed it once in ten thousand runs


def ratio_moved_early(curves: Curves) -> Finding | None:
    """On the first epoch nothing has moved, so every ratio is 1."""

    def shows(record: UpdateRecord) -> bool:
        drift, ratio = record.metrics["policy/approxkl_first"], record.metrics["val/ratio_first"]
        return drift > 1e-7 or abs(ratio - 1) > 1e-4 or record.metrics["policy/clipfrac_first"] > 0

    record = curves.first(shows)
    if record is None:
        return None
    return Finding(
        "ratio is not 1 on the first epoch",
        "ill",
        f"In update {record.index}, before any step, the mean ratio was {record.metrics['val/ratio_first']:.4f}, and "
        f"{record.metrics['policy/approxkl_first']:.2g} nats per token lay between two readings of the same text.",
        "The log-probs kept from the rollout and those of the update come from two different computations: "
        "dropout is on in one of them, their temperatures differ, or they were taken at different weights.",
        ("huggingface/trl #4159", "huggingface/trl #744", "huggingface/trl #3234", "reef #536"),
        record.index,
    )


def value_moved_early(curves: Curves) -> Finding | None:
    """On the first epoch the critic says what it said at the rollout."""
    record = curves.first(lambda one: one.metrics["val/value_shift_first"] > 1e-4)
    if record is None:
        return None
    return Finding(
        "values at the rollout are not the critic's",
        "ill",
        f"In update {record.index}, before any step, V differed by {record.metrics['val/value_shift_first']:.3g} per "
        "state from what was written down for the same states.",
        "The values in the batch belong to other states or to another critic. The usual cause is a shift by one: "
        "V(s_t) has to be read before token t is.",
        ("huggingface/trl #44", "verl #1758", "openai/spinningup #50", "huggingface/trl #202"),
        record.index,
    )


def dead_critic(curves: Curves) -> Finding | None:
    """A critic that misses has a gradient."""
    losses, norms = curves.of("loss/value_avg"), curves.of("critic/grad_norm")
    if not losses or max(losses) == 0 or max(norms) > 0 or min(losses) < 1e-12:
        return None
    return Finding(
        "the critic gets no gradient",
        "ill",
        f"The critic misses the returns (value loss {losses[-1]:.3g}), and its gradient was exactly 0 in all "
        f"{curves.updates} updates.",
        "Somewhere between its output and the loss the graph is cut, for instance by detach or item.",
        ("jsboige/CoursIA PR #15256",),
        curves.history[0].index,
    )


def reward_account(curves: Curves) -> Finding | None:
    """What the tokens are paid, KL included, adds up to the score less the price of the KL."""
    off = [record for record in curves.history if abs(_gap(record)) > 1e-4 * _size(record)]
    if not off:
        return None
    last, since = off[-1], off[0].index
    if all(abs(_gap(one) - 2 * _price(one)) < 1e-3 * _size(one) for one in off):
        return _wrong_sign(last, since)
    return Finding(
        "what the tokens are paid is not the score",
        "ill",
        f"In update {last.index} the score was {last.metrics['objective/scores']:.3f}, but the response tokens were "
        f"paid {_gap(last):+.3f} besides score and KL, from update {since} on.",
        "Part of the score falls where no response token is. Usually it is paid one column too late, on padding: "
        "the last token of a response is its end token, not the column after it.",
        ("huggingface/trl #3750", "huggingface/trl #1893", "deepspeedai/DeepSpeedExamples #672"),
        since,
    )


def _price(record: UpdateRecord) -> float:
    """Return what the KL costs inside the reward."""
    in_reward = record.config["kl_place"] == "reward"
    return record.metrics["kl_coef"] * record.metrics["objective/kl"] if in_reward else 0.0


def _gap(record: UpdateRecord) -> float:
    """Return what the tokens were paid beyond score and KL."""
    return record.metrics["objective/rlhf_reward"] - (record.metrics["objective/scores"] - _price(record))


def _size(record: UpdateRecord) -> float:
    """Return the size of the numbers in this account, for what counts as rounding."""
    return 1 + abs(record.metrics["objective/scores"]) + abs(record.metrics["objective/kl"])


def _wrong_sign(record: UpdateRecord, since: int) -> Finding:
    """Say that the KL is paid where it should be charged."""
    score, paid = record.metrics["objective/scores"], record.metrics["objective/rlhf_reward"]
    kl = record.metrics["objective/kl"]
    return Finding(
        "the KL is paid instead of charged",
        "ill",
        f"In update {record.index} the score was {score:.3f} and the KL {kl:.3f} nats; less its price that is "
        f"{score - record.metrics['kl_coef'] * kl:.3f}, but the tokens were paid {paid:.3f}.",
        "The sign of the KL term is wrong: the policy is paid for leaving its reference.",
        ("slime #397", "slime #1247", "huggingface/trl #925"),
        since,
    )


def narrow_sampling(curves: Curves) -> Finding | None:
    """Written tokens are as surprising to the policy, on average, as its own entropy says."""
    gaps = [
        sampled - exact
        for sampled, exact in zip(curves.of("objective/entropy_sampled"), curves.of("objective/entropy"), strict=True)
    ]
    entropy = statistics.fmean(curves.of("objective/entropy"))
    if len(gaps) < ENOUGH or abs(standard_errors(gaps)) < SURE or abs(statistics.fmean(gaps)) < 0.03 * entropy:
        return None
    narrow = statistics.fmean(gaps) < 0
    return Finding(
        "texts are not a fair sample of the policy",
        "ill",
        f"Over {len(gaps)} updates the written tokens surprise the policy by "
        f"{statistics.fmean(curves.of('objective/entropy_sampled')):.3f} nats each, where its own entropy is "
        f"{entropy:.3f}.",
        f"They were drawn from a {'narrower' if narrow else 'wider'} distribution than the one that is scored: another "
        "temperature, or top-k or top-p. The KL estimate then comes out too low or below 0, and every ratio is off.",
        ("huggingface/trl #4159", "OpenRLHF #853", "huggingface/trl #615", "huggingface/trl #925"),
        curves.history[0].index,
    )


def reference_follows(curves: Curves) -> Finding | None:
    """A policy that moves has a KL to a reference that stands still."""
    exact, steps = curves.of("objective/kl_exact"), curves.of("grad_norm")
    if len(exact) < 4 or max(exact[1:]) > 1e-9 or not any(steps) or curves.ever("lr") == {0.0}:
        return None
    moved = sum(curves.of("policy/approxkl_avg"))
    if curves.asked("epochs") > 1 and moved <= 1e-12:
        return None  # the policy itself stands still, which is another finding
    return Finding(
        "the reference moves with the policy",
        "ill",
        f"After {curves.updates} updates with gradients the KL to the reference is still exactly 0.",
        "The reference is not frozen: it shares its weights with the policy, or is refreshed from it.",
        ("huggingface/trl #1340", "huggingface/trl #6591"),
        curves.history[0].index,
    )


def weights_not_whitened(curves: Curves) -> Finding | None:
    """Whitened weights have mean 0 and standard deviation 1 over the trained tokens."""

    def shows(record: UpdateRecord) -> bool:
        mean, spread = record.metrics["policy/weights_mean"], record.metrics["policy/weights_std"]
        return bool(record.config["whiten"]) and spread > 0 and (abs(mean) > 1e-3 or abs(spread - 1) > 1e-2)

    first = curves.first(shows)
    if first is None:
        return None
    record = next(one for one in reversed(curves.history) if shows(one))
    return Finding(
        "whitened weights are not white",
        "ill",
        f"In update {record.index} the weights have mean {record.metrics['policy/weights_mean']:+.3f} and standard "
        f"deviation {record.metrics['policy/weights_std']:.3f} over the trained tokens, instead of 0 and 1.",
        "Mean and deviation were taken over something else as well, usually the padding after short responses.",
        ("ROLL #475", "slime #1369"),
        first.index,
    )


def untrained_tokens(curves: Curves) -> Finding | None:
    """All response tokens are trained, unless truncated responses are left out on purpose."""

    def shows(record: UpdateRecord) -> bool:
        return record.config["truncation"] != "mask" and record.metrics["policy/trained_share"] < 1 - 1e-9

    first = curves.first(shows)
    if first is None:
        return None
    return Finding(
        "some tokens are never trained",
        "ill",
        f"Only {first.metrics['policy/trained_share']:.1%} of the response tokens carry gradient, and no setting says "
        "so.",
        "If the end token is among the left out, the policy never learns when to stop. Usually the end token shares "
        "its id with padding and was masked with it: masks have to come from lengths.",
        ("huggingface/trl #976", "huggingface/trl #1623", "huggingface/trl #3091", "huggingface/transformers #22794"),
        first.index,
    )


def silent_batch(curves: Curves) -> Finding | None:
    """Without any weight there is nothing to learn."""
    spreads, weights = curves.of("objective/scores_std"), curves.of("policy/weights_std")
    if len(weights) < 3 or max(weights[-3:]) > 1e-12 or reward_account(curves) is not None:
        return None  # where nothing is paid, that is the finding
    alike = max(spreads[-3:]) <= 1e-12
    groups = curves.of("frac_reward_zero_std")[-1]
    return Finding(
        "nothing to learn: all weights are 0",
        "watch" if alike else "ill",
        f"In the last updates every weight was 0, and the scores had a spread of {spreads[-1]:.3g}; "
        f"{groups:.0%} of the groups are silent.",
        "All responses score alike: the task is solved, hopeless, or the reward looks at nothing that varies."
        if alike
        else "The scores differ, but never within a group: each response is compared with itself. Groups have one "
        "member, by the setting or because rows of one prompt do not share their group number.",
        ("huggingface/trl #3452", "huggingface/trl #5697", "wenet-e2e/west #121", "R1-V #146"),
        next(one.index for one in curves.history if one.metrics["policy/weights_std"] <= 1e-12),
    )


CONTRADICTIONS: tuple[Pattern, ...] = (
    ratio_moved_early,
    value_moved_early,
    dead_critic,
    reward_account,
    narrow_sampling,
    reference_follows,
    weights_not_whitened,
    untrained_tokens,
    silent_batch,
)
