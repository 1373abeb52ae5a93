"""Every fault is visible where its page says, the diagnostics detect it, and the grader accepts only its name."""

import functools
import threading

import pytest

from benchmarks import proof_clinic
from rllab.core.errors import LabError, Stopped
from rllab.core.jobs import NO_JOB, Job
from rllab.course.clinic import CHECKS, RUNS, Case, catalogue, draw_case, fault
from rllab.course.clinic.faults import FAULT_STAGES
from rllab.trainer.stages import Stages
from rllab.trainer.trainer import Trainer
from rllab.worlds import World, load_world

FAULTS = tuple(catalogue())[1:]
PAIRS = [(name, run) for name in FAULTS for run in fault(name).runs]
LONG = {"sampled colder than scored": 10}  # updates; what needs a mean over several
PLAIN = {"token", "where", "which", "their", "other", "score", "price"}  # words that say nothing by themselves


@functools.cache
def small_micro() -> World:
    world = load_world("micro")
    small = {**world.defaults["all"], "batch_size": 24, "micro_batch_size": 24, "epochs": 2}
    return world.replace(defaults={**world.defaults, "all": small})


@functools.cache
def case_of(name: str, run: str = "") -> Case:
    """Run a fault and its healthy twin, twice."""
    case = Case(small_micro(), fault(name), run=run, seed=3)
    case.run(2)
    return case


def test_there_are_at_least_ten_and_each_has_a_page_and_a_thread() -> None:
    assert set(catalogue()) == set(FAULT_STAGES)
    assert len(FAULTS) >= 10
    for name in FAULTS:
        hidden = fault(name)
        assert hidden.threads
        assert hidden.views
        assert bool(hidden.finding) != bool(hidden.unnamed), name  # named by the checkup, or a reason why not
        assert set(hidden.runs) <= set(RUNS)
    assert set(fault("healthy").runs) == set(RUNS)


@pytest.mark.parametrize(("name", "run"), PAIRS)
def test_it_is_seen_and_named_in_every_run_that_a_case_may_be(name: str, run: str) -> None:
    looked = proof_clinic.look(small_micro(), fault(name), run, updates=LONG.get(name, 4))
    assert looked.seen, looked
    assert looked.passed, looked


@pytest.mark.parametrize("run", RUNS)
def test_no_healthy_run_is_ill(run: str) -> None:
    ill, count = proof_clinic.healthy(small_micro(), range(3), 5, runs=(run,))
    assert ill == []
    assert count == 3


def test_the_measurement_fails_for_a_fault_that_nobody_could_see() -> None:
    invisible = proof_clinic.Looked("x", "ppo", seen=(), found=(), wanted="")
    unnamed = proof_clinic.Looked("x", "ppo", seen=("curve:lr",), found=(), wanted="something")
    name, other = fault("detached critic").finding, fault("reward on padding").finding
    too_much = proof_clinic.Looked("x", "ppo", seen=("curve:lr",), found=(name, other), wanted=name)
    assert not any(look.passed for look in (invisible, unnamed, too_much))
    leads_to = proof_clinic.Looked("x", "ppo", seen=("curve:lr",), found=(name, "entropy has collapsed"), wanted=name)
    assert leads_to.passed
    healthy = proof_clinic.look(small_micro(), fault("healthy"), "ppo", updates=2)
    assert healthy.seen == healthy.found == ()


@pytest.mark.parametrize(("name", "changes"), [("mean of means", True), ("healthy", False)])
def test_mean_of_means_shows_when_the_micro_batches_are_cut_elsewhere(name: str, *, changes: bool) -> None:
    world, norms = small_micro(), []
    for size in (8, 12):
        config = world.config("ppo", **{**RUNS["pieces"][1], "micro_batch_size": size})
        norms.append(Trainer(world, "ppo", config, stages=fault(name).stages).update()["grad_norm"])
    assert (abs(norms[0] - norms[1]) > 1e-6) == changes


@pytest.mark.parametrize(
    ("name", "run", "check"),
    [
        ("score read one token early", "ppo", "score again"),
        ("values shifted by one", "ppo", "read again"),
        ("mean of means", "pieces", "cut again"),
    ],
)
def test_each_check_shows_its_fault_and_nothing_in_a_healthy_run(name: str, run: str, check: str) -> None:
    do = next(known.do for known in CHECKS if known.name == check)
    before = case_of(name, run).trainer.index
    sick, well = do(case_of(name, run), NO_JOB), do(case_of("healthy", run), NO_JOB)
    assert not sick.agrees, sick.words
    assert well.agrees, well.words
    assert sick.words != well.words
    assert case_of(name, run).trainer.index == before  # a check leaves the case as it is


def test_a_case_and_its_twin_start_with_the_same_batch_and_differ_in_the_fault_alone() -> None:
    case = case_of("KL with the wrong sign")
    assert case.history[0].samples == case.healthy[0].samples
    assert len(case.healthy) == len(case.history) == 2
    assert case.twin.stages == Stages()
    assert case.twin.config == case.trainer.config
    rows = case.tokens
    assert len(rows) == 24
    assert set(rows[0]) >= {"tokens", "logprobs", "ref_logprobs", "values", "rewards", "advantages", "ratio"}


def test_a_stopped_case_goes_on_with_its_twin() -> None:
    case, stop = Case(small_micro(), fault("healthy")), threading.Event()

    def at_twin(done: int, total: int, text: str) -> None:
        del total, text
        if done == 1:
            stop.set()

    with pytest.raises(Stopped):
        case.run(3, job=Job(stop, at_twin))
    case.run(2)
    assert len(case.history) == len(case.healthy) == 3


def test_the_grader_explains_right_and_wrong() -> None:
    case = Case(small_micro(), fault("dropout on"))
    wrong = case.answer("groups of one")
    assert not wrong.right
    assert fault("groups of one").shows in wrong.explanation
    assert fault("dropout on").hint in wrong.explanation
    assert "dropout" not in wrong.explanation.lower()
    assert wrong.threads == ()
    missed = case.answer("healthy")
    assert not missed.right
    assert "Something is wrong" in missed.explanation
    assert not case.solved
    right = case.answer("dropout on")
    assert right.right
    assert case.solved
    assert fault("dropout on").mend in right.explanation
    assert right.threads == fault("dropout on").threads
    assert case.answers == ["groups of one", "healthy", "dropout on"]
    assert case.reveal() is fault("dropout on")
    with pytest.raises(LabError, match="did you mean"):
        case.answer("dropuot on")


def telling(text: str) -> set[str]:
    """Return the beginnings of the words that could give something away."""
    words = ("".join(letter for letter in word if letter.isalnum()) for word in text.lower().split())
    return {word[:5] for word in words if len(word) >= 5 and word not in PLAIN and word[:5] not in PLAIN}


@pytest.mark.parametrize("name", FAULTS)
def test_no_hint_gives_the_name_away(name: str) -> None:
    hidden = fault(name)
    assert telling(hidden.hint) & telling(f"{hidden.name} {hidden.title}") == set()


def test_drawing_a_case_is_chance_with_a_seed_and_the_run_tells_nothing() -> None:
    world = small_micro()
    drawn = [draw_case(world, seed=seed) for seed in range(24)]
    assert len({case.reveal().name for case in drawn}) > 6
    again = draw_case(world, seed=4)
    assert (again.reveal(), again.trainer.config) == (drawn[4].reveal(), drawn[4].trainer.config)
    assert draw_case(world, seed=4, among=["healthy"]).reveal() is fault("healthy")
    for run in RUNS:
        able = [name for name in catalogue() if run in fault(name).runs]
        assert len(able) >= 6, run  # no run has one fault for itself
    with pytest.raises(LabError, match="does not show there; choose one of"):
        Case(world, fault("groups of one"), run="ppo")


def test_a_case_that_was_not_run_has_no_tokens() -> None:
    case = Case(small_micro(), fault("healthy"))
    with pytest.raises(LabError, match="run it first"):
        case.tokens  # noqa: B018
    with pytest.raises(LabError, match="at least 1"):
        case.run(0)
