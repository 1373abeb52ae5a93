"""Runs kept beside the one that goes on: forks with a letter each, laid under its curves and told apart in words."""

from __future__ import annotations

import string
from collections.abc import Iterator

from rllab.core.errors import LabError
from rllab.trainer.comparison.side_by_side import compare_runs, recorded
from rllab.trainer.trainer import Trainer

MOST = 4  # more lines in one picture cannot be told apart


class Shelf:
    """A few runs by letter; none of them changes while it is kept."""

    def __init__(self) -> None:
        self._runs: dict[str, Trainer] = {}

    def __iter__(self) -> Iterator[str]:
        """Yield the letters, the one kept first before the others."""
        return iter(self._runs)

    def __len__(self) -> int:
        """Return how many runs are kept."""
        return len(self._runs)

    def run(self, letter: str) -> Trainer:
        """Return a run that is kept."""
        if letter not in self._runs:
            raise LabError("run", letter, f"kept are {', '.join(self._runs) or 'none yet'}")
        return self._runs[letter]

    def keep(self, trainer: Trainer) -> str:
        """Keep a fork of a run as it is now; return its letter."""
        if not trainer.history:
            raise LabError("run", "at its start", "it has no finished update yet that could be compared")
        if len(self._runs) >= MOST:
            raise LabError("runs kept", len(self._runs), f"at most {MOST} can be told apart; drop one first")
        letter = next(one for one in string.ascii_uppercase if one not in self._runs)
        self._runs[letter] = trainer.fork()
        return letter

    def swap(self, letter: str, present: Trainer) -> Trainer:
        """Hand out a run that was kept and keep the present one in its place."""
        kept = self.run(letter)
        self._runs[letter] = present
        return kept

    def drop(self, letter: str) -> None:
        """Give a run up."""
        self.run(letter)
        del self._runs[letter]

    def difference(self, letter: str, present: Trainer) -> str:
        """Say what a kept run was asked otherwise than the present one, as the rest of a sentence about it."""
        kept = self.run(letter)
        if not present.history or not kept.history:
            return "cannot be compared before both have finished an update"
        asked = compare_runs([recorded(kept, name=letter), recorded(present)]).differences
        if asked:
            pairs = (f"{name}: {theirs}, here {ours}" for name, (theirs, ours) in asked.items())
            return f"differs in {'; '.join(pairs)}"
        if kept.seed != present.seed:
            return f"has seed {kept.seed}, here {present.seed}"
        return "has the same settings and seed"
