"""Patterns that grow over a run, and healthy sights that are often asked about."""

from __future__ import annotations

import math
import statistics

from rllab.trainer.diagnostics.contradictions import ENOUGH, Pattern, narrow_sampling
from rllab.trainer.diagnostics.curves import Curves, Finding, change, end, start

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
