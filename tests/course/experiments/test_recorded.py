"""Recorded runs come back as the results that they were, and draw like a run of one's own."""

import importlib
import json
import threading
from dataclasses import asdict, dataclass
from types import ModuleType

import pytest

from rllab.core.errors import LabError
from rllab.core.files import data_dir
from rllab.core.jobs import NO_JOB
from rllab.course.experiments.live import kept, live
from rllab.course.experiments.recorded import record, recorded, recorded_result

NAMES = sorted(path.stem for path in (data_dir() / "runs").glob("*.json"))


@dataclass(frozen=True)
class Arm:
    name: str
    curve: tuple[float, ...]
    pair: tuple[int, str]


@dataclass(frozen=True)
class Result:
    arms: tuple[Arm, ...]
    first: Arm


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch, tmp_path) -> ModuleType:
    monkeypatch.setenv("RLLAB_DATA", str(tmp_path))
    module = ModuleType("rllab.course.experiments.toy")
    arm = Arm("one", (0.5, 1.5), (3, "three"))
    module.Result, module.FAST, module.WORKSHOP = Result, Arm("fast", (), (0, "")), Arm("workshop", (), (1, ""))
    module.run = lambda size, *, job=NO_JOB: Result((size, arm), arm)
    return module


def test_a_recorded_result_is_the_result_that_the_run_gave(toy: ModuleType) -> None:
    given = toy.run(toy.WORKSHOP)
    record("toy", toy.WORKSHOP, given, seconds=1.0)
    assert recorded_result(toy) == given


def test_live_is_the_fast_size_and_kept_the_recorded_one(toy: ModuleType) -> None:
    record("toy", toy.WORKSHOP, toy.run(toy.WORKSHOP), seconds=1.0)

    def draw(result: Result) -> str:
        return result.arms[0].name

    assert live(toy, draw)(threading.Event(), lambda *_: None) == "fast"
    assert kept(toy, draw) == "workshop"


def test_a_run_that_nobody_recorded_is_a_sentence(toy: ModuleType) -> None:
    with pytest.raises(LabError, match="experiments toy"):
        recorded_result(toy)


@pytest.mark.parametrize("name", NAMES)
def test_every_recorded_run_fits_its_experiment(name: str) -> None:
    stem, _, size = name.partition("-")
    module = importlib.import_module(f"rllab.course.experiments.{stem}")
    again = json.loads(json.dumps(asdict(recorded_result(module, size=size))))
    assert again == recorded(name)["result"]
