"""The tree of lines that a learner wrote: each branch knows the line that it left, and where."""

from __future__ import annotations

from dataclasses import dataclass

from rllab.errors import LabError
from rllab.stepper import Stepper


@dataclass(frozen=True, eq=False)
class Branch:
    """One line of the tree; lines share memory up to the state where they part."""

    number: int  # 0 for the first line
    parent: int | None  # number of the line that it left; None for the first
    at: int  # state t of the parent at which it left
    stepper: Stepper


class Lines:
    """All lines written from one prompt, and the one that the learner is on."""

    def __init__(self, stepper: Stepper) -> None:
        self.branches = [Branch(0, None, 0, stepper)]
        self.here = 0

    @property
    def stepper(self) -> Stepper:
        """Return the line that the learner is on."""
        return self.branches[self.here].stepper

    def branch(self, t: int, token_id: int) -> Stepper:
        """Leave the present line in state t by a token, and go to the new line.

        Where the line itself, or one that left it there, goes on with that token, go to that one instead of
        writing the same text again.
        """
        known = self._follower(t, token_id)
        if known is None:
            stepper = self.stepper.branch(t, token_id)
            known = len(self.branches)
            self.branches.append(Branch(known, self.here, t, stepper))
        return self.go_to(known)

    def go_to(self, number: int) -> Stepper:
        """Go to a line by its number."""
        if not 0 <= number < len(self.branches):
            raise LabError("line", number, f"there are the lines 0 to {len(self.branches) - 1}")
        self.here = number
        return self.stepper

    def children(self, number: int) -> list[Branch]:
        """Return the lines that left a line, in the order in which they were written."""
        return [branch for branch in self.branches if branch.parent == number]

    def text(self, number: int) -> str:
        """Return how a line reads."""
        stepper = self.branches[number].stepper
        return stepper.world.policy.decode(stepper.prefix_ids)

    def _follower(self, t: int, token_id: int) -> int | None:
        """Return the line that shares the present line's first t tokens and writes `token_id` next."""
        wanted = (*self.stepper.prefix_ids[:t], token_id)
        for branch in (self.branches[self.here], *self.branches):
            if branch.stepper.prefix_ids[: t + 1] == wanted and not branch.stepper.stale:
                return branch.number
        return None
