"""A sitting without a panel: no pair is asked about twice, undone labels are unlearned, a large model learns a head."""

import threading
from pathlib import Path

import pytest
import torch

from rllab.core.errors import LabError, Stopped
from rllab.preferences.labels import LabelStore, Sitting
from rllab.preferences.pairs import Pair, SimulatedJudge, load_pairs, save_pairs
from rllab.preferences.selection import Question, label_pairs
from rllab.trainer.trainer import Trainer
from rllab.worlds import load_world
from tests.small import same_weights, state_of
from tests.worlds.tiny import save_tiny


@pytest.fixture
def sitting(micro, tmp_path):
    judges = {"ada": SimulatedJudge("ada", micro.gold, 0.3)}
    return Sitting(micro, LabelStore(tmp_path / "labels.jsonl", judge="me"), judges=judges)


def texts(one):
    return one.prompt, frozenset((one.first, one.second))


def test_no_pair_is_asked_about_twice(sitting):
    asked = []
    for turn in range(6):
        sitting.draw(8)
        asked += [texts(one) for one in sitting.questions]
        while sitting.questions:
            if turn % 3 == 0:
                sitting.skip()
            else:
                sitting.answer("tie" if turn % 3 == 1 else "first")
    assert len(set(asked)) == len(asked) == 48


def test_the_pair_that_is_being_read_stays_in_front(sitting):
    sitting.draw(6)
    front = sitting.questions[0]
    sitting.draw(6)
    assert sitting.questions[0] == front
    assert len({texts(one) for one in sitting.questions}) == 6


def test_answers_while_pairs_are_drawn_go_to_the_pair_that_was_shown(sitting, monkeypatch):
    """The line is exchanged in one go: whoever answers meanwhile answers the pair in front."""
    sitting.draw(4)
    front = sitting.questions[0]
    other = Question("cat is", "happy happy", "sad sad")

    def slow(*_args, **_settings):
        sitting.answer("second")
        return [other]

    monkeypatch.setattr("rllab.preferences.labels.propose", slow)
    sitting.draw(4)
    assert (sitting.store.pairs[-1].chosen, sitting.store.pairs[-1].rejected) == (front.second, front.first)
    assert other in sitting.questions
    assert front not in sitting.questions


def test_undo_after_an_import_takes_back_the_imported_label(sitting, tmp_path):
    sitting.draw(4)
    mine = sitting.answer("first")
    save_pairs(tmp_path / "theirs.jsonl", [Pair("cat is", "sad", "happy", "them", "9999")])
    sitting.take_in(tmp_path / "theirs.jsonl")
    asked = sitting.undo()
    assert asked == Question("cat is", "happy", "sad")  # in the order of the alphabet, which tells nothing
    assert sitting.store.pairs == [mine]
    sitting.undo()
    with pytest.raises(LabError, match="none to take back"):
        sitting.undo()


def test_very_long_and_unreadable_imports_are_left_out_one_by_one(sitting, tmp_path):
    good = Pair("cat is", "sad", "happy")
    bad = [Pair("cat is", "sad " * 25_000, "happy"), Pair("", "sad", "happy"), Pair("cat is", "sad", "\u732b")]
    save_pairs(tmp_path / "theirs.jsonl", [bad[0], good, *bad[1:]])
    read = sitting.take_in(tmp_path / "theirs.jsonl")
    assert read.pairs == sitting.store.pairs == [good]
    assert len(read.problems) == 3
    assert all(len(str(problem)) < 400 for problem in read.problems)
    assert "chosen response" in str(read.problems[0])


def test_a_stopped_refit_leaves_reward_and_reports(sitting):
    sitting.draw(12)
    sitting.let_judge("ada")
    sitting.refit()
    reward, stop = sitting.reward, threading.Event()
    stop.set()
    with pytest.raises(Stopped):
        sitting.refit(stop=stop)
    assert sitting.reward is reward
    assert len(sitting.reports) == 1
    with pytest.raises(Stopped):
        sitting.draw(12, stop=stop)
    sitting.refit()
    assert len(sitting.reports) == 2


def test_a_sitting_goes_on_after_a_restart_and_learns_from_all_labels(sitting, micro, tmp_path):
    sitting.draw(12)
    sitting.let_judge("ada")
    again = Sitting(micro, LabelStore(tmp_path / "labels.jsonl"), judges=sitting.judges)
    assert again.refit().labels == len(sitting.store.pairs) == 12
    again.draw(8)
    assert not {texts(one) for one in again.questions} & {
        (one.prompt, frozenset((one.chosen, one.rejected))) for one in sitting.store.pairs
    }


def test_on_a_model_of_the_hubs_format_a_head_alone_learns_from_tens_of_labels(tmp_path: Path):
    """The trunk stays frozen and shared with the policy; the reward can be carried to a run at once."""
    world = load_world(str(save_tiny(tmp_path / "model")), device="cpu")
    world = world.replace(prompts=("Tell me about the dog.", "What happened?", "The weather?"), max_new_tokens=10)
    sitting = Sitting(world, LabelStore(tmp_path / "labels.jsonl", judge="me"))
    before = state_of(world.policy.model)
    while len(sitting.store.pairs) < 30:
        if not sitting.questions:
            sitting.draw(10)
        asked = sitting.questions[0]
        sitting.answer("first" if len(asked.first) < len(asked.second) else "second")
    report = sitting.refit()
    assert sitting.reward is not None
    trunk = dict(sitting.reward.model.base_model.named_parameters())
    policy = dict(world.policy.model.base_model.named_parameters())
    assert all(trunk[name].data_ptr() == policy[name].data_ptr() for name in policy)
    assert [name for name, one in sitting.reward.model.named_parameters() if one.requires_grad] == ["score.weight"]
    assert sitting.reward.model.get_submodule("score").weight.abs().sum() > 0
    assert same_weights(before, state_of(world.policy.model))
    assert report.held_out.pairs == 6
    trainer = Trainer(sitting.carried(), "rloo", world.config("rloo", batch_size=4, samples_per_prompt=2))
    assert torch.isfinite(torch.tensor(list(trainer.update().values()))).all()
    assert len(load_pairs(tmp_path / "labels.jsonl")) == 30


def test_labelling_by_simulated_judges_stops_and_says_how_far_it_is(micro):
    seen: list[tuple[int, int]] = []
    judges = {"ada": (0.3, 0.0)}
    pairs = label_pairs(micro, judges, count=90, seed=0, progress=lambda done, total, text: seen.append((done, total)))
    assert pairs == label_pairs(micro, judges, count=90, seed=0)
    assert [total for _, total in seen] == [90] * len(seen)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert len(seen) > 1
    assert seen[-1] == (90, 90)
    stop = threading.Event()
    stop.set()
    with pytest.raises(Stopped):
        label_pairs(micro, judges, count=90, seed=0, stop=stop)
