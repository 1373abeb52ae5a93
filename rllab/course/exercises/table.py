"""The cards of a board as they lie now: what the learner moves, before anything is checked."""

from __future__ import annotations

from rllab.core.errors import LabError
from rllab.course.exercises.boards import TRAY, Board


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
