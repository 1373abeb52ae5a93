"""The settings of a training run: one frozen record, PPO's textbook values, checked when made."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, get_args

from rllab.core.errors import LabError

Timing = Literal["token", "sentence", "end"]
PrefixPay = Literal["increment", "level"]
KLIn = Literal["reward", "loss"]
KLEstimator = Literal["k1", "k2", "k3"]
ClipMode = Literal["ppo", "one-sided"]
Reducer = Literal["token-mean", "seq-mean-token-mean", "seq-mean-token-sum", "constant"]
Truncation = Literal["terminate", "bootstrap", "mask"]
Trainable = Literal["biases", "head", "last-blocks", "all"]


@dataclass(frozen=True)
class Config:
    """The settings of one training run, checked when they are made.

    The defaults are PPO's textbook values. Worlds choose their own: `world.config(algorithm)`.

    Args:
        timing: When the reward is paid: after each token, at each sentence end, or at the end of the response.
        prefix_pay: `increment` pays what the score of the prefix has changed by; `level` pays the whole prefix
            score again at every payment (a contrast: its sum grows with the number of payments).
        kl_in: Whether the KL penalty is part of the reward or a term of the loss.
        kl_estimator: Schulman's estimator of the KL to the reference.
        kl_coef: Price of divergence, in reward units per nat.
        kl_target: KL in nats per response that an adaptive kl_coef aims at; None keeps kl_coef fixed.
        kl_horizon: Responses over which an adaptive kl_coef moves.
        clip_mode: PPO's clipped surrogate, or the one-sided form of some courses.
        clip_eps: How far the ratio may leave 1 before its gradient stops.
        clip_eps_high: The same above 1 (DAPO's clip-higher); None uses clip_eps.
        value_clip_eps: How far a value may leave the old one, in reward units; None switches the clip off.
        vf_coef: Weight of the critic's loss.
        ent_coef: Bonus for entropy, in reward units per nat.
        gamma: Discount per token.
        lam: Lambda of generalized advantage estimation.
        whiten: Whether advantages are brought to mean 0 and variance 1 over the batch.
        reducer: How the losses of tokens become one number (`rllab.maths.losses.reduce`).
        scale_by_std: Whether GRPO divides by the group's standard deviation.
        truncation: What follows a response that was cut: nothing, the critic's value, or no gradient at all.
        missing_eos_penalty: Taken off the score of a response without an end token, in reward units.
        temperature: Divides the logits, in sampling and in training alike.
        samples_per_prompt: Responses to each prompt of a batch.
        batch_size: Responses per update.
        micro_batch_size: Responses per forward pass; never changes the result.
        epochs: Optimizer steps per batch.
        lr: Learning rate of the policy.
        critic_lr: Learning rate of the critic.
        adam_eps: Epsilon of Adam.
        max_grad_norm: Norm to which a larger gradient is scaled down.
        trainable: Which part of the policy's network learns.
        max_new_tokens: Longest response, in tokens.

    Raises:
        LabError: If a value is not an allowed choice or is out of range.
    """

    timing: Timing = "end"
    prefix_pay: PrefixPay = "increment"
    kl_in: KLIn = "reward"
    kl_estimator: KLEstimator = "k1"
    kl_coef: float = 0.05
    kl_target: float | None = None
    kl_horizon: int = 10_000
    clip_mode: ClipMode = "ppo"
    clip_eps: float = 0.2
    clip_eps_high: float | None = None
    value_clip_eps: float | None = 0.2
    vf_coef: float = 0.5
    ent_coef: float = 0.0
    gamma: float = 1.0
    lam: float = 0.95
    whiten: bool = True
    reducer: Reducer = "token-mean"
    scale_by_std: bool = True
    truncation: Truncation = "terminate"
    missing_eos_penalty: float = 0.0
    temperature: float = 1.0
    samples_per_prompt: int = 1
    batch_size: int = 32
    micro_batch_size: int = 32
    epochs: int = 4
    lr: float = 1e-6
    critic_lr: float = 1e-5
    adam_eps: float = 1e-5
    max_grad_norm: float = 1.0
    trainable: Trainable = "all"
    max_new_tokens: int = 64

    def __post_init__(self) -> None:
        """Raise LabError if any value is not an allowed choice or is out of range."""
        for name in (*CHOICES, *RANGES):
            if not (name in OPTIONAL and getattr(self, name) is None):
                check_setting(name, getattr(self, name))
        for name in SWITCHES:
            if not isinstance(getattr(self, name), bool):
                raise LabError.choice(name, getattr(self, name), (True, False))
        for name in COUNTS:
            check_count(name, getattr(self, name))
        if self.batch_size % self.samples_per_prompt:
            remedy = f"it has to be a multiple of samples_per_prompt ({self.samples_per_prompt})"
            raise LabError("batch_size", self.batch_size, remedy)

    def replace(self, **changes: Any) -> Config:
        """Return a copy with some settings changed.

        Args:
            changes: New values by the names of the settings.

        Returns:
            The changed copy.

        Raises:
            LabError: If a name is not a setting, or a value is not allowed.
        """
        known = [field.name for field in fields(self)]
        for name in changes:
            if name not in known:
                raise LabError.choice("setting", name, known)
        return replace(self, **changes)


CHOICES: dict[str, tuple[str, ...]] = {
    "timing": get_args(Timing),
    "prefix_pay": get_args(PrefixPay),
    "kl_in": get_args(KLIn),
    "kl_estimator": get_args(KLEstimator),
    "clip_mode": get_args(ClipMode),
    "reducer": get_args(Reducer),
    "truncation": get_args(Truncation),
    "trainable": get_args(Trainable),
}

# name -> (lowest, highest, whether the lowest itself is excluded)
RANGES: dict[str, tuple[float, float, bool]] = {
    "kl_coef": (0.0, math.inf, False),
    "kl_target": (0.0, math.inf, True),
    "clip_eps": (0.0, 1.0, True),
    "clip_eps_high": (0.0, math.inf, True),
    "value_clip_eps": (0.0, math.inf, True),
    "vf_coef": (0.0, math.inf, False),
    "ent_coef": (0.0, math.inf, False),
    "gamma": (0.0, 1.0, False),
    "lam": (0.0, 1.0, False),
    "missing_eos_penalty": (0.0, math.inf, False),
    "temperature": (0.0, math.inf, True),
    "lr": (0.0, math.inf, False),
    "critic_lr": (0.0, math.inf, False),
    "adam_eps": (0.0, math.inf, True),
    "max_grad_norm": (0.0, math.inf, True),
}

OPTIONAL = ("kl_target", "clip_eps_high", "value_clip_eps")  # None switches them off
SWITCHES = ("whiten", "scale_by_std")
COUNTS = ("kl_horizon", "samples_per_prompt", "batch_size", "micro_batch_size", "epochs", "max_new_tokens")


def check_setting(name: str, value: object) -> None:
    """Raise LabError if the value is not an allowed choice or is out of range.

    Args:
        name: A setting in `CHOICES` or in `RANGES`.
        value: The value that it was given.

    Raises:
        LabError: If the setting cannot have this value.
    """
    if name in RANGES:
        low, high, open_low = RANGES[name]
        check_number(name, value, low=low, high=high, open_low=open_low)
    elif value not in CHOICES[name]:
        raise LabError.choice(name, value, CHOICES[name])


def check_number(name: str, value: object, *, low: float = 0.0, high: float = math.inf, open_low: bool = False) -> None:
    """Raise LabError unless the value is a finite number in a range.

    Args:
        name: What the error calls it.
        value: The value to check.
        low: The lowest number that is allowed.
        high: The highest number that is allowed.
        open_low: Whether the lowest number itself is excluded.

    Raises:
        LabError: If the value is not a number, not finite, or out of range.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise LabError(name, value, "give a finite number")
    if value < low or value > high or (open_low and value == low):
        upper = "" if math.isinf(high) else f" and at most {high:g}"
        raise LabError(name, value, f"give a number {'above' if open_low else 'of at least'} {low:g}{upper}")


def check_count(name: str, value: object) -> None:
    """Raise LabError unless the value is a positive integer.

    Args:
        name: What the error calls it.
        value: The value to check.

    Raises:
        LabError: If the value is not a whole number of at least 1.
    """
    if not is_whole(value, low=1):
        raise LabError(name, value, "give a whole number of at least 1")


def is_whole(value: object, *, low: float = 0, high: float = math.inf) -> bool:
    """Return whether a value is a whole number from low to high; True and 1.0 are not.

    Args:
        value: The value to check.
        low: The lowest number that is allowed.
        high: The highest number that is allowed.

    Returns:
        Whether it is an integer in that range.
    """
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high
