"""Recorded runs come back as the results they were, and are drawn like a run of your own."""

import json
from dataclasses import dataclass
from types import ModuleType

import pytest

from rllab.core.errors import LabError
from rllab.core.jobs import NO_JOB
from rllab.course.experiments import kept, live, record, recorded, recorded_result


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
    arm = Arm("an arm", (0.5, 1.5), (3, "three"))
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

    assert live(toy, draw)(NO_JOB) == "fast"
    assert kept(toy, draw) == "workshop"


def test_what_was_never_recorded_names_the_command(toy: ModuleType) -> None:
    with pytest.raises(LabError, match=r"python -m rllab\.course\.experiments toy"):
        recorded_result(toy)


def test_a_record_of_an_older_version_names_the_command(toy: ModuleType, tmp_path) -> None:
    record("toy", toy.WORKSHOP, toy.run(toy.WORKSHOP), seconds=1.0)
    content = recorded("toy")
    del content["result"]["first"]
    (tmp_path / "runs" / "toy.json").write_text(json.dumps(content), "utf-8")
    with pytest.raises(LabError, match="older version; make it again with `python -m"):
        recorded_result(toy)
