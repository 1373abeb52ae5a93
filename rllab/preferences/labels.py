"""A session of labels: pairs are asked about, answers go to the disk, a reward model forms from them."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, get_args

import torch

from rllab.core.errors import LabError
from rllab.core.files import append, write_atomically
from rllab.core.jobs import NO_JOB, Job
from rllab.policy.generation import generate
from rllab.preferences.agreement import (
    AgainstGold,
    AgainstJudge,
    Agreement,
    against_gold,
    against_judges,
    agreement,
    repeated_by,
)
from rllab.preferences.pairs import Pair, SimulatedJudge, line_of_pair, pair_of_line, save_pairs, tokenize_pairs
from rllab.preferences.reward_fit import FitConfig, RewardFit, fit_reward_model
from rllab.preferences.selection import Question, propose
from rllab.reward.reward import RewardModel
from rllab.trainer.stages import derived_seed
from rllab.worlds.world import World

# ---- Labels on disk: one line for each choice, written through to the disk before the next pair is shown ----

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
        self._order: list[Pair | Tie] = sorted([*self.pairs, *self.ties], key=lambda label: label.time)

    def __len__(self) -> int:
        """Return the number of labels, ties included."""
        return len(self._order)

    def label(self, prompt: str, first: str, second: str, *, verdict: Verdict, judge: str = "") -> Pair | Tie:
        """Save one choice (by default the store's own judge's), and return it once it is on disk."""
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        if verdict not in get_args(Verdict):
            raise LabError.choice("verdict", verdict, get_args(Verdict))
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
        """Remove the last label and return it; None where there is none."""
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
        """Export the preferences to another file, whole or not at all, and return their number."""
        save_pairs(path, self.pairs)
        return len(self.pairs)

    def take_in(self, pairs: Iterable[Pair]) -> None:
        """Add labels from elsewhere; judge and time stay theirs."""
        with self._lock:
            for pair in pairs:
                _append(self.path, line_of_pair(pair))
                self.pairs.append(pair)
                self._order.append(pair)


def _append(path: Path, line: str) -> None:
    """Add one line that is on the disk when this returns; a write that fails leaves the file as it was."""
    try:
        append(path, line)
    except OSError as error:
        remedy = f"it could not be written ({error.strerror}); make room or choose another file, then judge again"
        raise LabError("label file", str(path), remedy) from error


def _mend(path: Path) -> None:
    """Repair a file whose last line was cut off: complete the line if it is whole, else set it aside."""
    if not path.is_file():
        return
    data = path.read_bytes()
    if not data or data.endswith(b"\n"):
        return
    start = data.rfind(b"\n") + 1
    if _label(data[start:], Pair) or _label(data[start:], Tie):
        write_atomically(path, data + b"\n")
        return
    append(path.with_suffix(".torn"), data[start:] + b"\n")
    write_atomically(path, data[:start])


def _drop_line(path: Path, label: Pair | Tie) -> None:
    """Rewrite a file without its last label, whole or not at all."""
    lines = path.read_bytes().splitlines(keepends=True)
    last = max(number for number, line in enumerate(lines) if _label(line, type(label)) == label)
    write_atomically(path, b"".join(lines[:last] + lines[last + 1 :]))


def _label(line: bytes, kind: type[Pair | Tie]) -> Pair | Tie | None:
    """Read a line of a label file; None where it holds no label."""
    with contextlib.suppress(ValueError, TypeError, RecursionError):  # a LabError is a ValueError
        return pair_of_line(line, 0) if kind is Pair else Tie(**json.loads(line))
    return None


def _line_of_tie(tie: Tie) -> str:
    line = json.dumps(asdict(tie), ensure_ascii=False)
    return line.encode("utf-8", "replace").decode("utf-8") + "\n"


def without_duplicates(pairs: Iterable[Pair]) -> list[Pair]:
    """Return the labels without repetitions: same judge, prompt and verdict on the same two texts."""
    first: dict[tuple[str, ...], Pair] = {}
    for pair in pairs:
        first.setdefault((pair.judge, pair.prompt, pair.chosen, pair.rejected), pair)
    return list(first.values())


def contradictions(pairs: Sequence[Pair]) -> list[Pair]:
    """Return the labels that some other label on the same two texts denies."""
    verdicts = {(pair.prompt, pair.chosen, pair.rejected) for pair in pairs}
    return [pair for pair in pairs if (pair.prompt, pair.rejected, pair.chosen) in verdicts]


# ---- A session of labels: pairs are asked about, answers go to the disk, a reward model forms from them ----

UPDATES, EPOCHS = 20, 4  # of a refit: at least so many steps, and every pair at least so often
GOLD_RESPONSES = 128  # on which a reward is held against gold
FIT = FitConfig(held_out=0.2, unit_responses=64)  # of tens of labels: enough kept aside to be worth a look


@dataclass(frozen=True)
class Report:
    """What one refit has come to, measured on the labels that were kept aside."""

    labels: int  # preferences in all, those kept aside included
    updates: int  # of the fit so far
    held_out: Agreement
    judged: AgainstJudge | None  # where the judge of labels kept aside is known


@dataclass(frozen=True)
class Revealed:
    """What gold says, once the learner asks for it."""

    labels: Agreement  # of the learner's own labels with gold
    reward: AgainstGold | None  # of the fitted reward, where there is one


class LabelSession:
    """Two responses at a time for a judge: what `answer` has returned from is on the disk for good.

    `questions` are the pairs that wait, the first one next. `judges` are simulated ones, by name; their taste is
    known, so what they say has a ceiling. `reward` is what the last refit made of all labels.
    """

    def __init__(
        self,
        world: World,
        store: LabelStore,
        *,
        judges: Mapping[str, SimulatedJudge] | None = None,
        config: FitConfig = FIT,
        seed: int = 0,
    ) -> None:
        self.world, self.store, self.judges = world, store, dict(judges or {})
        self.config, self.seed = config, seed
        self.questions: list[Question] = []
        self.reports: list[Report] = []
        self.reward: RewardModel | None = None
        self.fit: RewardFit | None = None
        self._skipped: list[Question] = []
        self._answered: list[Question] = []
        self._draws = 0
        self._lock = threading.RLock()  # a learner answers while pairs are being drawn

    @property
    def own(self) -> list[Pair]:
        """Return the preferences that no simulated judge gave."""
        return [pair for pair in self.store.pairs if pair.judge not in self.judges]

    @property
    def contradictions(self) -> int:
        """Return the number of labels that another label on the same two texts denies."""
        return len(contradictions(self.store.pairs))

    def draw(self, count: int, *, job: Job = NO_JOB) -> None:
        """Sample new responses and queue the most informative pairs of them.

        The current pair, which may be being read, stays.
        """
        asked: list[Tie | Question] = [*self.store.ties, *self._skipped, *self.questions]
        seen = [*self.store.pairs, *(Pair(question.prompt, question.first, question.second) for question in asked)]
        seed = derived_seed(self.seed, "sitting", len(self.store), self._draws)
        found = propose(self.world, count, reward=self.reward, seen=seen, seed=seed, job=job)
        with self._lock:
            self.questions = [*self.questions[:1], *found][: max(1, count)]
            self._draws += 1

    def answer(self, verdict: Verdict, *, judge: str = "") -> Pair | Tie:
        """Save the verdict on the current pair, and move to the next."""
        with self._lock:
            asked = self._front()
            label = self.store.label(asked.prompt, asked.first, asked.second, verdict=verdict, judge=judge)
            self._answered.append(self.questions.pop(0))
        return label

    def skip(self) -> None:
        """Leave the pair in front without a verdict; it does not come back in this session."""
        with self._lock:
            self._front()
            self._skipped.append(self.questions.pop(0))

    def undo(self) -> Question:
        """Undo the last label, and show its pair again."""
        with self._lock:
            label = self.store.undo()
            if label is None:
                raise LabError("labels", 0, "there is none to take back")
            asked = self._answered.pop() if self._answered else _question_of(label)
            self.questions.insert(0, asked)
        return asked

    def let_judge(self, name: str) -> int:
        """Let a simulated judge label all queued pairs, and return their number."""
        if name not in self.judges:
            reason = "" if self.judges else "this world has no gold judge"
            raise LabError.choice("judge", name, self.judges, reason=reason)
        self._front()
        pairs = [Pair(question.prompt, question.first, question.second) for question in self.questions]
        batch = tokenize_pairs(self.world.policy, pairs, limit=self.world.max_new_tokens)
        chance = torch.Generator().manual_seed(derived_seed(self.seed, "judge", len(self.store)))
        wins = self.judges[name].choose(batch.chosen, batch.rejected, generator=chance).tolist()
        for first_wins in wins:
            self.answer("first" if first_wins else "second", judge=name)
        return len(wins)

    def refit(self, *, job: Job = NO_JOB) -> Report:
        """Learn from all labels, going on from the fit before where they only grew, and measure what came of it."""
        pairs = without_duplicates(self.store.preferences())
        fit = self._fit_of(pairs)
        fit.run(max(UPDATES, EPOCHS * fit.updates_per_epoch), job=job)
        known = [pair for pair in fit.held_out if pair.judge in self.judges]
        reward = replace(fit.reward, name=f"reward from {len(pairs)} labels")
        report = Report(
            labels=len(pairs),
            updates=len(fit.history),
            held_out=agreement(self.world, reward, fit.held_out, job=job),
            judged=against_judges(self.world, reward, known, self.judges, job=job) if known else None,
        )
        self.reward = reward
        self.reports.append(report)
        return report

    def carried(self) -> World:
        """Return the world with the fitted reward instead of its own, ready for a trainer."""
        if self.reward is None:
            raise LabError("reward", "none", "nothing has been fitted yet; label some pairs and refit first")
        return self.world.replace(reward=self.reward)

    def compared_with(self, name: str) -> AgainstJudge:
        """Compare the learner's own labels with a simulated judge's on the same pairs."""
        return repeated_by(self.world, self.own, self.judges[name])

    def reveal(self, *, job: Job = NO_JOB) -> Revealed:
        """Compare the learner's labels, and the reward fitted to them, with gold."""
        if self.world.gold is None:
            raise LabError("world", self.world.name, "it has no gold judge; what you want is all there is")
        labels = agreement(self.world, self.world.gold, self.own, job=job)
        if self.reward is None:
            return Revealed(labels, None)
        prompts = self.world.prompts[:8]
        rows = generate(
            self.world.policy,
            prompts,
            max_new_tokens=self.world.max_new_tokens,
            samples_per_prompt=GOLD_RESPONSES // len(prompts),
            seed=derived_seed(self.seed, "gold"),
            job=job,
        )
        return Revealed(labels, against_gold(self.world, self.reward, rows))

    def take_in(self, path: str | Path) -> Imported:
        """Add the pairs of a file that are not there yet; what no line of it says is named by number."""
        read, there, fresh = import_pairs(path), set(self.store.pairs), []
        for pair in without_duplicates(read.pairs):
            try:
                tokenize_pairs(self.world.policy, [pair], limit=self.world.max_new_tokens)
            except LabError as problem:
                read.problems.append(problem)
            else:
                fresh += [] if pair in there else [pair]
        with self._lock:
            self.store.take_in(fresh)
            self._answered.clear()  # the last label is now another one
        return Imported(fresh, read.problems)

    def _front(self) -> Question:
        if not self.questions:
            raise LabError("pair", "none", "no pair is waiting; ask for new ones")
        return self.questions[0]

    def _fit_of(self, pairs: list[Pair]) -> RewardFit:
        """Return the fit so far with the new pairs added, or a fresh one where labels were taken back."""
        fit = self.fit
        if fit is not None and set(learned := [*fit.pairs, *fit.held_out]) <= set(pairs):
            fit.add([pair for pair in pairs if pair not in set(learned)])
            return fit
        self.fit = fit_reward_model(self.world, pairs, config=self.config, seed=self.seed)
        return self.fit


def _question_of(label: Pair | Tie) -> Question:
    """Return the pair of an earlier label, its sides in an order that does not tell the verdict."""
    sides = (label.chosen, label.rejected) if isinstance(label, Pair) else (label.first, label.second)
    first, second = sorted(sides)
    return Question(label.prompt, first, second)
