"""The tree of lines that a learner wrote: each branch knows the line that it left, and where."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rllab.core.errors import LabError
from rllab.core.records import Step
from rllab.worlds.stepper import Stepper

MOST = 12  # lines: more cannot be told apart


@dataclass(frozen=True, eq=False)
class Branch:
    """One line of the tree; lines share memory up to the state where they part."""

    number: int  # 0 for the first line; it stays the same as long as the line is there
    parent: int | None  # number of the line that it left; None for the first
    at: int  # state t of the parent at which it left
    stepper: Stepper


@dataclass(frozen=True, eq=False)
class BranchRow:
    """What one line has written by itself, in the order in which a tree is drawn from top to bottom."""

    number: int
    above: int | None  # place of the row that it leaves; None for the first
    at: int  # how many tokens the two have in common
    steps: tuple[Step, ...]  # those behind


class BranchTree:
    """All lines written from one prompt, and the one that the learner is on."""

    def __init__(self, stepper: Stepper) -> None:
        self.branches = [Branch(0, None, 0, stepper)]
        self.here = 0

    def __len__(self) -> int:
        """Return how many lines there are."""
        return len(self.branches)

    @property
    def stepper(self) -> Stepper:
        """Return the line that the learner is on."""
        return self._named(self.here).stepper

    def branch(self, t: int, token_id: int) -> Stepper:
        """Leave the present line in state t by a token, and go to the new line.

        Where the line itself, or one that left it there, goes on with that token, go to that one instead of
        writing the same text again. Beyond `MOST` lines the oldest that no other has left is forgotten.
        """
        known = self._follower(t, token_id)
        if known is None:
            stepper = self.stepper.branch(t, token_id)
            known = self.branches[-1].number + 1
            self.branches.append(Branch(known, self.here, t, stepper))
        stepper = self.go_to(known)
        if len(self.branches) > MOST:
            self._forget()
        return stepper

    def go_to(self, number: int) -> Stepper:
        """Go to a line by its number."""
        stepper = self._named(number).stepper
        self.here = number
        return stepper

    def children(self, number: int) -> list[Branch]:
        """Return the lines that left a line, in the order in which they were written."""
        return [branch for branch in self.branches if branch.parent == number]

    def text(self, number: int) -> str:
        """Return how a line reads."""
        stepper = self._named(number).stepper
        return stepper.world.policy.decode(stepper.prefix_ids)

    def rows(self) -> list[BranchRow]:
        """Lay the lines out as a tree: what two lines have in common belongs to the one that was first.

        Read from the texts as they are now, because a line may have gone back since another one left it. Those
        that leave a line later stand nearer to it, so that no line crosses another.
        """
        texts = [branch.stepper.prefix_ids for branch in self.branches]
        left: list[tuple[int, int]] = []  # of each line: where it parts from which one before it
        for place, text in enumerate(texts):
            shared = [_common(text, other) for other in texts[:place]]
            left.append(max(((at, -other) for other, at in enumerate(shared)), default=(0, 1)))
        order = _from_above(left)
        return [
            BranchRow(
                self.branches[place].number,
                order.index(-left[place][1]) if place else None,
                left[place][0],
                tuple(self.branches[place].stepper.steps[left[place][0] :]),
            )
            for place in order
        ]

    def _named(self, number: int) -> Branch:
        for branch in self.branches:
            if branch.number == number:
                return branch
        raise LabError.choice("line", number, [branch.number for branch in self.branches])

    def _forget(self) -> None:
        """Drop the oldest line that no other one has left and that the learner is not on."""
        parents = {branch.parent for branch in self.branches} | {self.here}
        self.branches.remove(next(branch for branch in self.branches if branch.number not in parents))

    def _follower(self, t: int, token_id: int) -> int | None:
        """Return the line that shares the present line's first t tokens and writes `token_id` next."""
        wanted = (*self.stepper.prefix_ids[:t], token_id)
        for branch in (self._named(self.here), *self.branches):
            if branch.stepper.prefix_ids[: t + 1] == wanted and not branch.stepper.stale:
                return branch.number
        return None


def _common(one: Sequence[int], other: Sequence[int]) -> int:
    """Return how many tokens two texts begin with in common."""
    pairs = zip(one, other, strict=False)
    return next((at for at, (token, also) in enumerate(pairs) if token != also), min(len(one), len(other)))


def _from_above(left: Sequence[tuple[int, int]], root: int = 0) -> list[int]:
    """Return the places of a line and of all below it, those that leave it last first."""
    below = [place for place in range(1, len(left)) if -left[place][1] == root]
    below.sort(key=lambda place: -left[place][0])
    return [root, *(row for place in below for row in _from_above(left, place))]
