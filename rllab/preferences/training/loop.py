"""The loop that all learning from pairs shares: seeded batches, one optimizer step each."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from rllab.core.config import check_count
from rllab.core.errors import LabError, Stopped
from rllab.core.records import Sequences, UpdateRecord
from rllab.policy.generation import Progress, generate
from rllab.preferences.pairs import Pair, PairBatch, tokenize_pairs
from rllab.trainer.metrics import sample_rows
from rllab.trainer.stages import derived_seed
from rllab.value.evaluation import slices
from rllab.worlds.world import World

Measure = Callable[[PairBatch], dict[str, Tensor]]


def one_each(batch: PairBatch) -> Tensor:
    """Count every pair once, (b,)."""
    return torch.ones(len(batch))


@dataclass(frozen=True, eq=False)
class Lesson:
    """What pairs teach: numbers of each pair, among them the loss, and how a step is taken with its gradient."""

    measure: Measure  # name -> (b,), each summed over the batch and divided by the sum of the counts
    step: Callable[[], None]  # takes the optimizer step and clears the gradient
    clear: Callable[[], None]  # clears the gradient alone
    counts: Callable[[PairBatch], Tensor] = one_each


@dataclass(eq=False)
class PairLoop:
    """Pairs being learned from: one update is one batch of them, and one epoch is all."""

    world: World
    lesson: Lesson
    seed: int
    settings: Mapping[str, Any]  # what the records say of the run
    batch_size: int  # pairs of an update
    micro_batch_size: int  # pairs of a pass
    held_share: float  # of the pairs, only measured
    pairs: list[Pair] = field(default_factory=list)
    held_out: list[Pair] = field(default_factory=list)
    history: list[UpdateRecord] = field(default_factory=list)

    def add(self, pairs: Sequence[Pair]) -> None:
        """Learn from these pairs too; a pair of equal texts says nothing and is left out."""
        telling = [pair for pair in pairs if pair.chosen != pair.rejected]
        total = len(self.pairs) + len(self.held_out) + len(telling)
        if total < 2:
            remedy = "give at least two that prefer one text to another, so that one can be held out; ties say nothing"
            raise LabError("pairs", total, remedy)
        held = max(1, round(self.held_share * total)) - len(self.held_out)
        order = torch.randperm(len(telling), generator=torch.Generator().manual_seed(self.seed)).tolist()
        kept = [telling[number] for number in order[max(0, held) :]]
        held_out = [telling[number] for number in order[: max(0, held)]]
        self._batch = self._tokens([*self.pairs, *kept])
        self._held = self._tokens([*self.held_out, *held_out])
        self.pairs += kept
        self.held_out += held_out
        self._first = len(self.history)  # epochs count from here

    @property
    def updates_per_epoch(self) -> int:
        """Return the number of updates that see every pair once."""
        return -(-len(self.pairs) // self.batch_size)

    def update(self, *, stop: threading.Event | None = None) -> dict[str, float]:
        """Take one step on the next batch and return its metrics; what is stopped or fails changes nothing."""
        began = time.perf_counter()
        try:
            metrics = self._measure(self._batch, self._next_rows(), stop, learn=True)
            if not all(map(math.isfinite, metrics.values())):
                remedy = "it left the range of numbers; lower the learning rate, or look at the pairs"
                raise LabError("loss", metrics["loss"], remedy)
            self.lesson.step()
        finally:
            self.lesson.clear()
        seconds = {"update": time.perf_counter() - began}
        self.history.append(UpdateRecord(len(self.history) + 1, self.settings, metrics, seconds, []))
        return metrics

    def run(self, n: int, *, stop: threading.Event | None = None, progress: Progress | None = None) -> None:
        """Do n updates, fewer if `stop` is set."""
        check_count("updates", n)
        for done in range(n):
            try:
                metrics = self.update(stop=stop)
            except Stopped:
                return
            if progress is not None:
                progress(done + 1, n, f"update {len(self.history)}, loss {metrics['loss']:.3f} nats")

    def evaluate(self, *, stop: threading.Event | None = None) -> dict[str, float]:
        """Measure the pairs that are held out."""
        with torch.no_grad():
            return self._measure(self._held, range(len(self._held)), stop, learn=False)

    def rows(self) -> Sequences:
        """Return all chosen responses that are learned from."""
        return self._batch.chosen

    def _measure(
        self, pairs: PairBatch, rows: Sequence[int], stop: threading.Event | None, *, learn: bool
    ) -> dict[str, float]:
        """Average the numbers of some rows, a few at a time; their gradients add up to that of the whole."""
        total, sums = float(self.lesson.counts(pairs)[list(rows)].sum()), dict[str, float]()
        for part in slices(len(rows), size=self.micro_batch_size):
            if stop is not None and stop.is_set():
                raise Stopped
            numbers = self.lesson.measure(pairs.select(rows[part]))
            if learn:
                (numbers["loss"].sum() / total).backward()
            sums = {name: sums.get(name, 0.0) + float(values.detach().sum()) for name, values in numbers.items()}
        return {name: value / total for name, value in sums.items()}

    def _next_rows(self) -> list[int]:
        """Choose the pairs of the next update: every epoch has an order of its own."""
        epoch, place = divmod(len(self.history) - self._first, self.updates_per_epoch)
        generator = torch.Generator().manual_seed(derived_seed(self.seed, "pairs", epoch))
        order: list[int] = torch.randperm(len(self.pairs), generator=generator).tolist()
        return order[place * self.batch_size : (place + 1) * self.batch_size]

    def _tokens(self, pairs: Sequence[Pair]) -> PairBatch:
        return tokenize_pairs(self.world.policy, pairs, limit=self.world.max_new_tokens)


class PairRun:
    """What everyone who learns from pairs does in the same way (a Run); a subclass says what it learns."""

    world: World
    _loop: PairLoop

    @property
    def history(self) -> list[UpdateRecord]:
        """Return the updates done."""
        return self._loop.history

    @property
    def pairs(self) -> list[Pair]:
        """Return the pairs that are learned from."""
        return self._loop.pairs

    @property
    def held_out(self) -> list[Pair]:
        """Return the pairs that are only measured."""
        return self._loop.held_out

    @property
    def updates_per_epoch(self) -> int:
        """Return the number of updates that see every pair once."""
        return self._loop.updates_per_epoch

    def update(self, *, stop: threading.Event | None = None) -> dict[str, float]:
        """Take one step on the next batch of pairs, and return its metrics."""
        return self._loop.update(stop=stop)

    def run(self, n: int, *, stop: threading.Event | None = None, progress: Progress | None = None) -> None:
        """Do n updates, fewer if `stop` is set."""
        self._loop.run(n, stop=stop, progress=progress)

    def evaluate(self, *, stop: threading.Event | None = None) -> dict[str, float]:
        """Measure the same numbers on the pairs that were held out."""
        return self._loop.evaluate(stop=stop)

    def samples(self, prompts: Sequence[str], seed: int) -> list[dict[str, Any]]:
        """Write one response to each prompt with the policy as it is now, scored by the reward as it is now."""
        sequences = generate(self.world.policy, prompts, max_new_tokens=self.world.max_new_tokens, seed=seed)
        return sample_rows(self._judged, sequences, count=len(prompts))

    @property
    def _judged(self) -> World:
        """Return the world whose reward scores the samples."""
        return self.world
