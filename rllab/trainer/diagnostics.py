"""The run doctor: what a run's numbers say, in plain words."""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Callable, Sequence
from dataclasses import replace

from rllab.core.records import UpdateRecord
from rllab.trainer.signals import Curves, Finding, change, end, standard_errors, start

# ---- Patterns that no healthy run can show: two numbers that must agree, and do not ----

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
    if all(abs(_gap(one) - 2 * _kl_cost(one)) < 1e-3 * _size(one) for one in off):
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


def _kl_cost(record: UpdateRecord) -> float:
    """Return what the KL costs inside the reward."""
    in_reward = record.config["kl_in"] == "reward"
    return record.metrics["kl_coef"] * record.metrics["objective/kl"] if in_reward else 0.0


def _gap(record: UpdateRecord) -> float:
    """Return what the tokens were paid beyond score and KL."""
    return record.metrics["objective/rlhf_reward"] - (record.metrics["objective/scores"] - _kl_cost(record))


def _size(record: UpdateRecord) -> float:
    """Return the size of the numbers in this account, for what counts as rounding."""
    return 1 + abs(record.metrics["objective/scores"]) + abs(record.metrics["objective/kl"])


def _wrong_sign(record: UpdateRecord, since: int) -> Finding:
    """Find a KL that is paid where it should be charged."""
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
        next(record.index for record in curves.history if record.metrics["policy/weights_std"] <= 1e-12),
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


# ---- Patterns that grow over a run, and healthy sights that are often asked about ----

CLEAR = 4.0  # standard errors between the first and the last fifth of a run


def gold_falls(curves: Curves) -> Finding | None:
    """The reward rises and what we want falls."""
    gold, scores = curves.of("eval/gold"), curves.of("objective/scores")
    if len(gold) < ENOUGH:
        return None
    (lost, clear), (won, sure) = change(gold), change(scores)
    if not (clear < -CLEAR and sure > CLEAR):
        return None
    best = max(range(len(gold)), key=gold.__getitem__)
    return Finding(
        "the reward is being exploited",
        "ill",
        f"The score rose by {won:.3f} while gold fell by {-lost:.3f}; gold was best in update "
        f"{curves.history[best].index}.",
        "The policy has found what the reward pays for and we did not mean. Read the samples; raise the KL "
        "coefficient (kl_coef), stop at the peak, or mend the reward.",
        ("OpenRLHF #1263", "huggingface/trl #6350", "huggingface/open-r1 #407", "huggingface/trl #204"),
        curves.history[best].index,
    )


def entropy_collapse(curves: Curves) -> Finding | None:
    """The policy has stopped choosing."""
    entropy = curves.of("objective/entropy")
    first, last = statistics.fmean(start(entropy)), statistics.fmean(end(entropy))
    if curves.updates < ENOUGH or last > 0.1 * first:
        return None
    return Finding(
        "entropy has collapsed",
        "ill",
        f"The entropy of the next token fell from {first:.3f} to {last:.3f} nats.",
        "The policy writes nearly the same each time, so there is nothing left to compare. Look at several seeds of "
        "one prompt; raise the KL coefficient (kl_coef) or the entropy bonus (ent_coef), or lower the learning rate "
        "(lr).",
        ("huggingface/trl #204", "natolambert/rlhf-book #397"),
        curves.history[-1].index,
    )


def poor_critic(curves: Curves) -> Finding | None:
    """A critic that is worse than a constant adds noise to every advantage."""
    if not any(curves.of("loss/value_avg")) or curves.updates < ENOUGH:
        return None
    explained = [one for one in end(curves.of("critic/vf_explained_var")) if math.isfinite(one)]
    if not explained or statistics.fmean(explained) >= 0:
        return None
    return Finding(
        "the critic explains less than a constant would",
        "watch",
        f"Its explained variance over the last updates is {statistics.fmean(explained):.2f}.",
        "Below 0 its values make the advantages noisier than no critic would. Give it time or a larger "
        "learning rate (critic_lr), or use \u03bb = 1 (lam), where its errors cancel; if it never rises, look whether "
        "it learns at all.",
        ("verl #498", "deepspeedai/DeepSpeedExamples #556"),
        curves.history[0].index,
    )


def many_cut(curves: Curves) -> Finding | None:
    """Responses that reach the limit are scored as if they were whole."""
    cut = curves.of("completions/clipped_ratio")
    first, last = statistics.fmean(start(cut)), statistics.fmean(end(cut))
    grown = last - first > 0.2
    if curves.updates < 3 or last <= 0.2 or (last <= 0.5 and not grown):
        return None
    return Finding(
        "many responses are cut",
        "watch",
        f"{last:.0%} of the last responses reached the limit without an end token ({first:.0%} at the start).",
        "What was cut is scored as if it were whole. Allow more tokens (max_new_tokens), price a missing end "
        "(missing_eos_penalty), or choose what truncation means; if the share grows, the policy is unlearning its end.",
        ("huggingface/trl #5697", "huggingface/trl #1536", "huggingface/trl #2708"),
        curves.history[0].index,
    )


def length_drift(curves: Curves) -> Finding | None:
    """Length runs away, and the score does not follow."""
    lengths = curves.of("completions/mean_length")
    first, last = statistics.fmean(start(lengths)), statistics.fmean(end(lengths))
    moved, clear = change(lengths)
    if curves.updates < ENOUGH or abs(clear) < CLEAR or 0.6 < last / first < 1.6:
        return None
    return Finding(
        "length drifts",
        "watch",
        f"Responses went from {first:.1f} to {last:.1f} tokens ({moved:+.1f}).",
        "If the task does not ask for it, the loss may: averaging each response over its own length makes long bad "
        "answers cheap. Compare the reducers, and look whether the reward pays for length.",
        ("sail-sg/understand-r1-zero #11", "huggingface/trl #3138", "verl #593"),
        curves.history[0].index,
    )


def long_steps(curves: Curves) -> Finding | None:
    """The epochs carry the policy far from the one that wrote the batch."""
    clipped = curves.of("policy/clipfrac_avg")
    if curves.updates < 3 or statistics.fmean(end(clipped)) <= 0.5:
        return None
    return Finding(
        "the steps are too long",
        "watch",
        f"{statistics.fmean(end(clipped)):.0%} of the tokens are held back by the clip.",
        "Most of the batch no longer moves the policy. Lower the learning rate (lr) or take fewer epochs.",
        ("huggingface/trl #615",),
        curves.history[0].index,
    )


def quiet_groups(curves: Curves) -> Finding | None:
    """Groups that all score alike teach nothing."""
    silent = statistics.fmean(end(curves.of("frac_reward_zero_std")))
    if curves.asked("samples_per_prompt") < 2 or curves.updates < 3 or silent <= 0.5 or silent == 1.0:
        return None
    return Finding(
        "most groups are silent",
        "watch",
        f"In {silent:.0%} of the groups all responses score alike.",
        "They count and add nothing. Take prompts that are neither solved nor hopeless, or larger groups.",
        ("huggingface/trl #3502", "huggingface/trl #5697"),
        curves.history[0].index,
    )


def loss_near_zero(curves: Curves) -> Finding | None:
    """The question asked most: why is the loss 0?"""
    losses, weights = curves.of("loss/policy_avg"), curves.of("policy/weights_std")
    size = statistics.fmean(weights)
    if size == 0 or statistics.median(map(abs, losses)) > 0.1 * size * max(1.0, _tokens_summed(curves)):
        return None
    return Finding(
        "a policy loss near 0 is expected",
        "note",
        f"The policy loss is {round(losses[-1], 4) + 0.0:+.4f}.",
        "Weights are centred and ratios start at 1, so gains and losses cancel in the value, though not in the "
        "gradient. Watch the score, not the loss.",
        ("huggingface/trl #2703", "huggingface/trl #3452", "huggingface/open-r1 #239", "unslothai/unsloth #2291"),
        curves.history[0].index,
    )


def negative_estimate(curves: Curves) -> Finding | None:
    """A sampled KL below 0 is noise as long as the exact one is not."""
    first = curves.first(lambda one: one.metrics["objective/kl"] < 0 <= one.metrics["objective/kl_exact"])
    if first is None or curves.asked("kl_estimator") != "k1" or narrow_sampling(curves) is not None:
        return None  # where the texts are no fair sample, that is the reason, and no noise
    record = next(one for one in reversed(curves.history) if one.metrics["objective/kl"] < 0)
    return Finding(
        "a KL estimate below 0 is noise",
        "note",
        f"In update {record.index} the estimate was {record.metrics['objective/kl']:.4f} nats, and the exact KL "
        f"{record.metrics['objective/kl_exact']:.4f}.",
        "k1 is the mean of log π − log π_ref over the sampled tokens; each term may have any sign. It is fair on "
        "average as long as the tokens are a fair sample of the policy.",
        ("huggingface/trl #925", "huggingface/trl #1017", "huggingface/trl #1161", "hiyouga/LlamaFactory #664"),
        first.index,
    )


def _tokens_summed(curves: Curves) -> float:
    """Return how many tokens a response adds up where the loss sums over them, 1 where it averages."""
    if curves.asked("reducer") != "seq-mean-token-sum":
        return 1.0
    return statistics.fmean(curves.of("completions/mean_length"))


TRENDS: tuple[Pattern, ...] = (
    gold_falls,
    entropy_collapse,
    poor_critic,
    many_cut,
    length_drift,
    long_steps,
    quiet_groups,
    loss_near_zero,
    negative_estimate,
)


# ---- The run doctor: what a run's numbers say, in plain words ----

GRAVITY = {"ill": 0, "watch": 1, "note": 2}


def diagnose(history: Sequence[UpdateRecord]) -> list[Finding]:
    """Return what a run's metrics say, in plain words.

    Args:
        history: The update records of a run.

    Returns:
        The findings, the most severe first; empty before the first update.
    """
    if not history:
        return []
    curves = Curves(history)
    found = [finding for pattern in (*CONTRADICTIONS, *TRENDS) if (finding := pattern(curves)) is not None]
    return [_typeset(finding) for finding in sorted(found, key=lambda finding: GRAVITY[finding.severity])]


def _typeset(finding: Finding) -> Finding:
    """Format numbers with a true minus sign."""
    return replace(finding, seen=re.sub(r"(?<!\w)-(?=\d)", "\u2212", finding.seen))


def summary(findings: Sequence[Finding]) -> str:
    """Return in one sentence how far a run is."""
    ill = [finding.name for finding in findings if finding.severity == "ill"]
    watch = [finding.name for finding in findings if finding.severity == "watch"]
    if ill:
        return f"Something is wrong: {'; '.join(ill)}."
    if watch:
        return f"Nothing contradicts itself; keep an eye on this: {'; '.join(watch)}."
    return "Nothing looks wrong."
