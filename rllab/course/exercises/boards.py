"""Boards: cards that belong into places. Matching, ordering and sorting are the same task in three layouts."""

from __future__ import annotations

import random
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from rllab.core.errors import LabError
from rllab.core.jobs import NO_JOB, Job
from rllab.core.records import Rollout, Scores, State, Targets
from rllab.course.exercises.grading import Verdict
from rllab.trainer.stages import Phase
from rllab.trainer.trainer import Trainer
from rllab.worlds.stepper import Stepper

# ---- Boards: cards that belong into places. Matching, ordering and sorting are the same task in three lay ----

Mode = Literal["match", "order", "sort"]
Placement = Mapping[str, Sequence[str]]  # place -> cards in it, from the first to the last
TRAY = "tray"  # where the cards lie at the beginning, and where decoys stay


@dataclass(frozen=True)
class Card:
    """One card; its home is the tray when it belongs nowhere."""

    id: str
    text: str
    home: str


@dataclass(frozen=True)
class Place:
    """One place; `means` completes the sentence that corrects a card laid there by mistake."""

    id: str
    label: str
    means: str


@dataclass(frozen=True)
class Pair:
    """Two cards of an order and why the first comes before the second."""

    first: str
    second: str
    reason: str


@dataclass(frozen=True)
class Board:
    """Cards and places. `wrong` holds the reason for one card in one place, as `card@place`."""

    mode: Mode
    places: tuple[Place, ...]
    cards: tuple[Card, ...]  # those of an order in the right order
    wrong: Mapping[str, str]
    pairs: tuple[Pair, ...]
    kind = "board"

    @property
    def room(self) -> int:
        """Return how many cards a place takes."""
        return 1 if self.mode == "match" else len(self.cards)

    def shuffled(self) -> list[str]:
        """Return the cards as they lie in the tray at the beginning: mixed, and the same every time."""
        cards = [card.id for card in self.cards]
        random.Random(len(cards)).shuffle(cards)
        return cards

    def check(self, answer: Any) -> Verdict:
        """Return the verdict on a placement; every wrong card is told why."""
        laid = self._laid(answer)
        asked = [card for card in self.cards if card.home != TRAY]
        if not laid:
            raise LabError("board", "empty", "lay at least one card")
        remarks = [
            self._remark(card, laid[card.id]) for card in self.cards if laid.get(card.id, card.home) != card.home
        ]
        share, disorder = self._share(asked, laid, answer), self._disorder(answer)
        missing = [card for card in asked if card.id not in laid]
        if missing and not remarks and not disorder:
            remarks = [f"So far so good; {len(missing)} of {len(asked)} cards are still to be laid."]
        found = tuple(dict.fromkeys([*disorder, *remarks]))
        if not found:
            return Verdict(right=True, reason="", share=1.0)
        if self.mode == "order":
            found = (*found, "{} of {} pairs of cards stand in the right order.".format(*self.pairs_kept(answer)))
        return Verdict(right=False, reason=found[0], more=found[1:], share=share)

    def right_answer(self) -> dict[str, list[str]]:
        """Return the right placement."""
        return {place.id: [card.id for card in self.cards if card.home == place.id] for place in self.places}

    def wrong_answers(self) -> list[tuple[dict[str, list[str]], str]]:
        """Return for each reason the right placement with that one fault in it."""
        found = [(self._with_card(*key.split("@")), reason) for key, reason in self.wrong.items()]
        return found + [(self._swapped(pair), pair.reason) for pair in self.pairs]

    def _laid(self, answer: Placement) -> dict[str, str]:
        """Return the place of each card that is not in the tray."""
        known, places = {card.id for card in self.cards}, {place.id for place in self.places}
        laid: dict[str, str] = {}
        for place, cards in answer.items():
            for card in cards:
                if card not in known or card in laid or place not in places:
                    raise LabError("card", f"{card} in {place}", "each card lies once, in a place of this board")
                laid[card] = place
        return laid

    def _remark(self, card: Card, place: str) -> str:
        """Say why a card does not belong where it lies."""
        where = next(one for one in self.places if one.id == place)
        return self.wrong.get(f"{card.id}@{place}") or f"“{card.text}” is not it: {where.means}."

    def _share(self, asked: Sequence[Card], laid: Mapping[str, str], answer: Placement) -> float:
        """Return the share of cards, or of pairs in an order, that lie right; a stranger counts as a wrong one."""
        strangers = len(laid.keys() - {card.id for card in asked})
        if self.mode == "order":
            kept, pairs = self.pairs_kept(answer)
            return kept / (pairs + strangers)
        return sum(laid.get(card.id) == card.home for card in asked) / (len(asked) + strangers)

    def _disorder(self, answer: Placement) -> list[str]:
        """Return the reasons of the pairs that stand the wrong way round, then a word on any other disorder."""
        if self.mode != "order":
            return []
        rank = {card: place for place, card in enumerate(answer[self.places[0].id])}
        key = [card.id for card in self.cards if card.home != TRAY and card.id in rank]
        said = [
            one.reason
            for one in self.pairs
            if {one.first, one.second} <= rank.keys() and rank[one.first] > rank[one.second]
        ]
        turned = [(a, b) for i, a in enumerate(key) for b in key[i + 1 :] if rank[a] > rank[b]]
        return said or [f"“{self._text(b)}” comes too early: “{self._text(a)}” comes before it." for a, b in turned[:1]]

    def pairs_kept(self, answer: Placement) -> tuple[int, int]:
        """Return how many pairs of an order stand the right way round, of how many."""
        key = [card.id for card in self.cards if card.home != TRAY]
        rank = {card: place for place, card in enumerate(answer.get(self.places[0].id, ()))}
        pairs = [(a, b) for i, a in enumerate(key) for b in key[i + 1 :]]
        return sum(a in rank and b in rank and rank[a] < rank[b] for a, b in pairs), len(pairs)

    def _text(self, card: str) -> str:
        return next(one.text for one in self.cards if one.id == card)

    def _with_card(self, card: str, place: str) -> dict[str, list[str]]:
        """Return the right placement with one card laid where it does not belong."""
        right = {name: [one for one in cards if one != card] for name, cards in self.right_answer().items()}
        right[place] = [card] if self.mode == "match" else [*right[place], card]
        return right

    def _swapped(self, pair: Pair) -> dict[str, list[str]]:
        """Return the right order with the second card of a pair put just before the first."""
        place = self.places[0].id
        order = [card for card in self.right_answer()[place] if card != pair.second]
        order.insert(order.index(pair.first), pair.second)
        return {place: order}


# ---- The cards of a board as they lie now: what the learner moves, before anything is checked ----


class Table:
    """Cards in the tray and in the places of a board; every move keeps each card in exactly one place."""

    def __init__(self, board: Board) -> None:
        self.board = board
        self.clear()

    def clear(self) -> None:
        """Lay all cards back into the tray."""
        self.rows: dict[str, list[str]] = {TRAY: self.board.shuffled()} | {one.id: [] for one in self.board.places}

    @property
    def placement(self) -> dict[str, list[str]]:
        """Return what lies where, the tray left out: the answer to check."""
        return {place: list(cards) for place, cards in self.rows.items() if place != TRAY}

    def move(self, card: str, place: str, at: int) -> None:
        """Lay a card into a place, before the card that is `at` there; where there is room for one, they change."""
        if place not in self.rows or all(card not in cards for cards in self.rows.values()):
            raise LabError("card", f"{card} in {place}", "choose a card and a place of this board")
        for cards in self.rows.values():
            if card in cards:
                cards.remove(card)
        row = self.rows[place]
        if place != TRAY and len(row) >= self.board.room:
            self.rows[TRAY].append(row.pop())
        row.insert(max(0, min(at, len(row))), card)

    def lay(self, placement: dict[str, list[str]]) -> None:
        """Lay the cards as a placement says; the others go to the tray."""
        self.clear()
        for place, cards in placement.items():
            for at, card in enumerate(cards):
                self.move(card, place, at)


# ---- Play an order of the loop's cards with a real trainer: each card takes what was made before it and m ----

Made = State | Rollout | Scores | Targets | Mapping[str, float]


@dataclass(frozen=True)
class Part:
    """What a card asks for and what it makes, as records of the lab."""

    asks: str
    makes: str


@dataclass(frozen=True)
class Played:
    """One card as it was played: what it made, in words, or why it could not be played."""

    card: str
    words: str
    stopped: bool = False


PARTS: Mapping[str, Part] = {
    "state": Part("", "State"),
    "action": Part("State", "Rollout"),
    "score": Part("Rollout", "Scores"),
    "value": Part("Scores", "Targets"),
    "update": Part("Targets", "UpdateRecord"),
    "label": Part("Pair", "Preference"),
    "imitate": Part("Demonstration", "Loss"),
    "copy": Part("FinishedRun", "Reference"),
}
MEANINGS: Mapping[str, str] = {
    "State": "a state to act in",
    "Rollout": "a text that was written, with its log-probabilities",
    "Scores": "scores of what was written",
    "Targets": "advantages and returns",
    "Pair": "two finished answers laid side by side for a person; a step of this loop makes no such pair",
    "Demonstration": "an answer that somebody else wrote; this loop has none",
    "FinishedRun": "a run that is over; the reference stays fixed while it lasts",
}


def play(cards: Sequence[str], trainer: Trainer, *, job: Job = NO_JOB) -> list[Played]:
    """Play the cards in their order on one update of a trainer; an order that ends early leaves no trace."""
    made = {""}
    played: list[Played] = []
    phases = trainer.phases(job=job)
    try:
        for card in cards:
            part = _part(card)
            if part.asks not in made:
                words = f"This card asks for {part.asks}: {MEANINGS[part.asks]}. No card before it has made one."
                return [*played, Played(card, words, stopped=True)]
            played.append(Played(card, _make(card, trainer, phases)))
            made.add(part.makes)
    finally:
        phases.close()
    return played


def _part(card: str) -> Part:
    if card not in PARTS:
        raise LabError.choice("card", card, PARTS)
    return PARTS[card]


def _make(card: str, trainer: Trainer, phases: Generator[Phase, None, dict[str, float]]) -> str:
    """Do what a card says, and tell what it has made."""
    if card == "state":
        state = Stepper(trainer.world).state
        return (
            f"State: “{trainer.world.prompts[0]}” and {len(state.prefix_ids)} tokens; {len(state.probs)} could follow."
        )
    if card == "update":
        return _finish(trainer, phases)
    record = next(phases).record
    if isinstance(record, Rollout):
        return f"Rollout: {len(record)} responses, such as “{record.responses[0]}”."
    if isinstance(record, Scores):
        return f"Scores: {float(record.total.mean()):.2f} on average, {float(record.total[0]):.2f} for the first."
    if isinstance(record, Targets):
        spread = float(record.advantages[record.loss_mask].std())
        return f"Targets: an advantage for each of {int(record.loss_mask.sum())} tokens, spread {spread:.2f}."
    raise LabError("card", card, "it came out of turn")


def _finish(trainer: Trainer, phases: Generator[Phase, None, dict[str, float]]) -> str:
    """Take all optimizer steps of the update."""
    before = trainer.world.policy.version
    for _ in phases:
        pass
    steps = trainer.world.policy.version - before
    return f"UpdateRecord: {steps} optimiser steps; the policy is a new one, and the next state meets it."
