"""Rewards: what a text is worth, in total and by named parts, and when the reward is paid."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor

from rllab.core.config import PrefixPay, Timing
from rllab.core.errors import LabError
from rllab.core.records import Scores, Sequences
from rllab.maths.masking import last_index
from rllab.policy.networks import shared_state_scalars, without_dropout

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class Judge(Protocol):
    """A function from text to named parts; it has to answer for any text, finished or not."""

    def __call__(self, prompt: str, response: str, *, ended: bool) -> Mapping[str, float]:
        """Judge the response so far.

        Args:
            prompt: The prompt.
            response: The response so far, special tokens left out.
            ended: Whether it closed with the end token.

        Returns:
            A number for each named part.
        """
        ...


class Reward(Protocol):
    """What the lab asks of a reward. Rollouts, pairs, exact leaves and imported logs all come as Sequences."""

    @property
    def name(self) -> str:
        """Return the name that panels show."""
        ...

    def score(self, sequences: Sequences, *, timing: Timing = "end") -> Scores:
        """Score each row: total, parts and what is paid at each token.

        Args:
            sequences: The rows.
            timing: When the reward is paid: token, sentence or end.

        Returns:
            Totals, (B,), their parts, and payments, (B, T), in reward units.
        """
        ...

    def prefix_scores(self, sequences: Sequences) -> Tensor:
        """Score the text up to and with each token.

        Args:
            sequences: The rows.

        Returns:
            Scores of the prefixes, (B, T), 0 on padding.
        """
        ...


def per_token_scores(
    prefix_scores: Tensor, sequences: Sequences, *, timing: Timing, prefix_pay: PrefixPay = "increment"
) -> Tensor:
    """Turn scores of prefixes into what is paid at each token.

    With increments, r_t = φ_t - φ_u, where u is the position of the payment before (φ = 0 before the
    first): under every timing a row sums to the score of the whole text. `level` pays φ_t itself at
    every position, a form that some courses teach: its sum grows with the number of payments.

    Args:
        prefix_scores: φ, the score of the text up to and with each token, (B, T).
        sequences: The rows.
        timing: When the reward is paid: token, sentence or end.
        prefix_pay: increment or level.

    Returns:
        Payments, (B, T), in the unit of the scores.
    """
    mask = sequences.response_mask
    paid = reward_positions(sequences, timing=timing)
    if prefix_pay == "level" or timing == "end":  # a single payment has none before it
        return torch.where(paid, prefix_scores, 0.0)
    columns = torch.arange(mask.shape[1], device=mask.device).expand_as(mask)
    last_paid = torch.where(paid, columns, -1).cummax(dim=1).values
    before = torch.cat([torch.full_like(last_paid[:, :1], -1), last_paid[:, :-1]], dim=1)  # (B, T)
    earlier = torch.where(before >= 0, prefix_scores.gather(1, before.clamp(min=0)), 0.0)
    return torch.where(paid, prefix_scores - earlier, 0.0)


def reward_positions(sequences: Sequences, *, timing: Timing) -> Tensor:
    """Return the tokens at which the reward is paid: all, the last of each sentence, or the last.

    Args:
        sequences: The rows.
        timing: When the reward is paid: token, sentence or end.

    Returns:
        Whether each token is one of them, (B, T) bool.
    """
    mask = sequences.response_mask
    columns = torch.arange(mask.shape[1], device=mask.device)
    last = columns == last_index(mask)[:, None]
    if timing == "end":
        return last
    if timing == "token":
        return mask
    next_sentence = torch.cat([sequences.sentence[:, 1:], sequences.sentence[:, -1:]], dim=1)
    return mask & (last | (next_sentence != sequences.sentence))


@dataclass(frozen=True)
class TextReward:
    """A reward that is a function of text: a judge names parts, the total is their weighted sum.

    Args:
        name: The name that panels show.
        judge: Reads prompt, response so far and whether it has ended; answers for any text, finished or not.
        decode: Turns token ids into text.
        weights: The weight of each part, in reward units.
    """

    name: str
    judge: Judge
    decode: Callable[[Sequence[int]], str]
    weights: Mapping[str, float]

    def score(self, sequences: Sequences, *, timing: Timing = "end") -> Scores:
        """Score each row: total, weighted parts and what is paid at each token.

        Args:
            sequences: The rows.
            timing: When the reward is paid: token, sentence or end.

        Returns:
            Totals, (B,), their parts, and payments, (B, T), in reward units.

        Raises:
            LabError: If the judge raises, or returns a number that is NaN or infinite.
        """
        texts = list(zip(sequences.prompts, sequences.responses, sequences.ended.tolist(), strict=True))
        judged = {key: self._parts(key[0], key[1], ended=key[2]) for key in dict.fromkeys(texts)}
        rows = [judged[key] for key in texts]
        parts = {part: _column(sequences, [row[part] for row in rows]) for part in self.weights}
        total = _column(sequences, [math.fsum(row.values()) for row in rows])
        return Scores(total, parts, _paid(self, total, sequences, timing=timing))

    def prefix_scores(self, sequences: Sequences) -> Tensor:
        """Score the text up to and with each token; a shared beginning is judged once.

        Args:
            sequences: The rows.

        Returns:
            Scores of the prefixes, (B, T), 0 on padding.

        Raises:
            LabError: If the judge raises, or returns a number that is NaN or infinite.
        """
        judged: dict[tuple[str, tuple[int, ...], bool], float] = {}
        scores = []
        rows = zip(sequences.prompts, sequences.response_tokens.tolist(), sequences.ended.tolist(), strict=True)
        for (prompt, ids, ended), length in zip(rows, sequences.lengths.tolist(), strict=True):
            keys = [(prompt, tuple(ids[:size]), ended and size == length) for size in range(1, length + 1)]
            for key in keys:
                if key not in judged:
                    judged[key] = math.fsum(self._parts(prompt, self.decode(key[1]), ended=key[2]).values())
            scores.append([judged[key] for key in keys] + [0.0] * (len(ids) - length))
        shape = sequences.response_mask.shape
        return torch.tensor(scores, dtype=torch.float64, device=sequences.tokens.device).reshape(shape)

    def _parts(self, prompt: str, text: str, *, ended: bool) -> dict[str, float]:
        """Judge one text, finished or not."""
        try:
            judged = self.judge(prompt, text, ended=ended)
            parts = {part: weight * float(judged[part]) for part, weight in self.weights.items()}
        except Exception as error:
            remedy = f"it raised {type(error).__name__} ({error}) on the response {text[:60]!r}; fix the function"
            raise LabError("reward", self.name, remedy) from error
        for part, value in parts.items():
            if not math.isfinite(value):
                remedy = f"part {part} is {value} on the response {text[:60]!r}; return finite numbers"
                raise LabError("reward", self.name, remedy)
        return parts


@dataclass(frozen=True)
class TokenReward:
    """A reward that adds up what each token is worth, whatever its context: no text is read, so it is fast.

    Args:
        name: The name that panels show.
        worth: What each token of the vocabulary is worth, (A,), reward units.
    """

    name: str
    worth: Tensor  # (A,)

    def score(self, sequences: Sequences, *, timing: Timing = "end") -> Scores:
        """Score each row: total, its one part and what is paid at each token.

        Args:
            sequences: The rows.
            timing: When the reward is paid: token, sentence or end.

        Returns:
            Totals, (B,), their parts, and payments, (B, T), in reward units.
        """
        total = self._worths(sequences).sum(dim=1)
        return Scores(total, {self.name: total}, _paid(self, total, sequences, timing=timing))

    def prefix_scores(self, sequences: Sequences) -> Tensor:
        """Score the text up to and with each token.

        Args:
            sequences: The rows.

        Returns:
            Scores of the prefixes, (B, T), 0 on padding.
        """
        return torch.where(sequences.response_mask, self._worths(sequences).cumsum(dim=1), 0.0)

    def _worths(self, sequences: Sequences) -> Tensor:
        """Return what each token is worth alone, (B, T); 0 on padding."""
        return torch.where(sequences.response_mask, self.worth[sequences.response_tokens], 0.0)


@dataclass(frozen=True)
class RewardModel:
    """A learned reward: a one-label network that scores every prefix in one causal pass.

    A Bradley-Terry fit fixes scores only up to a constant, so `shift` and `scale` choose the zero and the
    unit: the mean and the standard deviation over responses of the reference policy.

    Args:
        name: The name that panels show.
        model: A one-label network; its dropout is switched off.
        shift: The raw score that counts as 0.
        scale: The raw difference that counts as 1.
    """

    name: str
    model: PreTrainedModel
    shift: float = 0.0
    scale: float = 1.0

    def __post_init__(self) -> None:
        """Switch dropout off: a score must not depend on chance."""
        without_dropout(self.model)

    def score(self, sequences: Sequences, *, timing: Timing = "end") -> Scores:
        """Score each row: total, its one part and what is paid at each token.

        Args:
            sequences: The rows.
            timing: When the reward is paid: token, sentence or end.

        Returns:
            Totals, (B,), their parts, and payments, (B, T), in reward units.
        """
        scores = self.prefix_scores(sequences)
        last = sequences.lengths.clamp(min=1) - 1
        total = scores.gather(1, last[:, None])[:, 0]
        return Scores(total, {self.name: total}, per_token_scores(scores, sequences, timing=timing))

    def prefix_scores(self, sequences: Sequences) -> Tensor:
        """Score the text up to and with each token.

        Args:
            sequences: The rows.

        Returns:
            Scores of the prefixes, (B, T), 0 on padding.
        """
        with torch.no_grad():
            raw = shared_state_scalars(self.model, sequences)[:, 1:]  # (B, T): token t closes state t+1
        return torch.where(sequences.response_mask, (raw - self.shift) / self.scale, 0.0)


def _column(sequences: Sequences, values: list[float]) -> Tensor:
    """Return one number per row as a tensor, (B,): Python's numbers keep their 64 bits."""
    return torch.tensor(values, dtype=torch.float64, device=sequences.tokens.device)


def _paid(reward: Reward, total: Tensor, sequences: Sequences, *, timing: Timing) -> Tensor:
    """Return what is paid at each token, (B, T); a single payment is the total, and needs no score of a prefix."""
    if timing == "end":
        return torch.where(reward_positions(sequences, timing="end"), total[:, None], 0.0)
    return per_token_scores(reward.prefix_scores(sequences), sequences, timing=timing)
