"""The lens on advantages, the branch tree and the what-if of the token stepper, without a browser."""

import copy
import time
from dataclasses import replace

import pytest

from rllab import Critic, LabError, Stepper, World
from rllab.truth import exact
from rllab.truth.estimates import candidates, lookahead
from rllab.truth.what_if import what_if
from rllab.widgets import StepperPanel
from rllab.widgets.engine.panel import Panel
from rllab.widgets.stepper_captions import READINGS
from rllab.worlds.stepper import MOST, BranchTree
from tests.patience import SOON
from tests.truth.trees import tree_world
from tests.widgets.panels import lines, numbers, sent, shown, words


@pytest.fixture(scope="module")
def small() -> World:
    return tree_world(words=4, horizon=4, seed=5, kl_coef=0.2, timing="token")


@pytest.fixture
def panel(small: World) -> StepperPanel:
    return begun(small)


@pytest.fixture
def large(small: World, monkeypatch: pytest.MonkeyPatch) -> StepperPanel:
    """Return a panel on the same world, taken for one that is too large to be known exactly."""
    monkeypatch.setattr("rllab.widgets.shared.truth.AT_ONCE", 10)
    panel = begun(small)
    panel.set("samples", "200")
    return panel


def begun(world: World) -> StepperPanel:
    stepper = Stepper(world, seed=1)
    for token in (0, 2, 1):
        stepper.step(token)
    return StepperPanel(stepper, lenses=("policy", "reward", "value", "advantage"))


def run(panel: Panel, key: str) -> None:
    panel.press(key)
    assert panel.job is not None
    assert panel.job.settle(60)
    assert panel.alert == ""


def bar_numbers(panel: Panel) -> dict[str, list[float]]:
    """Return the numbers next to each bar by its label: Q, A and, where they are sampled, their errors."""
    spec = panel.component("bars")
    rows = [*spec["items"], *([spec["rest"]] if spec["rest"] else [])]
    return {item["label"]: numbers(" ".join(span["text"] for span in item["extra"])) for item in rows}


def kinds(panel: Panel) -> list[str]:
    return [badge["kind"] for badge in panel.component("badges")["badges"]]


def test_the_lens_comes_last_and_shows_where_in_the_loop_we_are(panel: StepperPanel) -> None:
    assert panel.component("lens")["value"] == "advantage"
    assert panel.component("ring")["active"] == "advantage"
    assert StepperPanel(panel.stepper, lenses=("advantage",)).lens == "advantage"


def test_q_and_a_of_every_bar_are_the_trees_and_their_difference_is_v(panel: StepperPanel, small: World) -> None:
    tree = exact(small, "a")
    for at in range(4):
        panel.set("strip", at)
        prefix = (0, 2, 1)[:at]
        value = numbers(words(panel, "left-value"))[0]
        assert value == shown(tree.V(prefix))
        for label, (q, a) in bar_numbers(panel).items():
            token = [*"abcd", "<eos>"].index(label)
            assert q == shown(tree.Q(prefix)[token].item())
            assert q - a == pytest.approx(value, abs=1e-9)
        assert "exact" in words(panel, "left-value")
    assert kinds(panel) == ["exact"]
    assert not panel.has("sample")  # nothing to sample where all is known


def test_the_curve_and_the_chips_are_td_errors_and_with_the_exact_v_they_are_advantages(
    panel: StepperPanel, small: World
) -> None:
    tree, ids = exact(small, "a"), (0, 2, 1)
    drawn = lines(panel, "curves")
    assert drawn["V exact"] == pytest.approx([tree.V(ids[:t]) for t in range(4)])
    expected = [tree.Q(ids[:t])[token].item() for t, token in enumerate(ids)]
    assert drawn["Q of the token written"] == pytest.approx(expected)
    for t, item in enumerate(panel.component("strip")["items"]):
        panel.set("strip", t)
        a = numbers(words(panel))[2]
        assert numbers(item["n"])[0] == a == pytest.approx(shown(expected[t]) - shown(tree.V(ids[:t])), abs=1e-9)
        assert ("better" if a > 0 else "worse") in words(panel)


def test_the_sentence_names_the_best_candidate_and_quotes_its_bar(panel: StepperPanel) -> None:
    said = words(panel)
    best = max(bar_numbers(panel).items(), key=lambda item: item[1][0])
    assert f"{best[0]} is worth the most" in said
    assert numbers(said)[:3] == [numbers(words(panel, "left-value"))[0], *best[1]]


def test_a_learned_answer_comes_at_once_and_says_who_was_asked(micro: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rllab.widgets.shared.truth.AT_ONCE", 10)
    panel = StepperPanel(Stepper(micro), lenses=("policy", "advantage"))
    assert kinds(panel) == ["learned"]
    found = candidates(micro, micro.prompts[0], (), panel.stepper.state.candidate_ids, "learned")
    assert numbers(words(panel, "left-value"))[0] == shown(found.value.mean)
    assert numbers(words(panel))[-1] == shown(lines(panel, "curves")["V learned"][0])
    for (q, a), estimate in zip(bar_numbers(panel).values(), found.q, strict=True):
        assert q == shown(estimate.mean)
        assert q - a == pytest.approx(shown(found.value.mean), abs=1e-9)
    sent(panel)


def test_a_critic_that_has_not_learned_is_not_read_as_if_it_had(micro: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rllab.widgets.shared.truth.AT_ONCE", 10)
    model = copy.deepcopy(micro.critic.model)
    stepper = Stepper(micro.replace(critic=Critic.for_policy(model, model)))
    stepper.step(3)
    panel = StepperPanel(stepper, lenses=("policy", "value", "advantage"))
    assert "Q +1.58" in words(panel)  # what the end is paid is known without a critic
    look = panel.snapshot()
    assert look.worth is not None
    nothing = replace(look.worth, q=tuple(replace(estimate, mean=0.0) for estimate in look.worth.q))
    assert "no token is better than another" in READINGS["advantage"](replace(look, worth=nothing))[0]
    panel.set("lens", "value")
    assert words(panel).startswith("The critic has not learned yet: it predicts 0 everywhere. V is")


def test_where_nobody_knows_sampling_is_offered_and_its_numbers_carry_errors(large: StepperPanel, small: World) -> None:
    assert "Press Sample Q" in words(large)
    assert bar_numbers(large) == {label: [] for label in bar_numbers(large)}
    large.set("strip", 1)
    run(large, "sample")
    assert kinds(large) == ["monte-carlo"]
    tree = exact(small, "a")
    found = candidates(small, "a", (0,), large.stepper.state_at(1).candidate_ids, "monte-carlo", samples=200)
    assert numbers(words(large, "left-value"))[:2] == [shown(found.value.mean), shown(found.value.standard_error)]
    for place, (q, q_error, a, _) in enumerate(bar_numbers(large).values()):
        assert (q, q_error) == (shown(found.q[place].mean), shown(found.q[place].standard_error))
        assert q - a == pytest.approx(shown(found.value.mean), abs=1e-9)
        truth = tree.Q((0,))[found.token_ids[place]].item()
        assert abs(found.q[place].mean - truth) <= 4.9 * found.q[place].standard_error + 1e-9
    assert lines(large, "curves")["V Monte-Carlo"] == [found.value.mean]
    at = found.token_ids.index(2)  # what was written there
    assert ("chance; sample more" in words(large)) == (abs(found.advantages[at]) <= 3 * found.errors[at])
    assert numbers(words(large))[-1] == shown(found.errors[at])
    for place, item in enumerate(large.component("bars")["items"]):
        assert (item["extra"][1].get("tone") == "dim") == (not found.is_sure(place))
    large.set("strip", 0)
    assert "Press Sample Q" in words(large)
    large.set("strip", 1)
    assert kinds(large) == ["monte-carlo"]  # kept
    sent(large)


def test_all_others_are_one_row_and_all_advantages_cancel(large: StepperPanel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rllab.widgets.stepper_captions.SHOWN_BARS", 3)
    large.set("strip", 0)
    run(large, "sample")
    state = large.stepper.state_at(0)
    found = large.worth.candidates(large.stepper, 0, state.candidate_ids[:3])
    assert found is not None
    assert "all others" in bar_numbers(large)
    assert bar_numbers(large)["all others"][0] == shown(found.others.mean)
    total = sum(p * a for p, a in zip(found.probs, found.advantages, strict=True))
    assert total + found.other_prob * (found.others.mean - found.value.mean) == pytest.approx(0, abs=1e-12)


def test_at_another_temperature_no_value_is_shown(panel: StepperPanel) -> None:
    panel.set("temperature", "0.5")
    assert words(panel).startswith("Values are defined at temperature 1, but these bars are for 0.5")
    assert not panel.has("compare")
    assert bar_numbers(panel) == {label: [] for label in bar_numbers(panel)}
    panel.set("strip", 1)  # that token was drawn at 1
    assert "Q " in words(panel)


def test_what_if_draws_two_histograms_and_its_sentence(panel: StepperPanel, small: World) -> None:
    panel.set("strip", 1)
    panel.set("first", "3")
    panel.set("second", "0")
    run(panel, "compare")
    expected = what_if(small, "a", (0,), (3, 0), samples=64, seed=0)
    assert words(panel).startswith(expected.sentence.replace(" -", " \u2212"))
    q = exact(small, "a").Q((0,))
    assert numbers(words(panel))[-2:] == [shown(float(q[token])) for token in (3, 0)]
    assert [sum(trace["y"]) for trace in panel.component("histograms")["figure"]["data"]] == [64, 64]
    assert kinds(panel) == ["exact", "monte-carlo"]
    panel.set("strip", 0)
    assert not panel.has("histograms")
    panel.set("strip", 1)
    assert panel.has("histograms")
    panel.set("second", "3")
    panel.press("compare")
    assert "two different" in panel.alert


@pytest.mark.parametrize("key", ["sample", "compare"])
def test_stop_ends_long_work_within_a_second_and_leaves_everything(large: StepperPanel, key: str) -> None:
    policy = large.stepper.world.policy
    hook = policy.model.register_forward_pre_hook(lambda *_: time.sleep(0.2))  # long enough on any machine
    before = {name: spec for name, spec in sent(large).items() if name not in {"c_alert", "c_time"}}
    try:
        large.press(key)
        large.refresh()
        assert large.component(key)["disabled"]
        assert large.component("step")["disabled"]
        began = time.monotonic()
        large.press("stop")
        assert large.job is not None
        assert large.job.settle(5)
        assert time.monotonic() - began < SOON
    finally:
        hook.remove()
    large.refresh()
    assert {name: spec for name, spec in sent(large).items() if name not in {"c_alert", "c_time"}} == before


@pytest.mark.parametrize(
    ("key", "value", "said"), [("samples", "0", "from 2"), ("samples", "x", "x"), ("first", "77", "77")]
)
def test_bad_input_is_a_sentence_and_changes_nothing(panel: StepperPanel, key: str, value: str, said: str) -> None:
    before = {name: spec for name, spec in sent(panel).items() if name not in {"c_alert", "c_time"}}
    panel.set(key, value)
    assert said in panel.alert
    assert {name: spec for name, spec in sent(panel).items() if name not in {"c_alert", "c_time"}} == before


def test_a_line_that_is_older_than_the_policy_is_not_valued(small: World) -> None:
    policy = small.policy.copy()
    panel = begun(small.replace(policy=policy))
    policy.changed()
    panel.refresh()
    assert not panel.has("compare")
    assert "Reset" in words(panel, "stale")
    assert panel.alert == ""


def test_the_tree_has_a_lane_per_line_and_a_click_goes_there(panel: StepperPanel) -> None:
    assert not panel.has("branches")
    panel.set("strip", 1)
    panel.set("bars", 3)  # leaves the first line after one token
    panel.set("bars", 0)
    panel.set("strip", 2)
    panel.set("bars", 1)  # leaves the second line after two
    texts = [branch.stepper.prefix_ids for branch in panel.lines.branches]
    assert texts == [(0, 2, 1), (0, 3, 0), (0, 3, 1)]
    data = panel.component("branches")["figure"]["data"]
    assert [trace["x"] for trace in data[1:]] == [[0, 1, 2, 3], [2, 3], [3]]
    panel.set("branches", {"curve": 2, "point": 0})
    assert (panel.lines.here, panel.selected, panel.stepper.prefix_ids) == (1, 2, (0, 3, 0))
    panel.set("branches", {"curve": 1, "point": 3})
    assert (panel.lines.here, panel.selected) == (0, 3)
    path = panel.component("branches")["figure"]["data"][0]
    assert path["y"] == [0, 0, 0, 0]
    panel.set("branches", {"curve": 9, "point": 0})
    assert panel.lines.here == 0
    panel.press("reset")
    assert not panel.has("branches")


def test_a_bar_that_was_written_before_leads_there_and_writes_nothing_twice(panel: StepperPanel) -> None:
    panel.set("strip", 1)
    panel.set("bars", 2)  # what stands there already
    assert (len(panel.lines), panel.selected, panel.stepper.prefix_ids) == (1, 2, (0, 2, 1))


def test_the_tree_is_read_from_the_texts_as_they_are(tabular_lines: BranchTree) -> None:
    laid = [(row.number, row.above, row.at, [step.token_id for step in row.steps]) for row in tabular_lines.rows()]
    assert laid == [(0, None, 0, [3, 5, 3]), (1, 0, 2, [6]), (2, 0, 1, [4])]
    tabular_lines.go_to(0)
    for _ in range(2):
        tabular_lines.stepper.back()
    tabular_lines.stepper.step(4)  # now as line 2 begins
    laid = [(row.number, row.above, row.at, [step.token_id for step in row.steps]) for row in tabular_lines.rows()]
    assert laid == [(0, None, 0, [3, 4]), (2, 0, 2, []), (1, 0, 1, [5, 6])]


@pytest.fixture
def tabular_lines(micro: World) -> BranchTree:
    found = BranchTree(Stepper(micro))
    for token in (3, 5, 3):
        found.stepper.step(token)
    found.branch(2, 6)
    found.go_to(0)
    found.branch(1, 4)
    return found


def test_beyond_a_dozen_lines_the_oldest_that_leads_nowhere_is_forgotten(micro: World) -> None:
    found = BranchTree(Stepper(micro))
    for token in (3, 5):
        found.stepper.step(token)
    for t in (0, 1):
        for token in range(8):
            found.go_to(0)
            found.branch(t, token)
    assert len(found) == MOST
    assert found.branches[0].number == 0
    assert found.stepper.prefix_ids == (3, 7)
    assert [branch.number for branch in found.branches[1:]] == list(range(found.branches[1].number, 15))
    with pytest.raises(LabError, match="line is 1: choose one of 0, "):
        found.go_to(1)


def test_the_critic_reads_one_column_a_candidate_however_long_the_line_is(micro: World) -> None:
    seen: list[tuple[int, ...]] = []
    critic = micro.critic.copy()
    critic.model.base_model.register_forward_pre_hook(  # type: ignore[attr-defined]
        lambda _, __, inputs: seen.append(tuple(inputs["input_ids"].shape)), with_kwargs=True
    )
    panel = StepperPanel(Stepper(micro.replace(critic=critic)), lenses=("advantage",))
    for token in (3, 5, 1):
        panel.stepper.step(token)
    seen.clear()
    lookahead(panel.stepper, 3, (1, 2))
    assert seen == [(8, 1)]


def test_nothing_to_ask_where_the_line_is_over(panel: StepperPanel, small: World) -> None:
    panel.stepper.step(small.policy.eos_id)
    panel.selected = 4
    panel.refresh()
    assert not panel.has("compare")
    assert "nothing follows" in words(panel)
    earned, usual, total, *rounded = numbers(words(panel))
    assert earned - usual == pytest.approx(total)
    assert usual == shown(exact(small, "a").J)
    deltas = [numbers(item["n"])[0] for item in panel.component("strip")["items"]]
    assert sum(deltas) == pytest.approx(rounded[0] if rounded else total)


def test_the_sentence_speaks_of_what_was_sampled_last(large: StepperPanel) -> None:
    run(large, "compare")
    assert "brings" in words(large)
    run(large, "sample")
    assert large.has("histograms")
    assert "brings" not in words(large)
    assert numbers(words(large))[0] == numbers(words(large, "left-value"))[0]
