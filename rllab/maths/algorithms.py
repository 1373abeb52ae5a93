"""The algorithms as values: which settings each reads, how it computes advantages, and its policy loss.

No other code asks for an algorithm's name. A new one is a new value in ALGORITHMS.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from rllab.core.config import Config
from rllab.core.errors import LabError
from rllab.core.records import Rollout
from rllab.maths.advantages import group_relative, leave_one_out
from rllab.maths.losses import clipped_surrogate_loss, course_clipped_loss, policy_gradient_loss
from rllab.maths.masking import masked_sum
from rllab.maths.returns import discounted_returns, gae

AdvantageRule = Callable[[Rollout, Tensor, Config], tuple[Tensor, Tensor]]  # rewards -> advantages, returns
PolicyLoss = Callable[[Tensor, Rollout, Tensor, Tensor, Config], Tensor]  # logprobs, weights, mask -> (B, T)

CRITIC = frozenset({"gamma", "lam", "value_clip_eps", "vf_coef", "critic_lr"})
CLIP = frozenset({"clip_mode", "clip_eps", "clip_eps_high"})
COMMON = frozenset(vars(Config())) - CRITIC - CLIP - {"whiten", "scale_by_std"}


@dataclass(frozen=True)
class Algorithm:
    """One way to turn rewards into an update of the policy.

    Args:
        name: Its name in code.
        title: Its name on the screen.
        idea: What it does, in one sentence for the screen.
        fields: Names of the settings that it reads.
        uses_critic: Whether it has a critic.
        advantages: Rollout, rewards (B, T) and settings -> advantages and returns, (B, T) each.
        policy_loss: Log-probs, rollout, weights, mask and settings -> losses, (B, T).
        defaults: Settings in which it differs from Config's defaults.
        per_response: Whether all tokens of a response have one advantage, from the sum of its rewards.
    """

    name: str
    title: str
    idea: str
    fields: frozenset[str]
    uses_critic: bool
    advantages: AdvantageRule
    policy_loss: PolicyLoss
    defaults: Mapping[str, Any] = field(default_factory=dict)
    per_response: bool = False

    def check(self, config: Config, base: Config) -> None:
        """Raise LabError if a setting was changed that this algorithm does not read.

        Args:
            config: The settings.
            base: The world's own settings for this algorithm.

        Raises:
            LabError: If the algorithm would silently ignore a setting.
        """
        for name in vars(base):
            if name not in self.fields and getattr(config, name) != getattr(base, name):
                remedy = f"{self.title} does not read it; leave it at {getattr(base, name)}"
                raise LabError(name, getattr(config, name), remedy)
        if self.per_response and config.prefix_pay == "increment" and config.timing != base.timing:
            remedy = f"{self.title} looks at a response's sum, the same under every timing; leave it at {base.timing}"
            raise LabError("timing", config.timing, f"{remedy}, or set prefix_pay to level")
        if config.truncation == "bootstrap" and not self.uses_critic:
            remedy = f"{self.title} has no critic whose value could be used there; choose terminate or mask"
            raise LabError("truncation", config.truncation, remedy)


def returns_as_advantages(rollout: Rollout, rewards: Tensor, config: Config) -> tuple[Tensor, Tensor]:
    """Return the return as the advantage: no baseline but what whitening subtracts (REINFORCE, Williams 1992).

    Args:
        rollout: The batch.
        rewards: r_t, (B, T), reward units.
        config: The settings.

    Returns:
        Advantages and returns, (B, T) each.
    """
    returns = discounted_returns(rewards, rollout.response_mask, gamma=config.gamma)
    return returns, returns


def critic_advantages(rollout: Rollout, rewards: Tensor, config: Config) -> tuple[Tensor, Tensor]:
    """Compute advantages over the critic by generalized advantage estimation (Schulman et al. 2016).

    Args:
        rollout: The batch.
        rewards: r_t, (B, T), reward units.
        config: The settings.

    Returns:
        Advantages and returns, (B, T) each.
    """
    bootstrap = rollout.bootstrap if config.truncation == "bootstrap" else torch.zeros_like(rollout.bootstrap)
    return gae(rewards, rollout.values, rollout.response_mask, gamma=config.gamma, lam=config.lam, bootstrap=bootstrap)


def leave_one_out_advantages(rollout: Rollout, rewards: Tensor, config: Config) -> tuple[Tensor, Tensor]:
    """Compute each response's advantage over the others to the same prompt, the same for every token (RLOO).

    Args:
        rollout: The batch.
        rewards: r_t, (B, T), reward units.
        config: The settings.

    Returns:
        Advantages and returns, (B, T) each.
    """
    del config  # has no setting for it
    total = masked_sum(rewards, rollout.response_mask, dim=1)  # (B,)
    return _to_tokens(leave_one_out(total, rollout.group), rollout), _to_tokens(total, rollout)


def group_advantages(rollout: Rollout, rewards: Tensor, config: Config) -> tuple[Tensor, Tensor]:
    """Compute each response's advantage over the mean of its group, in units of its spread where asked (GRPO).

    Args:
        rollout: The batch.
        rewards: r_t, (B, T), reward units.
        config: The settings.

    Returns:
        Advantages and returns, (B, T) each.
    """
    total = masked_sum(rewards, rollout.response_mask, dim=1)  # (B,)
    relative = group_relative(total, rollout.group, scale=config.scale_by_std)
    return _to_tokens(relative, rollout), _to_tokens(total, rollout)


def plain_loss(logprobs: Tensor, rollout: Rollout, weights: Tensor, mask: Tensor, config: Config) -> Tensor:
    """Compute the plain policy gradient loss.

    Args:
        logprobs: log π(a_t|s_t) of the policy being trained, (B, T), nats.
        rollout: The batch, with the old log-probs.
        weights: What multiplies the log-probs or ratios, (B, T).
        mask: The tokens that carry gradient, (B, T).
        config: The settings.

    Returns:
        Losses, (B, T).
    """
    del rollout, config  # the plain loss looks at neither
    return policy_gradient_loss(logprobs, weights, mask)


def clipped_loss(logprobs: Tensor, rollout: Rollout, weights: Tensor, mask: Tensor, config: Config) -> Tensor:
    """Compute the clipped loss, in the form that `clip_mode` names.

    Args:
        logprobs: log π(a_t|s_t) of the policy being trained, (B, T), nats.
        rollout: The batch, with the old log-probs.
        weights: What multiplies the log-probs or ratios, (B, T).
        mask: The tokens that carry gradient, (B, T).
        config: The settings.

    Returns:
        Losses, (B, T).
    """
    form = CLIP_FORMS[config.clip_mode]
    high = config.clip_eps_high
    return form(logprobs, rollout.logprobs, weights, mask, clip_eps=config.clip_eps, clip_eps_high=high)


def get_algorithm(name: str) -> Algorithm:
    """Return the algorithm of that name.

    Args:
        name: reinforce, a2c, ppo, rloo or grpo.

    Returns:
        The algorithm.

    Raises:
        LabError: If there is no such algorithm.
    """
    if name not in ALGORITHMS:
        raise LabError.choice("algorithm", name, ALGORITHMS)
    return ALGORITHMS[name]


def _to_tokens(per_row: Tensor, rollout: Rollout) -> Tensor:
    """Return the number of its row for every response token, (B, T)."""
    return torch.where(rollout.response_mask, per_row[:, None], 0.0)


CLIP_FORMS = {"ppo": clipped_surrogate_loss, "one-sided": course_clipped_loss}

ALGORITHMS = {
    algorithm.name: algorithm
    for algorithm in (
        Algorithm(
            name="reinforce",
            title="REINFORCE",
            idea="raise the log-prob of what was followed by more reward than usual",
            fields=COMMON | {"gamma", "whiten"},
            uses_critic=False,
            advantages=returns_as_advantages,
            policy_loss=plain_loss,
            defaults={"epochs": 1},
        ),
        Algorithm(
            name="a2c",
            title="A2C",
            idea="a critic predicts the return; only the surprise moves the policy",
            fields=COMMON | CRITIC | {"whiten"},
            uses_critic=True,
            advantages=critic_advantages,
            policy_loss=plain_loss,
            defaults={"epochs": 1},
        ),
        Algorithm(
            name="ppo",
            title="PPO",
            idea="use each batch several times, but stop where the policy has moved far enough",
            fields=COMMON | CRITIC | CLIP | {"whiten"},
            uses_critic=True,
            advantages=critic_advantages,
            policy_loss=clipped_loss,
        ),
        Algorithm(
            name="rloo",
            title="RLOO",
            idea="the other answers to the same prompt are the baseline",
            fields=COMMON | {"whiten"},
            uses_critic=False,
            advantages=leave_one_out_advantages,
            per_response=True,
            policy_loss=plain_loss,
            defaults={"epochs": 1, "samples_per_prompt": 4, "whiten": False},
        ),
        Algorithm(
            name="grpo",
            title="GRPO",
            idea="each answer is compared with its group, in units of the group's spread",
            fields=COMMON | CLIP | {"scale_by_std"},
            uses_critic=False,
            advantages=group_advantages,
            per_response=True,
            policy_loss=clipped_loss,
            defaults={
                "epochs": 1,
                "samples_per_prompt": 8,
                "whiten": False,
                "kl_in": "loss",
                "kl_estimator": "k3",
                "reducer": "seq-mean-token-mean",
            },
        ),
    )
}
