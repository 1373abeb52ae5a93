"""The learner's order, played with a real trainer, agrees with the grader and leaves no trace when it stops."""

import itertools

import pytest
import torch

from rllab import Trainer, World, load_world
from rllab.core.errors import LabError
from rllab.course.exercises import exercise_named
from rllab.course.exercises.boards import PARTS, Table, play

RIGHT = ("state", "action", "score", "value", "update")


@pytest.fixture(scope="module")
def world() -> World:
    return load_world("micro-tabular")


def trainer(world: World) -> Trainer:
    return Trainer(world, config=world.config("ppo", batch_size=4, micro_batch_size=4, epochs=2))


def weights(run: Trainer) -> torch.Tensor:
    return torch.cat([weight.detach().flatten().clone() for weight in run.world.policy.model.parameters()])


def test_the_right_order_makes_an_update(world: World) -> None:
    run = trainer(world)
    before = weights(run)
    played = play(RIGHT, run)
    assert [card.words.split(":")[0] for card in played] == ["State", "Rollout", "Scores", "Targets", "UpdateRecord"]
    assert not any(card.stopped for card in played)
    assert run.index == 1
    assert not torch.equal(weights(run), before)


def test_every_other_order_stops_at_the_missing_record_and_leaves_no_trace(world: World) -> None:
    run = trainer(world)
    before = weights(run)
    for order in itertools.permutations(RIGHT):
        if order == RIGHT:
            continue
        played = play(order, run)
        first_wrong = next(at for at, (card, due) in enumerate(zip(order, RIGHT, strict=True)) if card != due)
        assert len(played) == first_wrong + 1
        assert played[-1].stopped
        assert PARTS[order[first_wrong]].needs in played[-1].words
    assert run.index == 0
    assert torch.equal(weights(run), before)


@pytest.mark.parametrize("decoy", ["label", "imitate", "copy"])
def test_a_card_of_another_phase_stops_the_play(world: World, decoy: str) -> None:
    played = play(["state", decoy], trainer(world))
    assert played[-1].stopped
    assert "card needs" in played[-1].words


def test_play_and_grader_agree(world: World) -> None:
    board = exercise_named("07.order").task
    orders = [RIGHT, ("state", "score", "action", "value", "update"), ("action", "state", "score", "value", "update")]
    for order in orders:
        complete = not play(order, trainer(world))[-1].stopped
        assert board.check({"order": list(order)}).right == complete


def test_part_of_the_order_runs_and_leaves_no_trace(world: World) -> None:
    run = trainer(world)
    assert not any(card.stopped for card in play(RIGHT[:3], run))
    assert run.index == 0
    play(RIGHT, run)
    assert run.index == 1


def test_an_unknown_card_is_refused(world: World) -> None:
    with pytest.raises(LabError, match="dance"):
        play(["state", "dance"], trainer(world))


def test_a_table_keeps_every_card_in_one_place() -> None:
    board = exercise_named("01.maze").task
    table = Table(board)
    everything = sorted(card.id for card in board.cards)
    table.move("robot", "agent", 0)
    table.move("map", "agent", 0)  # room for one: the robot goes back to the tray
    assert table.rows["agent"] == ["map"]
    assert "robot" in table.rows["tray"]
    assert sorted(itertools.chain(*table.rows.values())) == everything
    with pytest.raises(LabError):
        table.move("map", "nowhere", 0)
    table.arrange(board.right_answer())
    assert board.check(table.placement).right
    table.clear()
    assert table.rows["tray"] == board.shuffled()
