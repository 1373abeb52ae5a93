"""What a value predicts (the objective), and an estimate of it with its uncertainty."""

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
    """The return whose expectation a value is: Σ_k γ^k (r_k - kl_coef · KL_k), with when and how r is paid.

    A critic and the truth can only be compared when both refer to the same objective, so both carry it.

    Args:
        reward: What pays r.
        reference: The policy from which KL is measured.
        kl_coef: Price of divergence, in reward units per nat; 0 where the KL is a term of the loss.
        gamma: Discount per token.
        timing: When the reward is paid: token, sentence or end.
        temperature: Divides the logits of policy and reference.
        prefix_pay: Whether increments or levels of the prefix score are paid.
        missing_eos_penalty: Taken off where a response has no end token, in reward units.

    Raises:
        LabError: If a setting is not an allowed choice or is out of range.
    """

    reward: Reward
    reference: Policy
    kl_coef: float
    gamma: float
    timing: Timing
    temperature: float
    prefix_pay: PrefixPay = "increment"
    missing_eos_penalty: float = 0.0

    @classmethod
    def of(cls, config: Config, *, reward: Reward, reference: Policy) -> Objective:
        """Return the objective that a run with these settings maximises.

        Args:
            config: The run's settings.
            reward: The reward that it sees.
            reference: The policy from which KL is measured.

        Returns:
            The objective.
        """
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
        """Raise LabError if any setting is not an allowed choice or is out of range."""
        for name in SETTINGS:
            check_setting(name, getattr(self, name))

    def score(self, sequences: Sequences) -> Scores:
        """Score rows, the penalty for a missing end included; padding is zeroed and non-finite scores are rejected.

        Args:
            sequences: The rows.

        Returns:
            Totals, (B,), their parts, and what is paid at each token, (B, T).

        Raises:
            LabError: If a score is NaN or infinite.
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
        """Return how another objective differs.

        Args:
            other: The other objective.

        Returns:
            The first difference in words; empty where a value means the same under both.
        """
        if self.reward is not other.reward and self.reward != other.reward:
            return f"the reward is {other.reward.name}, not {self.reward.name}"
        if self.kl_coef and other.kl_coef and self.reference.weights is not other.reference.weights:
            return "the reference is another policy"
        pairs = ((name, getattr(self, name), getattr(other, name)) for name in SETTINGS)
        return next((f"{name} is {theirs}, not {ours}" for name, ours, theirs in pairs if ours != theirs), "")

    def describe(self) -> str:
        """Return in words what a value predicts, for the bottom of a panel."""
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
    """An estimate of a value, with its uncertainty and the objective that it refers to.

    Args:
        mean: The estimate, in reward units.
        standard_error: Its standard error; 0 where exact, NaN where learned.
        samples: Number of sampled responses.
        kind: exact, monte-carlo or learned.
        objective: What the value predicts.
        returns: The sampled returns, monte-carlo only.
    """

    mean: float
    standard_error: float
    samples: int
    kind: Kind
    objective: Objective
    returns: tuple[float, ...] = ()
