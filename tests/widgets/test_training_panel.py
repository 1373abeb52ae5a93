"""The training panel without a browser: runs, pauses, stops, steers, and shows what the run holds."""

import dataclasses
import threading
import time
from collections.abc import Iterator

import pytest
import torch

from rllab import LabError, Scores, Sequences, Trainer, World
from rllab.core.jobs import jobs
from rllab.plots.charts import MOST_POINTS
from rllab.plots.text import fixed
from rllab.value.critic import ZeroCritic
from rllab.widgets import TrainingPanel
from rllab.widgets.training_captions import ratio_finding, reading
from tests.patience import SOON
from tests.widgets.panels import lines, numbers, sent, shown, words


@pytest.fixture
def panel(micro: World) -> Iterator[TrainingPanel]:
    made = TrainingPanel(micro, updates=3)
    yield made
    made.close()
    if made.job is not None:
        assert made.job.settle(10)


def finish(panel: TrainingPanel) -> None:
    """Wait for the end of the run and of its last picture."""
    assert panel.job is not None
    assert panel.job.settle(60)


def run(panel: TrainingPanel, button: str = "start") -> None:
    panel.press(button)
    assert panel.alert == ""
    finish(panel)
    assert panel.alert == "", panel.last_traceback


def test_a_run_shows_what_its_history_holds(panel: TrainingPanel) -> None:
    run(panel)
    history = [record.metrics for record in panel.trainer.history]
    assert len(history) == 3
    assert lines(panel, "score")["reward model"] == pytest.approx([one["objective/scores"] for one in history])
    assert lines(panel, "score")["gold"] == pytest.approx([one["eval/gold"] for one in history])
    assert lines(panel, "kl")["KL"] == pytest.approx([one["objective/kl"] for one in history])
    assert "update 3 of 3" in words(panel, "where")
    first, last = history[0], history[-1]
    ends = [first["objective/scores"], last["objective/scores"], first["eval/gold"], last["eval/gold"]]
    assert numbers(words(panel)) == [*(shown(number) for number in ends), shown(last["objective/kl"])]
    assert panel.component("ratio")["good"]
    sent(panel)


def test_samples_before_and_now_are_of_the_same_prompts(panel: TrainingPanel, micro: World) -> None:
    run(panel)
    rows = panel.component("samples")["rows"]
    assert [row[0]["text"] for row in rows] == ["before", "after\u00a03"] * 3
    now = panel.trainer.samples(micro.prompts[:3], panel.trainer.seed)
    for row, sample in zip(rows[1::2], now, strict=True):
        assert row[1]["text"].startswith(f"{sample['prompt']} \u2192 {sample['response']}")
        assert [cell["text"] for cell in row[2:]] == [fixed(sample[name], signed=True) for name in ("score", "gold")]


def test_the_worlds_own_policy_is_left_alone(panel: TrainingPanel, micro: World) -> None:
    before = [parameter.clone() for parameter in micro.policy.model.parameters()]
    run(panel, "one")
    assert all(torch.equal(a, b) for a, b in zip(before, micro.policy.model.parameters(), strict=True))
    assert panel.trainer.world.policy.version > micro.policy.version


def test_stop_is_quick_and_leaves_a_finished_update(panel: TrainingPanel) -> None:
    panel.set("updates", "500")
    panel.press("start")
    while panel.trainer.index < 1:
        time.sleep(0.01)
    started = time.monotonic()
    panel.press("stop")
    assert panel.job is not None
    assert panel.job.wait(5)
    assert time.monotonic() - started < SOON
    finish(panel)
    assert panel.component("start")["label"] == "Go on"
    assert f"update {panel.trainer.index} of 500" in words(panel, "where")
    assert len(lines(panel, "kl")["KL"]) == panel.trainer.index
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("rllab-")]


def test_pause_ends_after_the_present_update_and_start_goes_on(panel: TrainingPanel) -> None:
    panel.set("updates", "50")
    panel.press("start")
    while panel.trainer.index < 1:
        time.sleep(0.01)
    panel.press("start")
    assert panel.component("start")["disabled"]
    finish(panel)
    done = panel.trainer.index
    assert 1 <= done < 50
    assert panel.sampled_at == done
    panel.set("updates", str(done + 1))
    run(panel)
    assert panel.trainer.index == done + 1


def test_a_paused_run_ends_where_an_unbroken_one_does(micro: World, panel: TrainingPanel) -> None:
    panel.set("updates", "2")
    run(panel)
    panel.set("updates", "3")
    run(panel)
    whole = Trainer(micro)
    whole.run(3)
    pairs = zip(panel.trainer.world.policy.model.parameters(), whole.world.policy.model.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_settings_hold_from_the_next_update_on(panel: TrainingPanel) -> None:
    panel.set("kl-coef", "0.5")
    panel.set("lr", "1e-4")
    assert (panel.trainer.config.kl_coef, panel.trainer.config.lr) == (0.5, 1e-4)
    panel.set("updates", "50")
    panel.press("start")
    while panel.trainer.index < 1:
        time.sleep(0.01)
    panel.set("kl-coef", "0.7")
    assert panel.component("kl-coef")["value"] == "0.7"
    seen = panel.trainer.index
    while panel.trainer.index < seen + 2:
        time.sleep(0.01)
    panel.press("stop")
    finish(panel)
    coefficients = [record.metrics["kl_coef"] for record in panel.trainer.history]
    assert coefficients[0] == 0.5
    assert coefficients[-1] == 0.7
    assert coefficients == sorted(coefficients)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("lr", value) for value in ("nan", "-1", "fast", "")),
        *(("kl-coef", value) for value in ("inf", "-0.1")),
        *(("updates", value) for value in ("0", "2.5", "")),
        *(("algorithm", "pppo"), ("world", "tale")),
    ],
)
def test_bad_input_is_a_sentence_and_changes_nothing(panel: TrainingPanel, key: str, value: str) -> None:
    before = {name: spec for name, spec in sent(panel).items() if name not in {"c_alert", "c_time"}}
    panel.set(key, value)
    assert panel.component("alert")["text"]
    assert {name: spec for name, spec in sent(panel).items() if name not in {"c_alert", "c_time"}} == before


def test_a_finished_run_says_what_to_do(panel: TrainingPanel) -> None:
    run(panel)
    panel.press("start")
    assert "raise the number" in panel.alert
    panel.press("one")
    finish(panel)
    assert panel.trainer.index == 4


def test_start_over_returns_to_the_start_with_the_present_settings(panel: TrainingPanel, micro: World) -> None:
    run(panel, "one")
    first = dict(panel.trainer.history[0].metrics)
    panel.set("kl-coef", "0.3")
    panel.press("again")
    assert panel.alert == ""
    assert (panel.trainer.index, panel.trainer.kl_coef, panel.before) == (0, 0.3, ())
    run(panel, "one")
    assert panel.trainer.history[0].metrics["objective/scores"] == first["objective/scores"]


def test_another_algorithm_begins_a_run_of_its_own(panel: TrainingPanel) -> None:
    run(panel, "one")
    panel.set("algorithm", "reinforce")
    assert (panel.alert, panel.trainer.algorithm.name, panel.trainer.index) == ("", "reinforce", 0)
    assert not panel.has("explained")
    run(panel, "one")


def test_a_run_of_ones_own_is_taken_as_it_is(micro: World) -> None:
    trainer = Trainer(micro, "reinforce")
    trainer.update()
    panel = TrainingPanel(trainer, updates=2)
    assert panel.trainer is trainer
    assert len(lines(panel, "kl")["KL"]) == 1
    panel.set("algorithm", "a2c")
    assert panel.alert == ""
    start = zip(panel.trainer.world.policy.model.parameters(), micro.policy.model.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in start)
    assert trainer.index == 1


@dataclasses.dataclass(frozen=True)
class Broken:
    """A reward that returns what is no number."""

    name: str = "broken"

    def score(self, sequences: Sequences, *, timing: str = "end") -> Scores:
        nothing = torch.full(sequences.response_mask.shape, float("nan"))
        return Scores(nothing.sum(dim=1), {}, nothing)

    def prefix_scores(self, sequences: Sequences) -> torch.Tensor:
        return torch.full(sequences.response_mask.shape, float("nan"))


def test_a_reward_that_is_no_number_reaches_the_alert_and_the_run_is_whole(micro: World) -> None:
    panel = TrainingPanel(micro.replace(reward=Broken()), updates=3)
    panel.press("start")
    finish(panel)
    assert "broken" in panel.component("alert")["text"]
    assert panel.trainer.index == 0
    assert not panel.component("start")["disabled"]
    assert jobs.current is None
    sent(panel)


def test_a_second_run_is_refused_while_one_goes_on(panel: TrainingPanel, micro: World) -> None:
    panel.set("updates", "50")
    panel.press("start")
    other = TrainingPanel(micro, updates=1)
    other.press("start")
    assert "PPO on micro" in other.component("alert")["text"]
    panel.press("stop")
    finish(panel)
    run(other)


def test_updates_are_counted(micro: World) -> None:
    with pytest.raises(LabError, match="updates"):
        TrainingPanel(micro, updates=0)


def test_a_ratio_that_is_off_is_named_with_its_update() -> None:
    good = {"val/ratio_first": 1.0, "policy/clipfrac_first": 0.0, "policy/clipfrac_avg": 0.1}
    assert ratio_finding([]) == ()
    (found,) = ratio_finding([good, good])
    assert found.props["good"]
    said = found.props["spans"][0]["text"]
    assert "clip fraction 0 on the first epoch of every update; in the last update 10.0%" in said
    for off in ({"val/ratio_first": 1.01}, {"policy/clipfrac_first": 0.2}, {"val/ratio_first": float("nan")}):
        (found,) = ratio_finding([good, good | off])
        assert not found.props["good"]
        assert "update 2" in found.props["spans"][0]["text"]


def test_hacking_is_said_and_gaps_stay_gaps(micro: World) -> None:
    trainer = Trainer(micro)
    metrics = {"objective/scores": 0.0, "eval/gold": 1.0, "objective/kl": 0.0}
    told = reading(trainer, [metrics, metrics | {"objective/scores": 2.0, "eval/gold": 0.2, "objective/kl": 9.0}])
    assert "what the reward gets wrong" in str(told)
    nothing = reading(trainer, [metrics, metrics | {"eval/gold": float("nan")}])
    assert "not a number" in str(nothing)


def test_a_long_run_is_thinned_for_the_page(micro: World) -> None:
    from rllab.plots.charts import Curve, training_curves

    history = [{"m": float(update)} for update in range(10_000)]
    history[5000]["m"] = float("nan")
    (trace,) = training_curves(history, [Curve("m", "m", "kl")], y="m").data
    assert len(trace["x"]) <= MOST_POINTS
    assert (trace["x"][0], trace["x"][-1], trace["y"][-1]) == (1, 10_000, 9999.0)


@pytest.mark.parametrize(("algorithm", "told"), [("ppo", True), ("rloo", False)])
def test_a_missing_critic_is_told_where_one_is_wanted(micro: World, algorithm: str, *, told: bool) -> None:
    panel = TrainingPanel(Trainer(micro.replace(critic=ZeroCritic()), algorithm), updates=1)
    assert panel.has("no-critic") == told
    assert panel.view().badges == ("average",)  # a V that is 0 everywhere is not learned
    if told:
        assert "PPO needs a critic but this world has none: V = 0" in words(panel, "no-critic")
    run(panel)
    panel.close()


def test_a_critic_that_is_there_needs_no_words(panel: TrainingPanel) -> None:
    assert panel.trainer.algorithm.name == "ppo"
    assert not panel.has("no-critic")
    assert panel.view().badges == ("average", "learned")
