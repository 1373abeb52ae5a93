"""What the clinic says: how long a case takes, how far it is, how it stands."""

from __future__ import annotations

from rllab.course.clinic import Case
from rllab.course.clinic.cases import UPDATES
from rllab.plots.text import counted
from rllab.widgets.engine.components import Span, bold
from rllab.widgets.engine.panel import about
from rllab.widgets.shared.pace import is_large, seconds_left
from rllab.worlds import World

FEW_UPDATES = 5  # in a large world: every fault is seen by then, though the checkup may want more to be sure of it
START = (
    "Draw a case: a training run that may have a silent fault in it, one that really shipped somewhere. All you get "
    "are its numbers. Find what cannot be right, and name it."
)


def usual_updates(world: World) -> int:
    """Return how many updates a case has where nobody asks for another number."""
    return FEW_UPDATES if is_large(world) else UPDATES


def pace(case: Case) -> list[float]:
    """Return the seconds that the updates of a case took, each with that of the healthy twin."""
    pairs = zip(case.history, case.healthy, strict=False)  # one of the two may be an update ahead
    return [sum(one.seconds.values()) + sum(other.seconds.values()) for one, other in pairs]


def length_words(world: World, updates: int, measured: list[float]) -> str:
    """Say what a case costs before it is drawn: measured on this machine, or that nobody knows yet."""
    words = f"A case is {counted(updates, 'update')} of a run, and as many of its healthy twin"
    if measured:
        return f"{words}: {about(updates * sum(measured) / len(measured))} here, by the last case."
    if is_large(world):
        return f"{words}. With a model of this size that may take minutes: the first update will tell."
    return f"{words}."


def running_words(case: Case | None, done: int, total: int) -> str:
    """Say how far a case is, and once an update is done, for how long it will go on."""
    left = seconds_left(pace(case), total - done) if case is not None else ""
    return f"update {min(done + 1, total)} of {total}{left}"


def case_words(case: Case, *, given_up: bool, running: bool, tally: str) -> tuple[Span | str, ...]:
    """Say how a case stands and what to do next."""
    tried = len(case.answers)
    if case.solved:
        return (bold("Named"), f" with answer {tried}. Draw another case, or look at this one once more.{tally}")
    if given_up:
        return (f"Now you know what to look for in it. Draw another case.{tally}",)
    if running:
        return (f"The run and its healthy twin are at update {len(case.healthy)}.",)
    return (
        f"{counted(len(case.history), 'update')} can be looked at, and every token of the last one. ",
        "Which two numbers should agree and do not?",
        f" You have answered {'once' if tried == 1 else f'{tried} times'}." if tried else "",
        tally,
    )
