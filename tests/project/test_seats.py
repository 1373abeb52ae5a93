"""The measurement of a full room works, tried with two seats that do little."""

from pathlib import Path

import pytest
from nbformat import write
from nbformat.v4 import new_code_cell, new_notebook

from benchmarks.proof_seats import Plan, Room, cells, judged, seated

SMALL = """from rllab import load_world
from rllab.widgets import StepperPanel, TrainingPanel

world = load_world("micro")
stepper, training = StepperPanel(world), TrainingPanel(world, updates=2)"""


@pytest.fixture
def notebook(tmp_path: Path) -> Path:
    """Return a notebook with the names of the tour on the smallest world."""
    path = tmp_path / "small.ipynb"
    with path.open("w", encoding="utf-8") as file:
        write(new_notebook(cells=[new_code_cell("1 + 1"), new_code_cell(SMALL)]), file)
    return path


@pytest.mark.timeout(300)
def test_two_seats_are_measured(notebook: Path) -> None:
    plan = Plan(seats=2, presses=8, pause=0.05, updates=1, notebook=notebook, most_minutes=10, most_seconds=60)
    result = seated(plan)
    assert result.passed, result.figure
    assert [len(result.details[name]) for name in ("kernels", "trained", "runs", "steps")] == [2, 2, 2, 16]
    assert min(result.details["kernels"]) > 50
    assert "token step" in result.figure


@pytest.mark.parametrize(
    ("bound", "held"),
    [({}, True), ({"most_mib": 299.0}, False), ({"most_seconds": 0.2}, False), ({"most_minutes": 1.0}, False)],
)
def test_every_bound_counts(bound: dict[str, float], *, held: bool) -> None:
    steps = [0.01 * at for at in range(1, 101)]
    room = Room(opened=[9.0], steps=steps, kernels=[200.0], trained=[300.0], runs=[100.0], minutes=2.0)
    assert room.p95 == pytest.approx(0.96)
    assert judged(Plan(**bound), room).passed == held


def test_the_tour_has_the_names_that_the_measurement_uses(root: Path) -> None:
    sources = "\n".join(cells(root / "notebooks" / "00_tour.ipynb"))
    assert "stepper = StepperPanel(" in sources
    assert "training = TrainingPanel(" in sources


def test_a_seat_whose_cell_fails_is_told(tmp_path: Path) -> None:
    path = tmp_path / "broken.ipynb"
    with path.open("w", encoding="utf-8") as file:
        write(new_notebook(cells=[new_code_cell("1 / 0")]), file)
    with pytest.raises(RuntimeError, match="a seat stopped with ZeroDivisionError"):
        seated(Plan(seats=1, notebook=path))
