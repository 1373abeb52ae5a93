"""Preferences: which of two responses a judge liked better, as records, as files, and from simulated judges."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from rllab.core.errors import LabError
from rllab.core.files import write_atomically
from rllab.core.records import Sequences, without_padding
from rllab.policy.generation import sequences_from_ids
from rllab.reward.reward import Reward

if TYPE_CHECKING:
    from rllab.policy.policy import Policy


@dataclass(frozen=True)
class Pair:
    """Two responses to one prompt and which is preferred: TRL's standard format plus judge and time.

    Attributes:
        prompt: The prompt.
        chosen: The preferred response.
        rejected: The other response.
        judge: Who preferred it; may be empty.
        time: When, in ISO 8601; may be empty.
    """

    prompt: str
    chosen: str
    rejected: str
    judge: str = ""
    time: str = ""


@dataclass(frozen=True, eq=False)
class PairBatch:
    """Pairs as tokens: row b of both answers the same prompt."""

    chosen: Sequences
    rejected: Sequences

    def __len__(self) -> int:
        """Return the number of pairs."""
        return len(self.chosen)

    def select(self, rows: Sequence[int]) -> PairBatch:
        """Return some of the pairs, without columns that are padding in all of them."""
        return PairBatch(without_padding(self.chosen.select(rows)), without_padding(self.rejected.select(rows)))


@dataclass(frozen=True)
class SimulatedJudge:
    """A judge with a known taste: prefers by sigma((taste + bias per token of length) / noise).

    Noise is in units of the taste; 0.5 means that a gap of 0.5 is judged right with probability sigma(1) = 0.73.
    """

    name: str
    taste: Reward
    noise: float
    length_bias: float = 0.0  # units of the taste per token

    def utility(self, sequences: Sequences) -> Tensor:
        """Return what each row is worth to this judge, (B,)."""
        return self.taste.score(sequences).total + self.length_bias * sequences.lengths

    def choose(self, first: Sequences, second: Sequences, *, generator: torch.Generator) -> Tensor:
        """Return for each row whether the first response is preferred, (B,) bool."""
        gap = (self.utility(first) - self.utility(second)) / self.noise
        return torch.rand(len(first), generator=generator, dtype=gap.dtype) < torch.sigmoid(gap)


def load_pairs(path: str | Path) -> list[Pair]:
    """Load pairs from JSON lines.

    Args:
        path: A JSON-lines file with prompt, chosen and rejected on each line.

    Returns:
        The pairs in the order of the file.

    Raises:
        LabError: If the file cannot be read or a line holds no pair; names the line.
    """
    file = Path(path)
    if not file.is_file():
        raise LabError("pair file", str(file), "there is no such file")
    lines = file.read_bytes().splitlines()
    return [pair_of_line(line, number) for number, line in enumerate(lines, 1) if line.strip()]


def save_pairs(path: str | Path, pairs: Iterable[Pair]) -> None:
    """Save pairs as JSON lines, whole or not at all.

    TRL joins prompt and response as they stand: who trains a word-level model there puts a space before responses.

    Args:
        path: The file to write, whole or not at all.
        pairs: The pairs.
    """
    write_atomically(Path(path), "".join(line_of_pair(pair) for pair in pairs))


def line_of_pair(pair: Pair) -> str:
    """Format a pair as one line; a lone surrogate, which no file can hold, becomes a question mark."""
    line = json.dumps(asdict(pair), ensure_ascii=False)
    return line.encode("utf-8", "replace").decode("utf-8") + "\n"


def pair_of_line(line: bytes, number: int) -> Pair:
    """Parse one line; raise LabError that says what is wrong with it."""
    try:
        row = json.loads(line)
        texts = {name: row[name] for name in ("prompt", "chosen", "rejected")}
        about = {name: str(row[name]) for name in ("judge", "time") if row.get(name) is not None}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _no_pair(line, number) from error
    if not all(isinstance(text, str) for text in texts.values()):
        raise _no_pair(line, number)
    return Pair(**texts, **about)


def tokenize_pairs(policy: Policy, pairs: Sequence[Pair], *, limit: int | None = None) -> PairBatch:
    """Return pairs as tokens, each response with its end token.

    A response that fills the `limit` of tokens was cut there by whoever wrote it, so it gets no end.
    """
    prompts = {pair.prompt: policy.encode(pair.prompt) for pair in pairs}

    def side(name: str) -> Sequences:
        rows = []
        for number, pair in enumerate(pairs, 1):
            text = getattr(pair, name)
            ids = policy.encode_response(text)
            ids = ids[:-1] if len(ids) - 1 == limit else ids
            if (length := len(prompts[pair.prompt]) + len(ids)) > policy.context:
                remedy = f"with its prompt it has {length} tokens and the model reads {policy.context}; leave it out"
                raise LabError(f"{name} response of pair {number}", text, remedy)
            rows.append(ids)
        texts = [pair.prompt for pair in pairs]
        return sequences_from_ids(policy, texts, rows, encoded=[prompts[text] for text in texts])

    return PairBatch(side("chosen"), side("rejected"))


def _no_pair(line: bytes, number: int) -> LabError:
    """Name a line that holds no pair, and what it should hold."""
    remedy = "write a JSON object with the texts prompt, chosen and rejected"
    return LabError(f"line {number} of the pair file", line.decode("utf-8", "replace"), remedy)
