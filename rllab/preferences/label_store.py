"""Labels on disk: one line for each choice, written through to the disk before the next pair is shown.

NAME.jsonl        preferences in TRL's standard format (prompt, chosen, rejected), with judge and time
NAME.ties.jsonl   pairs that the judge found equal; TRL's format has no word for them, so they stand apart
NAME.torn         what a kill in the middle of a line left behind; it was never acknowledged
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from rllab.core.errors import LabError
from rllab.core.files import write_atomically
from rllab.preferences.pairs import Pair, line_of_pair, pair_of_line, save_pairs

Verdict = Literal["first", "second", "tie"]


@dataclass(frozen=True)
class Tie:
    """Two responses that a judge found equally good."""

    prompt: str
    first: str
    second: str
    judge: str = ""
    time: str = ""


@dataclass(frozen=True)
class Imported:
    """What a file of pairs held: the good lines, and one sentence for each of the others."""

    pairs: list[Pair]
    problems: list[LabError]


def import_pairs(path: str | Path) -> Imported:
    """Read pairs from JSON lines; good lines are kept, bad ones named by their number."""
    file = Path(path)
    if not file.is_file():
        raise LabError("pair file", str(file), "there is no such file")
    pairs, problems = [], []
    for number, line in enumerate(file.read_bytes().splitlines(), 1):
        try:
            pairs += [pair_of_line(line, number)] if line.strip() else []
        except LabError as problem:
            problems.append(problem)
    return Imported(pairs, problems)


class LabelStore:
    """The labels of one judge in one file: what `label` has returned from is on the disk for good.

    One process writes to a file at a time.
    """

    def __init__(self, path: str | Path, *, judge: str = "") -> None:
        self.path, self.judge = Path(path), judge
        self._ties_path = self.path.with_suffix(".ties.jsonl")
        self._lock = threading.Lock()
        for file in (self.path, self._ties_path):
            _mend(file)
        read = import_pairs(self.path) if self.path.is_file() else Imported([], [])
        self.problems = read.problems
        self.pairs = read.pairs
        lines = self._ties_path.read_bytes().splitlines() if self._ties_path.is_file() else []
        self.ties = [tie for line in lines if isinstance(tie := _label(line, Tie), Tie)]
        self._order: list[Pair | Tie] = sorted([*self.pairs, *self.ties], key=lambda one: one.time)

    def __len__(self) -> int:
        """Return the number of labels, ties included."""
        return len(self._order)

    def label(self, prompt: str, first: str, second: str, *, verdict: Verdict, judge: str = "") -> Pair | Tie:
        """Write down one choice (the store's own judge made it by default), and return it once it is on the disk."""
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        if verdict not in {"first", "second", "tie"}:
            raise LabError("verdict", verdict, "choose first, second or tie")
        if first == second:
            raise LabError("pair", first, "the two responses are the same text; show two different ones")
        prompt, first, second = (text.encode("utf-8", "replace").decode("utf-8") for text in (prompt, first, second))
        who = judge or self.judge
        with self._lock:
            if verdict == "tie":
                tie = Tie(prompt, first, second, who, now)
                _append(self._ties_path, _line_of_tie(tie))
                self.ties.append(tie)
                self._order.append(tie)
                return tie
            chosen, rejected = (first, second) if verdict == "first" else (second, first)
            pair = Pair(prompt, chosen, rejected, who, now)
            _append(self.path, line_of_pair(pair))
            self.pairs.append(pair)
            self._order.append(pair)
            return pair

    def undo(self) -> Pair | Tie | None:
        """Take back the last label, and return it; None where there is none."""
        with self._lock:
            if not self._order:
                return None
            last = self._order.pop()
            kept = self.ties if isinstance(last, Tie) else self.pairs
            kept.pop()
            _drop_line(self._ties_path if isinstance(last, Tie) else self.path, last)
            return last

    def preferences(self) -> list[Pair]:
        """Return the labels that a reward can be fitted to; a sentence where there are none."""
        if not self._order:
            raise LabError("labels", 0, "nothing has been judged yet; label at least two pairs")
        if not self.pairs:
            raise LabError(
                "labels", f"{len(self.ties)} ties", "they tell no better from worse; prefer one in two pairs"
            )
        return list(self.pairs)

    def export(self, path: str | Path) -> int:
        """Write the preferences to another file, all or nothing, and return their number."""
        save_pairs(path, self.pairs)
        return len(self.pairs)

    def take_in(self, pairs: Iterable[Pair]) -> None:
        """Write down labels that came from elsewhere; who judged and when stay theirs."""
        with self._lock:
            for pair in pairs:
                _append(self.path, line_of_pair(pair))
                self.pairs.append(pair)
                self._order.append(pair)


def _append(path: Path, line: str) -> None:
    """Add one line that is on the disk when this returns; a write that fails leaves the file as it was."""
    path.parent.mkdir(parents=True, exist_ok=True)
    is_new = not path.exists()
    with path.open("ab", buffering=0) as file:
        before = file.tell()
        data = line.encode("utf-8")
        try:
            while data:
                data = data[file.write(data) :]
            os.fsync(file.fileno())
        except OSError as error:
            file.truncate(before)
            remedy = f"it could not be written ({error.strerror}); make room or choose another file, then judge again"
            raise LabError("label file", str(path), remedy) from error
    if is_new:
        _sync_folder(path.parent)


def _mend(path: Path) -> None:
    """Put a file in order whose last line a kill has cut off: complete it if it is whole, else set it aside."""
    if not path.is_file():
        return
    data = path.read_bytes()
    if not data or data.endswith(b"\n"):
        return
    start = data.rfind(b"\n") + 1
    if _label(data[start:], Pair) or _label(data[start:], Tie):
        write_atomically(path, data + b"\n")
        return
    with path.with_suffix(".torn").open("ab") as torn:
        torn.write(data[start:] + b"\n")
    write_atomically(path, data[:start])


def _drop_line(path: Path, label: Pair | Tie) -> None:
    """Write a file again without the last line that holds a label, all or nothing."""
    lines = path.read_bytes().splitlines(keepends=True)
    last = max(number for number, line in enumerate(lines) if _label(line, type(label)) == label)
    write_atomically(path, b"".join(lines[:last] + lines[last + 1 :]))


def _label(line: bytes, kind: type[Pair | Tie]) -> Pair | Tie | None:
    """Read a line of a label file; None where it holds no label."""
    with contextlib.suppress(ValueError, TypeError, RecursionError):  # a LabError is a ValueError
        return pair_of_line(line, 0) if kind is Pair else Tie(**json.loads(line))
    return None


def _sync_folder(folder: Path) -> None:
    """Make a new file's name reach the disk; not every system can do that for a folder."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _line_of_tie(tie: Tie) -> str:
    line = json.dumps(asdict(tie), ensure_ascii=False)
    return line.encode("utf-8", "replace").decode("utf-8") + "\n"


def without_duplicates(pairs: Iterable[Pair]) -> list[Pair]:
    """Keep the first of labels that say the same: one judge, one prompt, one verdict on the same two texts."""
    first: dict[tuple[str, ...], Pair] = {}
    for pair in pairs:
        first.setdefault((pair.judge, pair.prompt, pair.chosen, pair.rejected), pair)
    return list(first.values())


def contradictions(pairs: Sequence[Pair]) -> list[Pair]:
    """Return the labels that some other label on the same two texts denies."""
    verdicts = {(pair.prompt, pair.chosen, pair.rejected) for pair in pairs}
    return [pair for pair in pairs if (pair.prompt, pair.rejected, pair.chosen) in verdicts]
