"""The value panel without a browser: three ways of V, the fan of a state, two tokens compared."""

import copy
import math

import pytest

from rllab import Critic, LabError, Stepper, World, ZeroCritic
from rllab.core.jobs import Job
from rllab.truth import exact, monte_carlo
from rllab.truth.what_if import continuations, what_if
from rllab.widgets import ValuePanel
from rllab.widgets.engine.panel import Panel
from tests.truth.trees import tree_world
from tests.widgets.panels import lines, numbers, sent, shown, words


@pytest.fixture(scope="module")
def world() -> World:
    return tree_world(words=4, horizon=4, seed=5, kl_coef=0.2, timing="token")


@pytest.fixture
def panel(world: World) -> ValuePanel:
    stepper = Stepper(world, seed=1)
    for token in (0, 2, 1):
        stepper.step(token)
    return ValuePanel(stepper, samples=32)


def run(panel: Panel, key: str) -> None:
    panel.press(key)
    assert panel.job is not None
    assert panel.job.settle(60)
    assert panel.alert == ""


def test_a_fan_is_the_sample_behind_the_estimate(world: World) -> None:
    found = continuations(world, "a", (1,), samples=50, seed=3)
    (estimate,) = monte_carlo(world, "a", [(1,)], samples=50, seed=3)
    assert found.returns == pytest.approx(estimate.returns)
    assert found.estimate.standard_error == pytest.approx(estimate.standard_error)
    assert [row[-1] for row in found.forecasts] == pytest.approx(found.returns)
    assert len(set(found.texts)) > 5


def test_a_forecast_with_a_critic_begins_at_its_value(micro: World) -> None:
    stepper = Stepper(micro)
    stepper.step(3)
    found = continuations(micro, micro.prompts[0], (3,), samples=20, seed=0)
    assert all(row[0] == pytest.approx(stepper.state.value) for row in found.forecasts)
    assert [row[-1] for row in found.forecasts] == pytest.approx(found.returns)


@pytest.mark.parametrize(("prefix", "samples", "said"), [((4,), 8, "over"), ((9,), 8, "9"), ((), 0, "from 1 to")])
def test_what_cannot_be_continued_is_refused(world: World, prefix: tuple[int, ...], samples: int, said: str) -> None:
    with pytest.raises(LabError, match=said):
        continuations(world, "a", prefix, samples=samples, seed=0)


def test_exact_values_are_drawn_at_once_and_the_sentence_quotes_them(panel: ValuePanel, world: World) -> None:
    tree = exact(world, "a")
    drawn = lines(panel, "values")["V exact"]
    assert drawn == pytest.approx([tree.V((0, 2, 1)[:t]) for t in range(4)])
    for at in range(4):
        panel.set("strip", at)
        assert numbers(words(panel))[-1] == shown(drawn[at])
    changes = [numbers(item["n"])[0] for item in panel.component("strip")["items"]]
    for at, change in enumerate(changes):
        assert shown(drawn[at]) + change == pytest.approx(shown(drawn[at + 1]), abs=1e-9)
    assert world.objective.describe() in words(panel, "objective")


def test_sampling_along_the_line_brackets_the_truth(panel: ValuePanel, world: World) -> None:
    run(panel, "along")
    means, tree = lines(panel, "values")["V Monte-Carlo"], exact(world, "a")
    for at, value in enumerate(panel.sampled.values):
        assert means[at] == value.mean
        assert abs(value.mean - tree.V((0, 2, 1)[:at])) < 4.9 * max(value.standard_error, 1e-9) + 0.3
        panel.set("strip", at)
        assert numbers(words(panel))[:2] == [shown(value.mean), shown(value.standard_error)]
    kinds = [badge["kind"] for badge in panel.component("badges")["badges"]]
    assert kinds == ["exact", "monte-carlo"]
    sent(panel)


def test_the_fan_and_its_sentence(panel: ValuePanel, world: World) -> None:
    panel.set("strip", 1)
    assert panel.has("no-fan")
    run(panel, "fan")
    found = panel.sampled.continuations
    assert found is not None
    assert found.prefix == (0,)
    counts = next(trace for trace in panel.component("rays")["figure"]["data"] if trace["type"] == "bar")["x"]
    assert sum(counts) == 32
    assert panel.component("rays")["figure"]["layout"]["shapes"][-1]["y0"] == exact(world, "a").V((0,))
    said = numbers(words(panel))
    assert said[:2] == [shown(found.estimate.mean), shown(found.estimate.standard_error)]
    assert said[-1] == shown(exact(world, "a").V((0,)))
    panel.set("strip", 0)
    assert panel.sampled.continuations is None


def test_two_tokens_are_compared_and_read_in_one_sentence(panel: ValuePanel, world: World) -> None:
    panel.set("strip", 0)
    panel.set("first", "1")
    panel.set("second", "3")
    run(panel, "compare")
    expected = what_if(world, "a", (), (1, 3), samples=32, seed=0)
    assert panel.sampled.what_if is not None
    assert panel.sampled.what_if.difference.mean == expected.difference.mean
    assert numbers(words(panel))[0] == shown(expected.q[0].mean)
    q = exact(world, "a").Q(())
    assert numbers(words(panel))[-2:] == [shown(float(q[1])), shown(float(q[3]))]
    dotted = [shape for shape in panel.component("histograms")["figure"]["layout"]["shapes"] if "dash" in shape["line"]]
    assert [shape["x0"] for shape in dotted] == [float(q[1]), float(q[3])]
    counts = [sum(trace["y"]) for trace in panel.component("histograms")["figure"]["data"]]
    assert counts == [32, 32]
    panel.set("second", "1")
    assert not panel.has("histograms")
    panel.press("compare")
    assert "two different" in panel.alert


def test_a_response_is_written_and_written_anew(world: World) -> None:
    panel = ValuePanel(world)
    assert panel.component("along")["disabled"]
    run(panel, "write")
    assert panel.stepper.done
    assert words(panel).startswith("In state 0")
    panel.set("strip", len(panel.stepper.steps))
    assert "over" in words(panel)
    assert panel.component("fan")["disabled"]
    assert not panel.has("compare")
    before = panel.stepper.seed
    run(panel, "write")
    assert panel.stepper.seed == before + 1


def test_without_critic_and_truth_the_panel_says_what_to_press(micro: World) -> None:
    stepper = Stepper(micro.replace(critic=ZeroCritic()))
    stepper.step()
    panel = ValuePanel(stepper)
    assert "V learned" not in lines(panel, "values")
    with_critic = ValuePanel(micro)
    assert lines(with_critic, "values")["V learned"] == [Stepper(micro).state.value]
    assert "The critic is off by" in words(with_critic)
    off = shown(Stepper(micro).state.value) - shown(exact(micro, micro.prompts[0]).J)
    assert numbers(words(with_critic))[-1] == pytest.approx(off, abs=1e-9)


def test_stop_ends_the_sampling_and_keeps_what_was_there(panel: ValuePanel) -> None:
    run(panel, "along")
    kept = panel.sampled

    def forever(job: Job) -> None:
        assert job.pause(20)

    panel.start_job("waiting", forever)
    panel.refresh()
    panel.press("stop")
    assert panel.job is not None
    assert panel.job.settle(1)
    assert panel.sampled is kept


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [("samples", "1", "from 2"), ("samples", "many", "many"), ("prompt", "zebra", "zebra"), ("first", "99", "99")],
)
def test_bad_input_is_a_sentence_and_changes_nothing(panel: ValuePanel, key: str, value: str, said: str) -> None:
    before = {name: spec for name, spec in sent(panel).items() if name not in {"c_alert", "c_time"}}
    panel.set(key, value)
    assert said in panel.alert
    assert {name: spec for name, spec in sent(panel).items() if name not in {"c_alert", "c_time"}} == before


def test_an_ended_response_has_no_learned_value_at_its_end(micro: World) -> None:
    stepper = Stepper(micro)
    stepper.step(micro.policy.eos_id)
    panel = ValuePanel(stepper)
    drawn = lines(panel, "values")
    assert drawn["V learned"][-1] is None
    assert drawn["V exact"][-1] == 0.0
    assert not math.isnan(exact(micro, micro.prompts[0]).J)


def test_the_token_that_ends_a_response_is_not_blamed_for_the_end(panel: ValuePanel) -> None:
    assert all(item["n"] != "\u2013" for item in panel.component("strip")["items"])
    panel.stepper.step(panel.stepper.world.policy.eos_id)
    panel.refresh()
    last = panel.component("strip")["items"][-1]
    assert last["n"] == "\u2013"
    assert not last.get("i")


def test_what_an_older_policy_wrote_is_not_held_against_the_truth_of_now(world: World) -> None:
    policy = world.policy.copy()
    stepper = Stepper(world.replace(policy=policy), seed=1)
    stepper.step(0)
    panel = ValuePanel(stepper, samples=8)
    assert "V exact" in lines(panel, "values")
    policy.changed()
    panel.refresh()
    assert "V exact" not in lines(panel, "values")
    assert "Write a response" in words(panel, "stale")
    assert panel.component("along")["disabled"]
    assert panel.component("fan")["disabled"]
    assert not panel.has("compare")
    run(panel, "write")
    assert not panel.has("stale")
    assert "V exact" in lines(panel, "values")


def test_a_new_critic_is_said_to_have_learned_nothing_yet(micro: World) -> None:
    model = copy.deepcopy(micro.critic.model)
    new = Critic.for_policy(model, model)
    assert "it has not learned yet" in words(ValuePanel(micro.replace(critic=new)))
    assert "it has not learned yet" not in words(ValuePanel(micro))
