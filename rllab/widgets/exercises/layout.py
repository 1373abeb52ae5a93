"""What every panel with an exercise in it shows: the question, hints, the buttons, the verdict."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from rllab.course.exercises.progress import Attempt
from rllab.course.exercises.boards import TRAY, Board
from rllab.course.exercises.boards import Table
from rllab.widgets.engine.answers import Zone, cards, prose
from rllab.widgets.engine.components import Component, Span, button, finding, note, row

TRAY_LABEL = "cards to lay"


def question(attempt: Attempt) -> Component:
    """Return the question."""
    return prose("question", attempt.exercise.question)


def controls(
    attempt: Attempt, check: Callable[[], object], *others: Component, changed: Callable[[], object]
) -> Component:
    """Return the buttons; `changed` is called after a reset."""

    def reset() -> None:
        attempt.reset()
        changed()

    left = len(attempt.exercise.hints) - len(attempt.hints)
    shown = [] if attempt.exercise.task.kind == "code" else [button("check", "Check", check, main=True)]
    hint = button("hint", f"Hint ({left} left)", attempt.hint, disabled=not left)
    return row("controls", *shown, *others, hint, button("again", "Start again", reset, disabled=not attempt.count))


def remarks(attempt: Attempt) -> tuple[Component, ...]:
    """Return the hints that were asked for and the further remarks of the verdict."""
    hints = [note(f"hint-{at}", f"Hint: {words}") for at, words in enumerate(attempt.hints)]
    more = attempt.verdict.more if attempt.verdict else ()
    return (*hints, *(finding(f"remark-{at}", words) for at, words in enumerate(more)))


def reading(attempt: Attempt) -> tuple[Span | str, ...]:
    """Return the sentence about the present answer."""
    verdict = attempt.verdict
    if verdict is None:
        return ("You have solved this one before; you may solve it again.",) if attempt.solved else ("No answer yet.",)
    first = Span("Right. ", bold=True, tone="up") if verdict.right else Span("Not yet. ", bold=True, tone="down")
    return (first, verdict.reason)


def status(attempt: Attempt) -> Component:
    """Return how far the learner is with this exercise, for the right of the title."""
    tries = f"{attempt.count} {'try' if attempt.count == 1 else 'tries'}" if attempt.count else "not tried yet"
    return note("status", f"exercise {attempt.exercise.id} · {'solved · ' if attempt.solved else ''}{tries}")


def board_cards(board: Board, table: Table, moved: Callable[[], object], *, checked: bool) -> Component:
    """Return the cards of a board as they lie; after a check each laid card says whether it lies right."""

    def move(card: str, place: str, at: int) -> None:
        table.move(card, place, at)
        moved()

    labels = {TRAY: TRAY_LABEL} | {place.id: place.label for place in board.places}
    zones = [Zone(place, labels[place], tuple(laid)) for place, laid in table.rows.items()]
    texts = {card.id: card.text for card in board.cards}
    marks = card_marks(board, table) if checked else {}
    return cards("cards", "Cards and places", zones, texts, move, mode=board.mode, tray=TRAY, marks=marks)


def card_marks(board: Board, table: Table) -> Mapping[str, str]:
    """Say of each laid card whether it lies where it belongs; in an order, whether it stands in its own turn."""
    right = board.right_answer()
    marks = {}
    for place, laid in table.placement.items():
        for at, card in enumerate(laid):
            home = right[place]
            fits = at < len(home) and home[at] == card if board.mode == "order" else card in home
            marks[card] = "right" if fits else "wrong"
    return marks
