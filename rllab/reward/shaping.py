"""Rewards made of other rewards: sums with named parts, potential-based shaping, a final score spread over tokens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from rllab.core.config import Timing
from rllab.core.errors import LabError
from rllab.core.records import Scores, Sequences
from rllab.maths.masking import apply_mask, last_index
from rllab.policy.networks import position_ids
from rllab.reward.reward import Reward, per_token_scores

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Potential = Callable[[Sequences], Tensor]  # Φ at the states s_0..s_T, (B, T+1); a critic's state_values is one
Shares = Callable[[Sequences], Tensor]  # how much of the score each token earns, (B, T); rows need not sum to 1


@dataclass(frozen=True)
class WeightedSum:
    """Several rewards, each times its weight; every part keeps its name.

    Args:
        name: The name that panels show.
        terms: Pairs of weight and reward.

    Raises:
        LabError: If there are no terms.
    """

    name: str
    terms: Sequence[tuple[float, Reward]]

    def __post_init__(self) -> None:
        """Raise LabError if there are no terms."""
        if not self.terms:
            raise LabError("rewards", 0, "a sum needs at least one reward")

    def score(self, sequences: Sequences, *, timing: Timing = "end") -> Scores:
        """Score each row: total, weighted parts and what is paid at each token.

        Args:
            sequences: The rows.
            timing: When the reward is paid: token, sentence or end.

        Returns:
            Totals, (B,), their parts, and payments, (B, T), in reward units.
        """
        parts: dict[str, Tensor] = {}
        scored = [(weight, reward, reward.score(sequences, timing=timing)) for weight, reward in self.terms]
        for weight, reward, scores in scored:
            for part, values in scores.parts.items():
                name = reward.name if len(scores.parts) == 1 else f"{reward.name}, {part}"
                parts[name] = parts.get(name, torch.zeros_like(values)) + weight * values
        total = torch.stack([weight * scores.total.double() for weight, _, scores in scored]).sum(dim=0)
        per_token = torch.stack([weight * scores.per_token.double() for weight, _, scores in scored]).sum(dim=0)
        return Scores(total, parts, per_token)

    def prefix_scores(self, sequences: Sequences) -> Tensor:
        """Score the text up to and with each token.

        Args:
            sequences: The rows.

        Returns:
            Scores of the prefixes, (B, T), 0 on padding.
        """
        columns = [weight * reward.prefix_scores(sequences).double() for weight, reward in self.terms]
        return torch.stack(columns).sum(dim=0)


@dataclass(frozen=True)
class Shaped:
    """A reward with F_t = γ Φ(s_{t+1}) - Φ(s_t) added at every token, whenever the reward itself is paid.

    Φ is 0 where the response is over, ended or cut: then the return changes by -Φ(s_0) alone, which no action can
    change, and the best policy stays the best (Ng et al. 1999). With Φ = V and γ = 1 each token is paid its TD error.

    Args:
        name: The name that panels show.
        reward: The reward to add to.
        potential: Φ at the states s_0..s_T, (B, T+1); a critic's `state_values` is one.
        gamma: γ, the run's own discount per token.
    """

    name: str
    reward: Reward
    potential: Potential
    gamma: float = 1.0

    def score(self, sequences: Sequences, *, timing: Timing = "end") -> Scores:
        """Score each row: total, the reward's parts and the shaping, and what is paid at each token.

        Args:
            sequences: The rows.
            timing: When the reward is paid: token, sentence or end.

        Returns:
            Totals, (B,), their parts, and payments, (B, T), in reward units.
        """
        scores, shaping = self.reward.score(sequences, timing=timing), self._shaping(sequences)
        change = shaping.sum(dim=1)
        return Scores(scores.total + change, {**scores.parts, "shaping": change}, scores.per_token + shaping)

    def prefix_scores(self, sequences: Sequences) -> Tensor:
        """Score the text up to and with each token, the shaping that was paid included.

        Args:
            sequences: The rows.

        Returns:
            Scores of the prefixes, (B, T), 0 on padding.
        """
        paid = self._shaping(sequences).cumsum(dim=1)
        return self.reward.prefix_scores(sequences) + apply_mask(paid, sequences.response_mask)

    def _shaping(self, sequences: Sequences) -> Tensor:
        with torch.no_grad():
            return potential_shaping(self.potential(sequences), sequences.response_mask, gamma=self.gamma)


@dataclass(frozen=True)
class Redistributed:
    """A final score that is spread over the tokens by their shares; each row still sums to it.

    What a token gets depends on how the text continues, so a state has no score of its own here: exact values of
    such a reward do not exist, its returns do.

    Args:
        name: The name that panels show.
        reward: The reward whose final score is spread.
        shares: How much each token earns, (B, T); rows need not sum to 1.
    """

    name: str
    reward: Reward
    shares: Shares

    def score(self, sequences: Sequences, *, timing: Timing = "end") -> Scores:
        """Score each row: total, parts and what is paid at each token.

        Args:
            sequences: The rows.
            timing: When the reward is paid: token, sentence or end.

        Returns:
            Totals, (B,), their parts, and payments, (B, T), in reward units.
        """
        scores = self.reward.score(sequences)
        prefix_scores = self._shared_out(scores.total, sequences)
        return Scores(scores.total, scores.parts, per_token_scores(prefix_scores, sequences, timing=timing))

    def prefix_scores(self, sequences: Sequences) -> Tensor:
        """Return the part of the score that has been paid up to and with each token.

        Args:
            sequences: The rows.

        Returns:
            Scores of the prefixes, (B, T), 0 on padding.
        """
        return self._shared_out(self.reward.score(sequences).total, sequences)

    def _shared_out(self, total: Tensor, sequences: Sequences) -> Tensor:
        mask = sequences.response_mask
        shares = apply_mask(self.shares(sequences).to(total.dtype), mask)
        sums = shares.sum(dim=1, keepdim=True)
        even = apply_mask(torch.ones_like(shares), mask) / mask.sum(dim=1, keepdim=True).clamp(min=1)
        given = torch.where(sums > 0, shares / sums.clamp(min=1e-30), even)  # (B, T), rows sum to 1
        upto = given.cumsum(dim=1)
        last = torch.arange(mask.shape[1], device=mask.device) == last_index(mask)[:, None]
        return apply_mask(total[:, None] * torch.where(last, 1.0, upto), mask)


def potential_shaping(potentials: Tensor, mask: Tensor, *, gamma: float) -> Tensor:
    """Compute γ Φ(s_{t+1}) - Φ(s_t) with Φ = 0 after the last token (Ng et al. 1999).

    Args:
        potentials: Φ at the states s_0..s_T, (B, T+1), reward units.
        mask: Which positions count, (B, T).
        gamma: Discount per token.

    Returns:
        The shaping reward of each token, (B, T).
    """
    now = apply_mask(potentials[:, :-1], mask)
    after = torch.cat([now[:, 1:], torch.zeros_like(now[:, :1])], dim=1)  # 0 after the last token of each row
    return apply_mask(gamma * after - now, mask)


def even_shares(sequences: Sequences) -> Tensor:
    """Return the same share for every token.

    Args:
        sequences: The rows.

    Returns:
        Shares, (B, T).
    """
    return sequences.response_mask.double()


def attention_shares(model: PreTrainedModel) -> Shares:
    """Return shares by the reward model's attention when it gives the score (Chan et al. 2024).

    A token's share is the attention of the last token to it, averaged over the heads of the last block.

    Args:
        model: The reward model's network.

    Returns:
        A function from rows to shares, (B, T).
    """

    def shares(sequences: Sequences) -> Tensor:
        trunk: Any = model.base_model
        before = model.config._attn_implementation
        trunk.set_attn_implementation("eager")  # the fast kernels do not return their attention
        try:
            with torch.no_grad():
                output = trunk(
                    input_ids=sequences.tokens,
                    attention_mask=sequences.attention_mask.long(),
                    position_ids=position_ids(sequences.attention_mask),
                    use_cache=False,
                    output_attentions=True,
                )
        finally:
            trunk.set_attn_implementation(before)
        looks: Tensor = output.attentions[-1].mean(dim=1)  # (B, P+T, P+T)
        last = sequences.prompt_width + sequences.lengths - 1
        row = looks[torch.arange(len(sequences), device=looks.device), last]  # (B, P+T)
        return row[:, sequences.prompt_width :]

    return shares
