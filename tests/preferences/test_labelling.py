"""A label session without a panel: no pair comes twice, undone labels are unlearned, a large model learns a head."""

import threading
from pathlib import Path

import pytest
import torch

from rllab.core.errors import LabError, Stopped
from rllab.core.jobs import Job
from rllab.preferences.labels import LabelSession, LabelStore
from rllab.preferences.pairs import Pair, SimulatedJudge, load_pairs, save_pairs
from rllab.preferences.selection import Question, label_pairs
from rllab.trainer.trainer import Trainer
from rllab.worlds import load_world
from tests.small import same_weights, state_of
from tests.worlds.tiny import save_tiny


@pytest.fixture
def session(micro, tmp_path):
    judges = {"ada": SimulatedJudge("ada", micro.gold, 0.3)}
    return LabelSession(micro, LabelStore(tmp_path / "labels.jsonl", judge="me"), judges=judges)


def texts(one):
    return one.prompt, frozenset((one.first, one.second))


def test_no_pair_is_asked_about_twice(session):
    asked = []
    for turn in range(6):
        session.draw(8)
        asked += [texts(question) for question in session.questions]
        while session.questions:
            if turn % 3 == 0:
                session.skip()
            else:
                session.answer("tie" if turn % 3 == 1 else "first")
    assert len(set(asked)) == len(asked) == 48


def test_the_pair_that_is_being_read_stays_in_front(session):
    session.draw(6)
    front = session.questions[0]
    session.draw(6)
    assert session.questions[0] == front
    assert len({texts(question) for question in session.questions}) == 6


def test_answers_while_pairs_are_drawn_go_to_the_pair_that_was_shown(session, monkeypatch):
    """The queue is replaced in one step: an answer that arrives meanwhile goes to the first pair."""
    session.draw(4)
    front = session.questions[0]
    other = Question("cat is", "happy happy", "sad sad")

    def slow(*_args, **_settings):
        session.answer("second")
        return [other]

    monkeypatch.setattr("rllab.preferences.labels.propose", slow)
    session.draw(4)
    assert (session.store.pairs[-1].chosen, session.store.pairs[-1].rejected) == (front.second, front.first)
    assert other in session.questions
    assert front not in session.questions


def test_undo_after_an_import_takes_back_the_imported_label(session, tmp_path):
    session.draw(4)
    mine = session.answer("first")
    save_pairs(tmp_path / "theirs.jsonl", [Pair("cat is", "sad", "happy", "them", "9999")])
    session.take_in(tmp_path / "theirs.jsonl")
    asked = session.undo()
    assert asked == Question("cat is", "happy", "sad")  # in the order of the alphabet, which tells nothing
    assert session.store.pairs == [mine]
    session.undo()
    with pytest.raises(LabError, match="none to take back"):
        session.undo()


def test_very_long_and_unreadable_imports_are_left_out_one_by_one(session, tmp_path):
    good = Pair("cat is", "sad", "happy")
    bad = [Pair("cat is", "sad " * 25_000, "happy"), Pair("", "sad", "happy"), Pair("cat is", "sad", "\u732b")]
    save_pairs(tmp_path / "theirs.jsonl", [bad[0], good, *bad[1:]])
    read = session.take_in(tmp_path / "theirs.jsonl")
    assert read.pairs == session.store.pairs == [good]
    assert len(read.problems) == 3
    assert all(len(str(problem)) < 400 for problem in read.problems)
    assert "chosen response" in str(read.problems[0])


def test_a_stopped_refit_leaves_reward_and_reports(session):
    session.draw(12)
    session.let_judge("ada")
    session.refit()
    reward, stop = session.reward, threading.Event()
    stop.set()
    with pytest.raises(Stopped):
        session.refit(job=Job(stop))
    assert session.reward is reward
    assert len(session.reports) == 1
    with pytest.raises(Stopped):
        session.draw(12, job=Job(stop))
    session.refit()
    assert len(session.reports) == 2


def test_a_session_goes_on_after_a_restart_and_learns_from_all_labels(session, micro, tmp_path):
    session.draw(12)
    session.let_judge("ada")
    again = LabelSession(micro, LabelStore(tmp_path / "labels.jsonl"), judges=session.judges)
    assert again.refit().labels == len(session.store.pairs) == 12
    again.draw(8)
    assert not {texts(question) for question in again.questions} & {
        (pair.prompt, frozenset((pair.chosen, pair.rejected))) for pair in session.store.pairs
    }


def test_on_a_model_of_the_hubs_format_a_head_alone_learns_from_tens_of_labels(tmp_path: Path):
    """The trunk stays frozen and shared with the policy; the reward can be carried to a run at once."""
    world = load_world(str(save_tiny(tmp_path / "model")), device="cpu")
    world = world.replace(prompts=("Tell me about the dog.", "What happened?", "The weather?"), max_new_tokens=10)
    session = LabelSession(world, LabelStore(tmp_path / "labels.jsonl", judge="me"))
    before = state_of(world.policy.model)
    while len(session.store.pairs) < 30:
        if not session.questions:
            session.draw(10)
        asked = session.questions[0]
        session.answer("first" if len(asked.first) < len(asked.second) else "second")
    report = session.refit()
    assert session.reward is not None
    trunk = dict(session.reward.model.base_model.named_parameters())
    policy = dict(world.policy.model.base_model.named_parameters())
    assert all(trunk[name].data_ptr() == policy[name].data_ptr() for name in policy)
    assert [name for name, one in session.reward.model.named_parameters() if one.requires_grad] == ["score.weight"]
    assert session.reward.model.get_submodule("score").weight.abs().sum() > 0
    assert same_weights(before, state_of(world.policy.model))
    assert report.held_out.pairs == 6
    trainer = Trainer(session.carried(), "rloo", world.config("rloo", batch_size=4, samples_per_prompt=2))
    assert torch.isfinite(torch.tensor(list(trainer.update().values()))).all()
    assert len(load_pairs(tmp_path / "labels.jsonl")) == 30


def test_labelling_by_simulated_judges_stops_and_says_how_far_it_is(micro):
    seen: list[tuple[int, int]] = []
    judges = {"ada": (0.3, 0.0)}
    pairs = label_pairs(
        micro, judges, count=90, seed=0, job=Job(report=lambda done, total, text: seen.append((done, total)))
    )
    assert pairs == label_pairs(micro, judges, count=90, seed=0)
    assert [total for _, total in seen] == [90] * len(seen)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert len(seen) > 1
    assert seen[-1] == (90, 90)
    stop = threading.Event()
    stop.set()
    with pytest.raises(Stopped):
        label_pairs(micro, judges, count=90, seed=0, job=Job(stop))
