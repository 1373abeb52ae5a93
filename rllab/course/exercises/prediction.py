"""Predict, run, explain: a prediction that is kept before the run is allowed, and compared with it afterwards."""

from __future__ import annotations

from collections.abc import Mapping

from rllab.core.errors import LabError
from rllab.course.exercises.progress import Progress, Try
from rllab.course.exercises.records import Verdict

OPEN = "not run yet"


class Prediction:
    """What a learner expects of an experiment: one of some options, or a number.

    `options` maps an id to its words; without options a number is asked for, and `tolerance` is the share by which
    it may differ from what comes out.
    """

    def __init__(
        self,
        name: str,
        question: str,
        *,
        options: Mapping[str, str] | None = None,
        unit: str = "",
        tolerance: float = 0.25,
        progress: Progress | None = None,
    ) -> None:
        self.name, self.question, self.options = f"predict.{name}", question, dict(options or {})
        self.unit, self.tolerance = unit, tolerance
        self.progress = Progress() if progress is None else progress

    @property
    def last(self) -> Try | None:
        """Return the last prediction, with what came of it; None before the first."""
        tries = self.progress.entry(self.name).tries
        return tries[-1] if tries else None

    @property
    def unlocked(self) -> bool:
        """Tell whether the run is allowed: a prediction is kept."""
        return self.last is not None

    def predict(self, answer: str | float) -> None:
        """Keep a prediction."""
        if self.options and answer not in self.options:
            raise LabError("prediction", answer, f"choose among {', '.join(self.options.values())}")
        self.progress.record(self.name, answer, Verdict(right=False, reason=OPEN))

    def compare(self, outcome: str | float) -> Verdict:
        """Compare the kept prediction with what came out, and keep the result."""
        last = self.last
        if last is None:
            raise LabError("prediction", "missing", "predict first, then run")
        right = self._agrees(last.answer, outcome)
        said = f"You predicted {self.words(last.answer)}; it came out as {self.words(outcome)}."
        verdict = Verdict(
            right=right, reason=said + (" You were right." if right else " Look at the picture: what did you miss?")
        )
        self.progress.record(self.name, last.answer, verdict)
        return verdict

    def again(self) -> None:
        """Forget the prediction, so that a new one can be made."""
        self.progress.reset(self.name)

    def words(self, answer: str | float) -> str:
        """Return an answer as it is read."""
        if isinstance(answer, str):
            return f"“{self.options.get(answer, answer)}”"
        return f"{answer:.3g} {self.unit}".strip()

    def _agrees(self, answer: str | float, outcome: str | float) -> bool:
        """Tell whether a prediction was right."""
        if isinstance(answer, str) or isinstance(outcome, str):
            return answer == outcome
        return abs(answer - outcome) <= self.tolerance * max(abs(outcome), 1e-12)
