"""What the token stepper shows of one line of text, computed once per picture, without a widget."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from rllab.core.records import Sequences, State
from rllab.policy.generation import sequences_from_ids
from rllab.reward.reward import reward_positions
from rllab.worlds.stepper import Stepper


@dataclass(frozen=True)
class ScoredToken:
    """One token of the line with all its numbers, in nats and reward units.

    `reward` = `paid` - beta * `kl`: this token's share of the objective (`paid` is 0 until it is due).
    """

    token_id: int
    token: str
    sampled: bool
    logprob: float
    ref_logprob: float
    entropy: float  # of the state it was written in
    value: float  # V of the state it was written in
    prefix_score: float  # the reward on the text up to and with it
    paid: float
    reward: float

    @property
    def kl(self) -> float:
        """Return log pi - log pi_ref of this token, the sample of the KL that the objective charges."""
        return self.logprob - self.ref_logprob


@dataclass(frozen=True)
class Line:
    """A line in its present state: its tokens, the state at its end, whether it has ended."""

    prompt: tuple[str, ...]  # its tokens as text
    written: tuple[ScoredToken, ...]
    end: State
    ended: bool  # with the end token, not at the limit

    @property
    def tokens(self) -> tuple[str, ...]:
        """Return the written tokens as text."""
        return tuple(scored.token for scored in self.written)

    @property
    def values(self) -> tuple[float, ...]:
        """Return V of the states 0..T; after the end token nothing follows, so there is no V to learn."""
        last = math.nan if self.ended else self.end.value
        return (*(scored.value for scored in self.written), last)

    @property
    def entropies(self) -> tuple[float, ...]:
        """Return the entropy of the states 0..T in nats; NaN where nothing can follow."""
        return (*(scored.entropy for scored in self.written), math.nan if self.end.done else self.end.entropy)

    @property
    def score(self) -> float:
        """Return the reward's score of the whole text so far."""
        return self.written[-1].prefix_score if self.written else math.nan


def read_line(stepper: Stepper, *, scored: bool) -> Line:
    """Return a stepper's line.

    Args:
        stepper: The stepper.
        scored: Whether to evaluate the reward, which takes longer; its numbers are NaN otherwise.
    """
    world = stepper.world
    rewards = _rewards(stepper) if scored and stepper.steps else [(math.nan, math.nan)] * len(stepper.steps)
    written = tuple(
        ScoredToken(
            token_id=step.token_id,
            token=step.token,
            sampled=step.sampled,
            logprob=step.logprob,
            ref_logprob=step.ref_logprob,
            entropy=step.state.entropy,
            value=step.state.value,
            prefix_score=score,
            paid=paid,
            reward=paid - world.objective.kl_coef * (step.logprob - step.ref_logprob),
        )
        for step, (score, paid) in zip(stepper.steps, rewards, strict=True)
    )
    prompt = tuple(world.policy.token_text(token) for token in stepper.prompt_ids)
    return Line(prompt, written, stepper.state, bool(stepper.steps) and stepper.steps[-1].is_end)


def _rewards(stepper: Stepper) -> list[tuple[float, float]]:
    """Return for each token the score of the text up to it, and the reward paid for it."""
    sequences, world = stepper.sequences(), stepper.world
    with torch.no_grad():
        scores = world.reward.prefix_scores(sequences)[0].tolist()
        per_token = world.objective.score(sequences).per_token[0]
        due = _due(stepper, sequences)
    return list(zip(scores, torch.where(due, per_token, 0.0).tolist(), strict=True))


def _due(stepper: Stepper, sequences: Sequences) -> torch.Tensor:
    """Return for which tokens the objective has paid by now, (T,).

    A score treats the last token as the end of the text. While the line goes on, that payment is not due unless the
    reward pays at this token anyway; a line with one more token shows which is the case.
    """
    timing = stepper.world.objective.timing
    if stepper.done:
        return reward_positions(sequences, timing=timing)[0]
    ids = (*stepper.prefix_ids, stepper.world.policy.eos_id)
    longer = sequences_from_ids(stepper.world.policy, [stepper.prompt], [ids])
    return reward_positions(longer, timing=timing)[0, :-1]


def candidates(state: State, *, count: int, also: Sequence[int] = ()) -> tuple[list[int], list[float]]:
    """Return the positions of the most likely candidates, and the probabilities of all others together.

    Args:
        state: The state.
        count: How many candidates to show.
        also: Tokens to show besides.

    Returns:
        Positions in `state.candidate_ids`; the mass of the rest under pi, the filtered pi and the reference, so that
        each still sums to 1.
    """
    places = list(range(min(count, len(state.candidate_ids))))
    places += [at for at, token in enumerate(state.candidate_ids) if token in also and at not in places]
    shown = torch.tensor(places)
    rest = [
        max(0.0, other + float(probs.sum()) - float(probs[shown].sum()))
        for probs, other in (
            (state.probs, state.other_prob),
            (state.sampling_probs, state.other_sampling_prob),
            (state.ref_probs, state.other_ref_prob),
        )
    ]
    return places, rest
