"""Boards: cards that belong into places, how they are moved and checked, and how the loop's cards are played.

Matching, ordering and sorting are the same task in three layouts.
"""

from __future__ import annotations

import random
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from rllab.core.errors import LabError
from rllab.core.jobs import NO_JOB, Job
from rllab.core.records import Rollout, Scores, Targets
from rllab.course.exercises.grading import RIGHT, Verdict
from rllab.trainer.stages import Phase
from rllab.trainer.trainer import Trainer
from rllab.worlds.stepper import Stepper

Mode = Literal["match", "order", "sort"]
Placement = Mapping[str, Sequence[str]]  # place -> cards in it, from the first to the last
TRAY = "tray"  # where the cards are at the beginning, and where decoys stay


@dataclass(frozen=True)
class Card:
    """One card; its home is the tray when it belongs nowhere."""

    id: str
    text: str
    home: str


@dataclass(frozen=True)
class Place:
    """One place; `means` completes the sentence that corrects a card put there by mistake."""

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
        """Return the cards of the tray at the beginning: mixed, and the same every time."""
        cards = [card.id for card in self.cards]
        random.Random(len(cards)).shuffle(cards)
        return cards

    def check(self, answer: Any) -> Verdict:
        """Return the verdict on a placement, with a remark for every wrong card.

        Args:
            answer: A Placement; cards in no place are in the tray.

        Raises:
            LabError: If no card is placed, a card appears twice, or a card or place is not on this board.
        """
        placed = self._place_of(answer)
        if not placed:
            raise LabError("board", "empty", "place at least one card")
        asked = [card for card in self.cards if card.home != TRAY]
        disorder = self._disorder(answer)
        means = {place.id: place.means for place in self.places}
        remarks = [
            self.wrong.get(f"{card.id}@{where}") or f"“{card.text}” does not belong here: {means[where]}."
            for card in self.cards
            if (where := placed.get(card.id, card.home)) != card.home
        ]
        missing = sum(card.id not in placed for card in asked)
        if missing and not remarks and not disorder:
            remarks = [f"So far so good; {missing} of {len(asked)} cards are still to be placed."]
        found = list(dict.fromkeys([*disorder, *remarks]))
        if not found:
            return RIGHT
        decoys = len(placed.keys() - {card.id for card in asked})
        if self.mode == "order":
            kept, pairs = self.pairs_kept(answer)
            share = kept / (pairs + decoys)
            found.append(f"{kept} of {pairs} pairs of cards are in the right order.")
        else:
            share = sum(placed.get(card.id) == card.home for card in asked) / (len(asked) + decoys)
        return Verdict(right=False, reason=found[0], more=tuple(found[1:]), share=share)

    def right_answer(self) -> dict[str, list[str]]:
        """Return the right placement."""
        return {place.id: [card.id for card in self.cards if card.home == place.id] for place in self.places}

    def wrong_answers(self) -> list[tuple[dict[str, list[str]], str]]:
        """Return for each reason the right placement with that one fault in it."""
        found = []
        for key, reason in self.wrong.items():
            card, place = key.split("@")
            moved = {name: [other for other in cards if other != card] for name, cards in self.right_answer().items()}
            moved[place] = [card] if self.mode == "match" else [*moved[place], card]
            found.append((moved, reason))
        for pair in self.pairs:  # the second card just before the first
            place = self.places[0].id
            order = [card for card in self.right_answer()[place] if card != pair.second]
            order.insert(order.index(pair.first), pair.second)
            found.append(({place: order}, pair.reason))
        return found

    def pairs_kept(self, answer: Placement) -> tuple[int, int]:
        """Return how many pairs of an order are the right way round, and how many pairs there are.

        Args:
            answer: The placement to count in; a card that is missing keeps no pair.
        """
        rank = {card: at for at, card in enumerate(answer.get(self.places[0].id, ()))}
        pairs = self._ordered_pairs([card.id for card in self.cards if card.home != TRAY])
        return sum(a in rank and b in rank and rank[a] < rank[b] for a, b in pairs), len(pairs)

    @staticmethod
    def _ordered_pairs(cards: Sequence[str]) -> list[tuple[str, str]]:
        """Return every two cards of an order, the earlier one first."""
        return [(a, b) for i, a in enumerate(cards) for b in cards[i + 1 :]]

    def _place_of(self, answer: Placement) -> dict[str, str]:
        """Return the place of each card that is not in the tray."""
        known, places = {card.id for card in self.cards}, {place.id for place in self.places}
        placed: dict[str, str] = {}
        for place, cards in answer.items():
            for card in cards:
                if card not in known or card in placed or place not in places:
                    raise LabError("card", f"{card} in {place}", "put each card once into a place of this board")
                placed[card] = place
        return placed

    def _disorder(self, answer: Placement) -> list[str]:
        """Return the reasons of the pairs that are the wrong way round, else a sentence on the first other one."""
        if self.mode != "order":
            return []
        rank = {card: at for at, card in enumerate(answer[self.places[0].id])}
        reasons = [
            pair.reason
            for pair in self.pairs
            if {pair.first, pair.second} <= rank.keys() and rank[pair.first] > rank[pair.second]
        ]
        texts = {card.id: card.text for card in self.cards if card.home != TRAY and card.id in rank}
        turned = [(a, b) for a, b in self._ordered_pairs(list(texts)) if rank[a] > rank[b]]
        return reasons or [f"“{texts[b]}” comes too early: “{texts[a]}” comes before it." for a, b in turned[:1]]


class Table:
    """The cards of a board as the learner has placed them; every move keeps each card in exactly one place."""

    def __init__(self, board: Board) -> None:
        self.board = board
        self.clear()

    def clear(self) -> None:
        """Put all cards back into the tray."""
        self.rows: dict[str, list[str]] = {TRAY: self.board.shuffled()} | {place.id: [] for place in self.board.places}

    @property
    def placement(self) -> dict[str, list[str]]:
        """Return the cards in each place, without the tray: the answer to check."""
        return {place: list(cards) for place, cards in self.rows.items() if place != TRAY}

    def move(self, card: str, place: str, at: int) -> None:
        """Move a card into a place; where there is room for one only, the card there goes to the tray.

        Args:
            card: The card's id.
            place: The place's id, or the tray.
            at: The position in it, 0-based, before the card that has it now.

        Raises:
            LabError: If the board has no such card or place.
        """
        if place not in self.rows or all(card not in cards for cards in self.rows.values()):
            raise LabError("card", f"{card} in {place}", "choose a card and a place of this board")
        for cards in self.rows.values():
            if card in cards:
                cards.remove(card)
        row = self.rows[place]
        if place != TRAY and len(row) >= self.board.room:
            self.rows[TRAY].append(row.pop())
        row.insert(max(0, min(at, len(row))), card)

    def arrange(self, placement: Placement) -> None:
        """Put the cards where a placement has them; the others go to the tray.

        Args:
            placement: Place to cards.
        """
        self.clear()
        for place, cards in placement.items():
            for at, card in enumerate(cards):
                self.move(card, place, at)


@dataclass(frozen=True)
class Part:
    """What a card of the loop needs and what it produces, as records of the lab."""

    needs: str
    produces: str


@dataclass(frozen=True)
class Played:
    """One card as it was played: what it produced, in words, or why it could not be played."""

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
    "Rollout": "a text that was sampled, with its log-probabilities",
    "Scores": "scores of the sampled texts",
    "Targets": "advantages and returns",
    "Pair": "two finished answers for a person to compare; a step of this loop makes no such pair",
    "Demonstration": "an answer that a person wrote; this loop has none",
    "FinishedRun": "a run that is over; the reference stays fixed while the run lasts",
}


def play(cards: Sequence[str], trainer: Trainer, *, job: Job = NO_JOB) -> list[Played]:
    """Play the cards in their order on one update of a trainer.

    Each card takes the record that an earlier card produced. The first card that needs a missing record ends the
    play; an order that ends early leaves the trainer as it was.

    Args:
        cards: Names of PARTS.
        trainer: The run on which a complete order does one update.
        job: Stops the update.

    Returns:
        What each card produced, in words; the last may say why it could not be played.

    Raises:
        LabError: If there is no such card.
    """
    produced = {""}
    played: list[Played] = []
    phases = trainer.phases(job=job)
    try:
        for card in cards:
            if card not in PARTS:
                raise LabError.choice("card", card, PARTS)
            part = PARTS[card]
            if part.needs not in produced:
                words = f"This card needs {part.needs}: {MEANINGS[part.needs]}. No earlier card has produced it."
                return [*played, Played(card, words, stopped=True)]
            played.append(Played(card, _play_card(card, trainer, phases)))
            produced.add(part.produces)
    finally:
        phases.close()
    return played


def _play_card(card: str, trainer: Trainer, phases: Generator[Phase, None, dict[str, float]]) -> str:
    """Do what a card says, and return in words what it has produced."""
    policy = trainer.world.policy
    if card == "state":
        state, prompt = Stepper(trainer.world).state, trainer.world.prompts[0]
        return f"State: “{prompt}” and {len(state.prefix_ids)} tokens; {len(state.probs)} could follow."
    if card == "update":
        before = policy.version
        for _ in phases:  # all optimizer steps of the update
            pass
        steps = trainer.world.policy.version - before
        return f"UpdateRecord: {steps} optimizer steps; the next state meets the new policy."
    record = next(phases).record
    if isinstance(record, Rollout):
        return f"Rollout: {len(record)} responses, such as “{record.responses[0]}”."
    if isinstance(record, Scores):
        return f"Scores: {float(record.total.mean()):.2f} on average, {float(record.total[0]):.2f} for the first."
    if isinstance(record, Targets):
        spread = float(record.advantages[record.loss_mask].std())
        return f"Targets: an advantage for each of {int(record.loss_mask.sum())} tokens, spread {spread:.2f}."
    raise LabError("card", card, "this step of the loop has been played already")
