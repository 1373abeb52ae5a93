"""What a value is the value of, and what an estimate of it has to say about itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from rllab.core.config import Config, PrefixPay, Timing, check_setting
from rllab.core.records import Scores, check_rows
from rllab.maths.masking import apply_mask
from rllab.reward.reward import Reward, per_token_scores, reward_positions

if TYPE_CHECKING:
    from rllab.core.records import Sequences
    from rllab.policy.policy import Policy

Kind = Literal["exact", "monte-carlo", "learned"]
SETTINGS = ("kl_coef", "gamma", "timing", "temperature", "prefix_pay", "missing_eos_penalty")


@dataclass(frozen=True, eq=False)
class Objective:
    """The sum that a value expects: sum_k gamma^k (r_k - kl_coef KL_k), when and how r is paid.

    A critic and the truth can only be compared when both speak of the same objective, so both carry it.
    """

    reward: Reward
    reference: Policy
    kl_coef: float  # reward units per nat; 0 where the KL is a term of the loss
    gamma: float
    timing: Timing
    temperature: float
    prefix_pay: PrefixPay = "increment"
    missing_eos_penalty: float = 0.0

    @classmethod
    def of(cls, config: Config, *, reward: Reward, reference: Policy) -> Objective:
        """Return the objective that a run with these settings pursues."""
        return cls(
            reward=reward,
            reference=reference,
            kl_coef=config.kl_coef if config.kl_in == "reward" else 0.0,
            gamma=config.gamma,
            timing=config.timing,
            temperature=config.temperature,
            prefix_pay=config.prefix_pay,
            missing_eos_penalty=config.missing_eos_penalty,
        )

    def __post_init__(self) -> None:
        """Refuse any value that has no meaning, in a sentence."""
        for name in SETTINGS:
            check_setting(name, getattr(self, name))

    def score(self, sequences: Sequences) -> Scores:
        """Score rows and lay out what is paid at each token, the penalty for a missing end included.

        Whoever asks, for a run or for the truth, is spared numbers on padding and numbers that are none.
        """
        scores = self.reward.score(sequences, timing=self.timing)
        total, per_token = scores.total, apply_mask(scores.per_token, sequences.response_mask, name="per_token")
        if self.prefix_pay == "level":
            prefix_scores = self.reward.prefix_scores(sequences)
            per_token = per_token_scores(prefix_scores, sequences, timing=self.timing, prefix_pay="level")
            total = per_token.sum(dim=1)
        for numbers in (total, per_token):
            check_rows(f"reward {self.reward.name}", numbers, sequences, remedy="return finite numbers")
        if self.missing_eos_penalty == 0.0:
            return Scores(total, scores.parts, per_token)
        penalty = -self.missing_eos_penalty * (~sequences.ended).to(total.dtype)  # (B,)
        per_token = per_token + penalty[:, None] * reward_positions(sequences, timing="end")
        return Scores(total + penalty, {**scores.parts, "missing end": penalty}, per_token)

    def difference(self, other: Objective) -> str:
        """Say in what another objective differs, first thing first; nothing where a value means the same under both."""
        if self.reward is not other.reward and self.reward != other.reward:
            return f"the reward is {other.reward.name}, not {self.reward.name}"
        if self.kl_coef and other.kl_coef and self.reference.weights is not other.reference.weights:
            return "the reference is another policy"
        pairs = ((name, getattr(self, name), getattr(other, name)) for name in SETTINGS)
        return next((f"{name} is {theirs}, not {ours}" for name, ours, theirs in pairs if ours != theirs), "")

    def describe(self) -> str:
        """Say in words what is expected, for the foot of a panel."""
        when = {"end": "at the end", "sentence": "at each sentence end", "token": "at each token"}[self.timing]
        words = [f"expected score of “{self.reward.name}”, paid {when}"]
        if self.prefix_pay == "level":
            words.append("as the level of the whole text each time")
        if self.kl_coef:
            words.append(f"minus {self.kl_coef:g} × KL to the reference (nats)")
        if self.gamma != 1.0:
            words.append(f"discounted by {self.gamma:g} per token")
        if self.missing_eos_penalty:
            words.append(f"minus {self.missing_eos_penalty:g} where the end is missing")
        if self.temperature != 1.0:
            words.append(f"at temperature {self.temperature:g}")
        return ", ".join(words)


@dataclass(frozen=True, eq=False)
class Estimate:
    """A number with its error, the samples behind it, how it was made, and what it is the value of."""

    mean: float
    standard_error: float  # 0 where exact; not a number where learned
    samples: int
    kind: Kind
    objective: Objective
    returns: tuple[float, ...] = ()  # what was drawn, sample by sample; monte-carlo only
