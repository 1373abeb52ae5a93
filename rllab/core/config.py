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
    """Settings of one run; units in the comments. Worlds choose their own values: `world.config(algorithm)`."""

    timing: Timing = "end"  # when the reward model pays: per token, per sentence, at the end
    prefix_pay: PrefixPay = "increment"  # "level" pays the whole prefix score again at every step (a contrast)
    kl_in: KLIn = "reward"
    kl_estimator: KLEstimator = "k1"
    kl_coef: float = 0.05  # reward units per nat
    kl_target: float | None = None  # nats per response; None keeps kl_coef fixed
    kl_horizon: int = 10_000  # responses over which an adaptive kl_coef moves
    clip_mode: ClipMode = "ppo"
    clip_eps: float = 0.2
    clip_eps_high: float | None = None  # None: the same as clip_eps
    value_clip_eps: float | None = 0.2  # None: no clipping of the value
    vf_coef: float = 0.5
    ent_coef: float = 0.0  # reward units per nat
    gamma: float = 1.0
    lam: float = 0.95
    whiten: bool = True
    reducer: Reducer = "token-mean"
    scale_by_std: bool = True
    truncation: Truncation = "terminate"
    missing_eos_penalty: float = 0.0
    temperature: float = 1.0
    samples_per_prompt: int = 1
    batch_size: int = 32  # responses per update
    micro_batch_size: int = 32  # responses per forward pass; never changes the result
    epochs: int = 4  # optimizer steps per batch
    lr: float = 1e-6
    critic_lr: float = 1e-5
    adam_eps: float = 1e-5
    max_grad_norm: float = 1.0
    trainable: Trainable = "all"
    max_new_tokens: int = 64  # tokens

    def __post_init__(self) -> None:
        """Refuse any value that has no meaning, in a sentence."""
        for name in (*CHOICES, *RANGES):
            if not (name in OPTIONAL and getattr(self, name) is None):
                check_setting(name, getattr(self, name))
        for name in SWITCHES:
            _check_switch(name, getattr(self, name))
        for name in COUNTS:
            check_count(name, getattr(self, name))
        if self.batch_size % self.samples_per_prompt:
            raise LabError(
                "batch_size",
                self.batch_size,
                f"it has to be a multiple of samples_per_prompt ({self.samples_per_prompt})",
            )

    def replace(self, **changes: Any) -> Config:
        """Return a copy with some fields changed; an unknown name is refused with the nearest known ones."""
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
    """Refuse what is none of a setting's choices, and name them, or lies outside its range."""
    if name in RANGES:
        low, high, open_low = RANGES[name]
        check_number(name, value, low=low, high=high, open_low=open_low)
    elif value not in CHOICES[name]:
        raise LabError.choice(name, value, CHOICES[name])


def check_number(name: str, value: object, *, low: float = 0.0, high: float = math.inf, open_low: bool = False) -> None:
    """Refuse what is no finite number inside its range; `open_low` excludes the lowest itself."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise LabError(name, value, "give a finite number")
    if value < low or value > high or (open_low and value == low):
        upper = "" if math.isinf(high) else f" and at most {high:g}"
        raise LabError(name, value, f"give a number {'above' if open_low else 'of at least'} {low:g}{upper}")


def _check_switch(name: str, value: object) -> None:
    """Refuse what is neither True nor False."""
    if not isinstance(value, bool):
        raise LabError(name, value, "it is a switch, so give True or False")


def check_count(name: str, value: object) -> None:
    """Refuse what counts nothing."""
    if not is_whole(value, low=1):
        raise LabError(name, value, "it counts things, so give a whole number of at least 1")


def is_text(value: object) -> bool:
    """Tell whether something is text."""
    return isinstance(value, str)


def is_whole(value: object, *, low: float = 0, high: float = math.inf) -> bool:
    """Tell whether something is a whole number from low to high; True and 1.0 are none."""
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high
