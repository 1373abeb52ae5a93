"""The blame game: a text with one planted flaw, a score, and single tokens that can be written anew, at a price.

With one score at the end nothing points at the flaw: on average half the tokens are written anew before it is found.
Paid by the sentence, or by the token, the score itself points there, provided that it pays where the flaw stands. A
judge that takes its toll later (a spoilt sentence is only worth nothing at its end) points at the wrong place even
when it pays for each token: that is what values are for.
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
    """One token written anew with everything else as it was, and the score of that text."""

    place: int
    token: str
    score: float


class BlameGame:
    """One round: the flawed text, what was bought, and the accusation.

    `response` is a good text of the world; the flaw replaces one token of it, the one at `place` or one chosen by
    `seed`, by the token that harms the score most.
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
            raise LabError("judge", None, "this world has no gold judge; hand over a reward")
        self.world, self.prompt, self.judge = world, prompt, chosen
        self._chance = torch.Generator().manual_seed(seed)
        good = world.policy.encode_response(response)
        self.flaw = int(torch.randint(len(good) - 1, (), generator=self._chance)) if place is None else place
        self.good_score = float(self._scores([good])[0])
        self.ids = self._planted(good)
        self.score = float(self._scores([self.ids])[0])
        self._probs = self._policy_probs()
        self.timing: Timing = "end"
        self.rerolls: list[Reroll] = []
        self.verdict: Verdict | None = None

    @property
    def tokens(self) -> tuple[str, ...]:
        """Return the flawed text, token by token, the end token left out."""
        return tuple(self.world.policy.token_text(token) for token in self.ids[:-1])

    @property
    def paid(self) -> list[float]:
        """Return what the score pays at each token under the present timing; 0 where nothing is paid."""
        rows = self._sequences([self.ids])
        paid: list[float] = self.judge.score(rows, timing=self.timing).per_token[0].tolist()
        return [*paid[:-2], sum(paid[-2:])]  # what the end token is paid belongs to the last word

    def reroll(self, place: int) -> Reroll:
        """Buy one re-roll: the policy writes another token at one place, everything else stays."""
        self._check(place)
        probs = self._probs[place].clone()
        probs[[self.ids[place], self.world.policy.eos_id]] = 0.0
        token = int(torch.multinomial(probs, 1, generator=self._chance))
        score = float(self._scores([[*self.ids[:place], token, *self.ids[place + 1 :]]])[0])
        bought = Reroll(place, self.world.policy.token_text(token), score)
        self.rerolls.append(bought)
        return bought

    def accuse(self, place: int) -> Verdict:
        """Say which token is the flaw."""
        self._check(place)
        word, count = self.tokens[place], len(self.rerolls)
        cost = "1 re-roll" if count == 1 else f"{count} re-rolls"
        if place == self.flaw:
            reason = f"Yes: “{word}” at place {label(place)} is the flaw. You found it with {cost}."
        else:
            reason = (
                f"“{word}” at place {label(place)} is innocent. You have bought {cost}; buy more, or get more scores."
            )
        self.verdict = Verdict(right=place == self.flaw, reason=reason)
        return self.verdict

    def suspects(self) -> list[int]:
        """Return the places in the order in which the present scores make them suspect, equals by chance."""
        units = self._unit_pay()
        ties = torch.rand(len(units), generator=self._chance).tolist()
        return sorted(range(len(units)), key=lambda place: (units[place], ties[place]))

    def _unit_pay(self) -> list[float]:
        """Return for each token what its unit is paid: the token, its sentence, or the whole text."""
        places = reward_positions(self._sequences([self.ids]), timing=self.timing)[0, :-1].tolist()
        paid, units = self.paid, []
        following = paid[-1]
        for place in reversed(range(len(paid))):
            following = paid[place] if places[place] else following
            units.append(following)
        return units[::-1]

    def _planted(self, good: Sequence[int]) -> list[int]:
        """Return the text with the worst token of the vocabulary at the flaw's place."""
        if not 0 <= self.flaw < len(good) - 1:
            raise LabError("place", self.flaw, f"this text has the places 0 to {len(good) - 2}")
        known = [token for token in range(self.world.policy.vocabulary) if token != self.world.policy.eos_id]
        texts = [[*good[: self.flaw], token, *good[self.flaw + 1 :]] for token in known]
        return texts[int(self._scores(texts).argmin())]

    def _policy_probs(self) -> Tensor:
        """Return the policy's probabilities at every place of the flawed text, (T, vocabulary)."""
        with torch.no_grad():
            return self.world.policy.logits(self._sequences([self.ids]), temperature=1.0)[0].double().softmax(-1).cpu()

    def _scores(self, texts: Sequence[Sequence[int]]) -> Tensor:
        return self.judge.score(self._sequences(texts)).total

    def _sequences(self, texts: Sequence[Sequence[int]]) -> Sequences:
        return sequences_from_ids(self.world.policy, [self.prompt] * len(texts), texts)

    def _check(self, place: int) -> None:
        if not 0 <= place < len(self.ids) - 1:
            raise LabError("place", place, f"this text has the places 0 to {len(self.ids) - 2}")


def good_text(world: World, *, judge: Reward, tokens: int = 24, samples: int = 64, seed: int = 0) -> tuple[str, str]:
    """Return a prompt and the best finished response of about so many tokens that the world's policy writes to it."""
    prompts = [world.prompts[at % len(world.prompts)] for at in range(samples)]
    rows = generate(world.policy, prompts, max_new_tokens=world.max_new_tokens, seed=seed)
    scores = judge.score(rows).total.tolist()
    ended, lengths = rows.ended.tolist(), rows.lengths.tolist()
    if not any(ended):
        raise LabError("samples", samples, "none of them came to its end; draw more")
    far = [
        abs(length - 1 - tokens) if done else world.max_new_tokens for length, done in zip(lengths, ended, strict=True)
    ]
    near = max(min(far), tokens // 6)
    best = max((at for at in range(samples) if far[at] <= near), key=lambda at: scores[at])
    return rows.prompts[best], rows.responses[best]


def rerolls_needed(game: BlameGame) -> int:
    """Return how many tokens a patient player writes anew, the most suspect first, until it is the flaw's turn."""
    return game.suspects().index(game.flaw) + 1
