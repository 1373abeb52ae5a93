"""Do in a notebook what its learner does: predict and run, answer each exercise wrongly, then rightly.

    learner = Learner.open(browser, server, ROOT / "notebooks" / "01_loop.ipynb")
    for exercise in learner.exercises:
        learner.answer_all(exercise)         # each listed wrong answer gets its own reason, the right one passes
    for title in learner.predictions:
        learner.predict(title)

A notebook needs nothing for this but its panels: `ExercisePanel("01.maze")`, `BoardPanel("07.order", ...)`. A panel
that takes a function has a name of its own (`returns = ExercisePanel("01.return")`), by which a cell hands it over.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from playwright.sync_api import Browser, Locator, Position, expect

from rllab.course.exercises import Exercise, exercise_named
from rllab.course.exercises.boards import Board
from rllab.course.exercises.grading import Choice, Code, Number, Words
from tests.e2e.lab import Notebook, Server, Theme

PANEL = re.compile(r"""(?:(\w+) = )?(?:Exercise|Board)Panel\(\s*["'](\d\d\.[\w-]+)["']""")
PATIENCE = 60_000  # milliseconds: the machine may be busy with other tests
RUN = 300_000
Fault = tuple[Any, str]  # a wrong answer, and the reason that it is given


@dataclass(frozen=True)
class Learner:
    """One learner at one open notebook; `names` are the variables of the panels in it, by exercise."""

    notebook: Notebook
    names: Mapping[str, str]

    @classmethod
    def open(cls, browser: Browser, server: Server, path: Path) -> Self:
        """Open a copy of a notebook and run all of its cells."""
        shutil.copy(path, server.folder / path.name)
        notebook = Notebook.open(browser, server, path.name, height=1500)
        notebook.run_all()
        return cls(notebook, names_of(path))

    @property
    def exercises(self) -> list[Exercise]:
        """Return the exercises that the notebook asks, in its order."""
        return [exercise_named(name) for name in self.names]

    @property
    def predictions(self) -> list[str]:
        """Return the titles of the panels that ask for a prediction."""
        panels = self.notebook.page.locator("section.rllab", has=self.notebook.page.locator("[data-key=predict]"))
        return [str(panel.get_attribute("aria-label")) for panel in panels.all()]

    def answer_all(self, exercise: Exercise, *, faults: int | None = None) -> int:
        """Give the wrong answers (the first so many) and then the right one; return how many were wrong."""
        wrong = listed_faults(exercise)[:faults]
        for answer, reason in wrong:
            self.answer(exercise, answer)
            expect(self.reading(exercise)).to_have_text(f"Not yet. {reason}", timeout=PATIENCE)
        self.answer(exercise, exercise.task.right_answer())
        expect(self.reading(exercise)).to_have_text(f"Right. {exercise.explanation}", timeout=PATIENCE)
        return len(wrong)

    def answer(self, exercise: Exercise, answer: Any) -> None:
        """Give one answer on the screen and have it checked."""
        panel = self.panel(exercise)
        panel.scroll_into_view_if_needed()
        again = panel.get_by_role("button", name="Start again")
        if again.get_attribute("aria-disabled") != "true":
            again.click()
            expect(panel.locator("[data-key=status]")).to_contain_text("not tried yet", timeout=PATIENCE)
        give: Mapping[type, Callable[[Locator, Exercise, Any], None]] = {
            Choice: self._choose,
            Number: self._write,
            Words: self._write,
            Board: self._lay,
            Code: self._hand_over,
        }
        give[type(exercise.task)](panel, exercise, answer)

    def predict(self, title: str) -> None:
        """Keep a prediction, look at the recorded run if there is one, then run."""
        panel = self.notebook.panel(title)
        panel.scroll_into_view_if_needed()
        run = panel.get_by_role("button", name="Run", exact=True)
        expect(run).to_have_attribute("aria-disabled", "true")
        if panel.get_by_role("radio").count():
            panel.get_by_role("radio").first.check()
        else:
            panel.get_by_role("textbox").fill("1")
        panel.get_by_role("button", name="Keep prediction").click()
        expect(run).not_to_have_attribute("aria-disabled", "true", timeout=PATIENCE)
        recorded = panel.get_by_role("button", name="Show the recorded run")
        if recorded.count():
            recorded.click()
            expect(panel.locator("[data-key=source]")).to_contain_text("recorded", timeout=PATIENCE)
        run.click()
        expect(panel.locator("[data-key=source]")).to_have_text("your own run", timeout=RUN)
        expect(panel.locator(".reading")).to_contain_text("You predicted")

    def panel(self, exercise: Exercise) -> Locator:
        """Return the panel of an exercise."""
        return self.notebook.panel(exercise.title)

    def reading(self, exercise: Exercise) -> Locator:
        """Return the sentence with the verdict."""
        return self.panel(exercise).locator(".reading")

    def pictures(self, folder: Path, theme: Theme) -> list[Path]:
        """Save pictures of the whole notebook, a screenful each."""
        self.notebook.set_theme(theme)
        page, made = self.notebook.page, []
        scroller = page.locator(".jp-WindowedPanel-outer").first
        step = int(scroller.evaluate("(one) => one.clientHeight")) - 60
        for number in range(40):
            scroller.evaluate("(one, top) => { one.scrollTop = top; }", number * step)
            page.wait_for_timeout(500)
            made.append(folder / f"{theme}-{number:02d}.png")
            made[-1].parent.mkdir(parents=True, exist_ok=True)
            page.screenshot(path=made[-1])
            if scroller.evaluate("(one) => one.scrollTop + one.clientHeight >= one.scrollHeight - 2"):
                break
        return made

    def _choose(self, panel: Locator, exercise: Exercise, answer: Sequence[str]) -> None:
        task = exercise.task
        assert isinstance(task, Choice)
        for option in task.options if task.many else answer:
            panel.locator(f'.choices input[value="{option}"]').set_checked(option in answer)
        panel.get_by_role("button", name="Check").click()

    def _write(self, panel: Locator, _exercise: Exercise, answer: Sequence[float] | str) -> None:
        written = answer if isinstance(answer, str) else " ".join(f"{number:.9g}" for number in answer)
        panel.get_by_role("textbox").fill(written)
        panel.get_by_role("button", name="Check").click()

    def _lay(self, panel: Locator, exercise: Exercise, answer: Mapping[str, Sequence[str]]) -> None:
        assert isinstance(exercise.task, Board)
        labels = {place.id: place.label for place in exercise.task.places}
        for place, cards in answer.items():
            zone = panel.get_by_role("group", name=labels[place], exact=True)
            for card in cards:
                panel.locator(f'.card[data-card="{card}"]').click()
                box = zone.bounding_box()
                assert box
                zone.click(position=Position(x=box["width"] / 2, y=box["height"] - 6))
                expect(zone.locator(f'.card[data-card="{card}"]')).to_have_count(1)
        panel.get_by_role("button", name="Check").click()

    def _hand_over(self, _panel: Locator, exercise: Exercise, answer: Callable[..., Any]) -> None:
        """Hand a function over in the kernel, as the learner's cell does."""
        truth = f"__import__('rllab.course.exercises').course.exercises.exercise_named({exercise.id!r}).task"
        wrong = [function for function, _ in exercise.task.wrong_answers()]
        function = f"wrong_answers()[{wrong.index(answer)}][0]" if answer in wrong else "right_answer()"
        self.notebook.python(f"{self.names[exercise.id]}.submit({truth}.{function})")


def names_of(path: Path) -> dict[str, str]:
    """Return the variables of the exercise panels in a notebook, by exercise; "" where there is none."""
    cells = json.loads(path.read_text("utf-8"))["cells"]
    sources = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    return {exercise: name for source in sources for name, exercise in PANEL.findall(source)}


def listed_faults(exercise: Exercise) -> list[Fault]:
    """Return the wrong answers with their reasons; on a board only the fault, which is quicker to arrange."""
    board = exercise.task
    if not isinstance(board, Board):
        return list(exercise.task.wrong_answers())
    cards = [({place: [card]}, reason) for (card, place), reason in _split(board.wrong)]
    pairs = [({board.places[0].id: [pair.second, pair.first]}, pair.reason) for pair in board.pairs]
    return [*cards, *pairs]


def _split(wrong: Mapping[str, str]) -> list[tuple[tuple[str, str], str]]:
    return [((key.split("@")[0], key.split("@")[1]), reason) for key, reason in wrong.items()]
