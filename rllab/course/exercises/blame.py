"""The blame game: a text with one planted flaw, a score, and single tokens that can be resampled, at a cost.

With one score at the end nothing points at the flaw: on average half the tokens are resampled before it is found.
Paid by the sentence, or by the token, the score itself points there, provided it pays where the flaw is. A judge
that deducts later (a spoilt sentence is worth nothing only at its end) points at the wrong place even when it pays
for each token: that is what values are for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rllab.core.config import Timing
from rllab.core.errors import LabError
from rllab.core.notation import label
from rllab.core.records import Sequences
from rllab.course.exercises.grading import Verdict
from rllab.policy.generation import generate, sequences_from_ids
from rllab.reward.reward import Reward, reward_positions
from rllab.worlds import World

TIMINGS: tuple[Timing, ...] = ("end", "sentence", "token")


@dataclass(frozen=True)
class Reroll:
    """One token resampled with everything else as it was, and the score of that text."""

    place: int
    token: str
    score: float


class BlameGame:
    """One round: the flawed text, what was bought, and the accusation.

    The flaw replaces one token of a good text by the token that harms the score most.

    Args:
        world: Its policy resamples tokens.
        prompt: The prompt of the text.
        response: A good text of the world.
        judge: Scores the texts; by default the world's gold judge.
        place: The flaw's column, 0-based; by default chosen by `seed`.
        seed: Of the place, the re-rolls and the order of equal suspects.

    Raises:
        LabError: If there is no judge, or the text has no such place.
    """

    def __init__(
        self,
        world: World,
        prompt: str,
        response: str,
        *,
        judge: Reward | None = None,
        place: int | None = None,
        seed: int = 0,
    ) -> None:
        chosen = world.gold if judge is None else judge
        if chosen is None:
            raise LabError("judge", None, "this world has no gold judge; pass a reward")
        self.world, self.prompt, self.judge = world, prompt, chosen
        self._generator = torch.Generator().manual_seed(seed)
        good = world.policy.encode_response(response)
        self.flaw = int(torch.randint(len(good) - 1, (), generator=self._generator)) if place is None else place
        self._check(self.flaw, good)
        self.good_score = float(self._scores([good])[0])
        known = [token for token in range(world.policy.vocabulary) if token != world.policy.eos_id]
        texts = [[*good[: self.flaw], token, *good[self.flaw + 1 :]] for token in known]
        self.ids = texts[int(self._scores(texts).argmin())]
        self.score = float(self._scores([self.ids])[0])
        with torch.no_grad():
            logits = world.policy.logits(self._sequences([self.ids]), temperature=1.0)[0]
        self._probs = logits.double().softmax(-1).cpu()  # (T, vocabulary)
        self.timing: Timing = "end"
        self.rerolls: list[Reroll] = []
        self.verdict: Verdict | None = None

    @property
    def tokens(self) -> tuple[str, ...]:
        """Return the flawed text token by token, without the end token."""
        return tuple(self.world.policy.token_text(token) for token in self.ids[:-1])

    @property
    def paid(self) -> list[float]:
        """Return the reward of each token under the present timing; 0 where nothing is paid."""
        rows = self._sequences([self.ids])
        paid: list[float] = self.judge.score(rows, timing=self.timing).per_token[0].tolist()
        return [*paid[:-2], sum(paid[-2:])]  # the reward of the end token belongs to the last word

    def reroll(self, place: int) -> Reroll:
        """Buy one re-roll and return it: the policy samples another token at one place, everything else stays.

        Args:
            place: The column, 0-based.

        Raises:
            LabError: If the text has no such place.
        """
        self._check(place, self.ids)
        probs = self._probs[place].clone()
        probs[[self.ids[place], self.world.policy.eos_id]] = 0.0
        token = int(torch.multinomial(probs, 1, generator=self._generator))
        score = float(self._scores([[*self.ids[:place], token, *self.ids[place + 1 :]]])[0])
        bought = Reroll(place, self.world.policy.token_text(token), score)
        self.rerolls.append(bought)
        return bought

    def accuse(self, place: int) -> Verdict:
        """Name a token as the flaw, and return the verdict.

        Args:
            place: The column, 0-based.

        Raises:
            LabError: If the text has no such place.
        """
        self._check(place, self.ids)
        word, count = self.tokens[place], len(self.rerolls)
        cost = "1 re-roll" if count == 1 else f"{count} re-rolls"
        if place == self.flaw:
            reason = f"Yes: “{word}” at place {label(place)} is the flaw. You found it with {cost}."
        else:
            found = f"“{word}” at place {label(place)} is innocent."
            reason = f"{found} You have bought {cost}; buy more, or ask for finer scores."
        self.verdict = Verdict(right=place == self.flaw, reason=reason)
        return self.verdict

    def suspects(self) -> list[int]:
        """Return the places, the most suspect by the present rewards first; ties are in random order."""
        pays = reward_positions(self._sequences([self.ids]), timing=self.timing)[0, :-1].tolist()
        paid = self.paid
        units, following = list(paid), paid[-1]
        for place in reversed(range(len(paid))):  # the reward of the token, its sentence, or the whole text
            units[place] = following = paid[place] if pays[place] else following
        ties = torch.rand(len(units), generator=self._generator).tolist()
        return sorted(range(len(units)), key=lambda place: (units[place], ties[place]))

    def _scores(self, texts: Sequence[Sequence[int]]) -> Tensor:
        return self.judge.score(self._sequences(texts)).total

    def _sequences(self, texts: Sequence[Sequence[int]]) -> Sequences:
        return sequences_from_ids(self.world.policy, [self.prompt] * len(texts), texts)

    @staticmethod
    def _check(place: int, ids: Sequence[int]) -> None:
        if not 0 <= place < len(ids) - 1:
            raise LabError("place", place, f"choose a place from 0 to {len(ids) - 2}")


def good_text(world: World, *, judge: Reward, tokens: int = 24, samples: int = 64, seed: int = 0) -> tuple[str, str]:
    """Sample responses, and return the best finished one of about the wanted length, with its prompt.

    Args:
        world: Its policy samples the responses to its prompts.
        judge: Scores them.
        tokens: The wanted length, without the end token.
        samples: How many responses are sampled.
        seed: Of the samples.

    Returns:
        The prompt and the response.

    Raises:
        LabError: If no response is finished.
    """
    prompts = [world.prompts[row % len(world.prompts)] for row in range(samples)]
    rows = generate(world.policy, prompts, max_new_tokens=world.max_new_tokens, seed=seed)
    scores = judge.score(rows).total.tolist()
    ended = rows.ended.tolist()
    if not any(ended):
        raise LabError("samples", samples, "none of them is finished; sample more")
    lengths = zip(rows.lengths.tolist(), ended, strict=True)
    far = [abs(length - 1 - tokens) if done else world.max_new_tokens for length, done in lengths]
    near = max(min(far), tokens // 6)
    best = max((row for row in range(samples) if far[row] <= near), key=lambda row: scores[row])
    return rows.prompts[best], rows.responses[best]


def rerolls_needed(game: BlameGame) -> int:
    """Return how many re-rolls a patient player needs who resamples the most suspect token first.

    Args:
        game: The round to play, under its present timing.
    """
    return game.suspects().index(game.flaw) + 1
