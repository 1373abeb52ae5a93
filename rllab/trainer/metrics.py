"""The numbers of one update under the field's names, computed once from its records."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from rllab.core.records import Rollout, Scores, Sequences, Targets
from rllab.maths.masking import apply_mask, masked_mean, masked_sum, masked_var

if TYPE_CHECKING:
    from rllab.worlds.world import World


# The first epoch alone: nothing has moved yet, so policy and critic must give the numbers of the rollout.
FIRST_EPOCH = {
    "policy/clipfrac_avg": "policy/clipfrac_first",
    "policy/approxkl_avg": "policy/approxkl_first",
    "val/ratio": "val/ratio_first",
    "val/value_shift": "val/value_shift_first",
}


def batch_metrics(
    world: World, rollout: Rollout, scores: Scores, targets: Targets, steps: Sequence[Mapping[str, float]]
) -> dict[str, float]:
    """Join what the batch shows with the averages over the epochs; KL in nats per response, lengths in tokens."""
    metrics = _of_texts(rollout, scores) | _of_tokens(rollout, targets)
    if world.gold is not None:
        metrics["eval/gold"] = float(world.gold.score(rollout).total.mean())
    for name in steps[0]:
        metrics[name] = sum(stats[name] for stats in steps) / len(steps)
    return metrics | {first: steps[0][name] for name, first in FIRST_EPOCH.items() if name in steps[0]}


def _of_texts(rollout: Rollout, scores: Scores) -> dict[str, float]:
    """Measure the responses as wholes."""
    return {
        "objective/scores": float(scores.total.mean()),
        "objective/scores_std": float(scores.total.double().std(unbiased=False)),
        "completions/mean_length": float(rollout.lengths.double().mean()),
        "completions/clipped_ratio": float((~rollout.ended).double().mean()),
        "frac_reward_zero_std": silent_groups(scores.total, rollout.group),
    }


def _of_tokens(rollout: Rollout, targets: Targets) -> dict[str, float]:
    """Measure the tokens: sums over a response where the unit says per response, means over tokens elsewhere."""
    mask = rollout.response_mask
    return {
        "objective/rlhf_reward": float(masked_sum(targets.rewards, mask, dim=1).mean()),
        "objective/kl": float(masked_sum(targets.kl, mask, dim=1).mean()),
        "objective/kl_exact": float(masked_sum(rollout.exact_kl, mask, dim=1).mean()),
        "objective/entropy": float(masked_mean(rollout.entropies, mask)),
        "objective/entropy_sampled": -float(masked_mean(rollout.logprobs, rollout.action_mask)),
        "critic/values/mean": float(masked_mean(rollout.values, mask)),
        "critic/returns/mean": float(masked_mean(targets.returns, mask)),
        "critic/advantages/mean": float(masked_mean(targets.advantages, mask)),
        "critic/vf_explained_var": explained_variance(rollout.values, targets.returns, mask),
        "policy/trained_share": float(targets.loss_mask.double().sum() / mask.sum()),
        "policy/weights_mean": float(masked_mean(targets.policy_weights, targets.loss_mask)),
        "policy/weights_std": float(masked_var(targets.policy_weights, targets.loss_mask).sqrt()),
    }


def explained_variance(values: Tensor, returns: Tensor, mask: Tensor) -> float:
    """Return 1 - Var(G - V) / Var(G) over the whole batch: 1 is a perfect critic, 0 a constant one."""
    variance = masked_var(returns, mask)
    rounding = 4 * torch.finfo(returns.dtype).eps * apply_mask(returns, mask).abs().max()
    if not bool(variance.sqrt() > rounding):  # no spread that could be explained
        return float("nan")
    return float(1 - masked_var(returns - values, mask) / variance)


def silent_groups(total: Tensor, group: Tensor) -> float:
    """Return the share of prompts all of whose responses scored alike; 1 where groups have one member."""
    groups = [total[group == number] for number in torch.unique(group)]
    return sum(float(members.max() == members.min()) for members in groups) / len(groups)


def sample_rows(world: World, sequences: Sequences, *, count: int, total: Tensor | None = None) -> list[dict[str, Any]]:
    """Return the first rows as plain text and numbers, judged by the reward and, where there is one, by gold."""
    rows = sequences.select(slice(0, count))
    scores = world.reward.score(rows).total if total is None else total[:count]
    gold = None if world.gold is None else world.gold.score(rows).total
    return [
        {
            "prompt": rows.prompts[row],
            "response": rows.responses[row],
            "ended": bool(rows.ended[row]),
            "score": float(scores[row]),
        }
        | ({} if gold is None else {"gold": float(gold[row])})
        for row in range(len(rows))
    ]


class Stopwatch:
    """Seconds spent in each stage of one update."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        """Add the time since the last call to a name."""
        now = time.perf_counter()
        self.laps[name] = self.laps.get(name, 0.0) + now - self._last
        self._last = now
