"""The exact tree's panel without a browser: the numbers on the screen add up."""

import time

import pytest
import torch

from rllab import LabError, World, ZeroCritic
from rllab.core.jobs import Job
from rllab.plots.text import apportioned
from rllab.truth import exact
from rllab.widgets import ExactTreePanel
from tests.fakes import fake_policy
from tests.patience import SOON
from tests.truth.trees import tree_world
from tests.widgets.panels import lines, numbers, sent, shown, words

PREFIXES = [(), (3,), (3, 1), (1, 2, 5)]


@pytest.fixture
def panel() -> ExactTreePanel:
    made = ExactTreePanel(tree_world(words=6, horizon=4, seed=1, kl_coef=0.2, timing="token"))
    assert made.alert == ""
    return made


def rows(panel: ExactTreePanel) -> list[list[str]]:
    return [[cell["text"] for cell in row] for row in panel.component("backup")["rows"]]


def number(text: str) -> float:
    return float(text.replace("\u2212", "-"))


def walk(panel: ExactTreePanel, prefix: tuple[int, ...]) -> None:
    for token in prefix:
        panel.set("bars", token)
        assert panel.alert == ""


@pytest.mark.parametrize("prefix", PREFIXES)
def test_every_row_adds_up_as_written_and_is_the_truth(panel: ExactTreePanel, prefix: tuple[int, ...]) -> None:
    walk(panel, prefix)
    tree = exact(panel.world, panel.prompt)
    value = number(rows(panel)[-1][6].removeprefix("V "))
    assert value == pytest.approx(tree.V(prefix), abs=0.00501)
    shares = 0.0
    names = {panel.world.policy.token_text(token): token for token in range(panel.world.policy.vocabulary)}
    for name, prob, reward, price, behind, q, share, advantage in rows(panel)[:-1]:
        assert number(q) == pytest.approx(float(tree.Q(prefix)[names[name]]), abs=0.00501)
        assert number(q) == pytest.approx(number(reward) + number(price) + number(behind), abs=1e-9)
        assert number(q) - number(advantage) == pytest.approx(value, abs=1e-9)
        assert prob == "<0.01" or number(prob) == pytest.approx(float(tree.pi(prefix)[names[name]]), abs=0.00501)
        shares += number(share)
    assert shares == pytest.approx(value, abs=1e-9)
    assert rows(panel)[-1][7].endswith("= 0.00")


@pytest.mark.parametrize("prefix", PREFIXES)
def test_bars_table_picture_and_sentence_say_the_same(panel: ExactTreePanel, prefix: tuple[int, ...]) -> None:
    walk(panel, prefix)
    table = {row[0]: (row[5], row[7]) for row in rows(panel)[:-1]}
    for item in panel.component("bars")["items"]:
        q, advantage = (span["text"].split()[1] for span in item["extra"])
        assert table[item["label"]] == (q, advantage)
    for at, chip in enumerate(panel.component("strip")["items"]):
        tree = exact(panel.world, panel.prompt)
        expected = shown(shown(float(tree.Q(prefix[:at])[prefix[at]])) - shown(tree.V(prefix[:at])))
        assert number(chip["n"]) == expected
    curves = lines(panel, "tree")
    tree = exact(panel.world, panel.prompt)
    assert curves["V of the state"] == [round(tree.V(prefix[:at]), 2) + 0.0 for at in range(len(prefix) + 1)]
    first = curves["Q of likeliest number 1"][len(prefix)]
    assert first == number(rows(panel)[0][5])
    best = max(table.values(), key=lambda pair: number(pair[0]))
    assert numbers(words(panel))[:3] == [number(rows(panel)[-1][6].removeprefix("V ")), *map(number, best)]


def test_the_gap_at_the_prompt_is_the_price_of_the_distance(panel: ExactTreePanel) -> None:
    tree = exact(panel.world, panel.prompt)
    gap = tree.objective.kl_coef * tree.kl(tree.optimum())
    assert f"the gap of {gap:.2f}" in words(panel)


def test_a_click_on_a_dot_goes_to_that_action(panel: ExactTreePanel) -> None:
    panel.set("tree", {"curve": 1, "point": 0})
    likeliest = int(exact(panel.world, panel.prompt).pi(()).argmax())
    assert panel.prefix == (likeliest,)
    panel.set("tree", {"curve": 2, "point": 0})  # another branch of an earlier state
    assert len(panel.prefix) == 1
    assert panel.prefix != (likeliest,)
    panel.set("tree", {"curve": 0, "point": 0})
    assert panel.prefix == ()
    panel.set("tree", {"curve": 99, "point": 7})
    assert panel.prefix == ()


def test_chips_and_buttons_go_back(panel: ExactTreePanel) -> None:
    walk(panel, (3, 1, 2))
    panel.press("back")
    assert panel.prefix == (3, 1)
    panel.set("strip", 1)
    assert panel.prefix == (3,)
    panel.press("start")
    assert panel.prefix == ()
    assert panel.component("back")["disabled"]


def test_where_the_response_is_over_nothing_follows(panel: ExactTreePanel) -> None:
    walk(panel, (3, panel.world.policy.eos_id))
    assert not panel.has("bars")
    assert "V = 0" in words(panel, "over")
    sent(panel)


def test_other_prompts_and_worlds(micro: World) -> None:
    panel = ExactTreePanel(micro)
    panel.set("prompt", micro.prompts[1])
    assert panel.tree is not None
    assert panel.tree.prompt == micro.prompts[1]
    panel.set("world", "micro-tabular")
    assert panel.alert == ""
    assert panel.tree.policy is panel.world.policy
    panel.set("prompt", "no such prompt")
    assert "not one of the choices" in panel.alert


@pytest.fixture
def large(micro: World) -> ExactTreePanel:
    """Return the panel on a world of four tokens and twenty steps, which cannot be read whole."""
    policy = fake_policy("a", "b", "c", at=torch.linspace(0.0, 3.0, 256).reshape(64, 4))
    world = micro.replace(policy=policy, reference=policy, prompts=("a b",), critic=ZeroCritic(), max_new_tokens=20)
    made = ExactTreePanel(world)
    settle(made)
    return made


def settle(panel: ExactTreePanel) -> None:
    assert panel.job is not None
    assert panel.job.settle(60)
    panel.refresh()


def test_a_large_world_is_cut_and_labelled_so(large: ExactTreePanel) -> None:
    tree = exact(large.world, large.prompt, top_k=3, horizon=4)
    assert large.tree is not None
    assert large.tree.V(()) == tree.V(())
    assert [badge["text"] for badge in large.component("badges")["badges"]] == ["exact under top-k and horizon"]
    assert words(large, "cut-note").startswith("exact under top-k 3, horizon 4: only the 3 most likely tokens")
    assert sum(item["number"] != "" for item in large.component("bars")["items"]) == 3
    values = [number(row[1]) for row in rows(large)]
    assert sum(values[:-1]) == pytest.approx(1.0, abs=0.02)


def test_another_cut_is_another_truth(large: ExactTreePanel) -> None:
    large.set("top-k", "2")
    settle(large)
    large.set("horizon", "6")
    settle(large)
    assert large.tree is not None
    assert large.tree.J == exact(large.world, large.prompt, top_k=2, horizon=6).J
    large.set("horizon", "0")
    assert "choose from 1 to 20" in large.alert
    large.set("top-k", "5")
    assert "choose from 1 to 4, or 0 for all" in large.alert
    assert large.component("horizon")["value"] == "6"


def test_a_tree_that_is_too_large_is_refused_and_the_one_before_stays(large: ExactTreePanel) -> None:
    before, shown = large.tree, words(large)
    large.set("horizon", "20")
    assert "too large to enumerate" in large.alert
    assert large.tree is before
    assert words(large) == shown
    assert large.component("horizon")["value"] == "4"
    assert large.component("cut-note")["spans"][0]["text"].startswith("exact under top-k 3, horizon 4")


def test_a_small_world_is_whole_until_it_is_cut(panel: ExactTreePanel) -> None:
    assert words(panel, "cut-note") == "exact: every response is read"
    panel.set("horizon", "2")
    settle(panel)
    assert words(panel, "cut-note") == "exact under horizon 2: a text longer than 2 tokens ends there"
    walk(panel, (3, 1))
    assert "cut off here" in words(panel, "over")
    panel.set("horizon", "4")
    assert not panel.busy
    assert [badge["text"] for badge in panel.component("badges")["badges"]] == ["exact"]


def test_progress_counts_the_states(panel: ExactTreePanel) -> None:
    seen: list[tuple[int, int, str]] = []
    tree = exact(panel.world, panel.prompt, top_k=2, horizon=3, job=Job(report=lambda *at: seen.append(at)))
    done = [at[0] for at in seen]
    assert done == sorted(done)
    assert tree.states <= done[-1] <= seen[-1][1]


def test_reading_a_larger_tree_runs_in_the_background() -> None:
    panel = ExactTreePanel(tree_world(words=6, horizon=6))
    assert panel.job is not None
    assert panel.job.settle(60)
    assert panel.alert == ""
    assert panel.tree is not None
    assert len(panel.tree.leaves) == 55_987


def test_stop_ends_the_reading_of_a_tree_within_a_second() -> None:
    world = tree_world(words=6, horizon=6)
    world.policy.model.register_forward_pre_hook(lambda *_: time.sleep(0.3))
    panel = ExactTreePanel(world)
    panel.refresh()
    assert panel.component("grow")["disabled"]
    began = time.monotonic()
    panel.press("stop")
    assert panel.job is not None
    assert panel.job.settle(5)
    assert time.monotonic() - began < SOON
    assert panel.alert == ""
    assert panel.tree is None
    panel.refresh()
    assert not panel.component("grow")["disabled"]


def test_many_actions_leave_a_row_for_all_others() -> None:
    panel = ExactTreePanel(tree_world(words=11, horizon=2, kl_coef=0.3, gamma=0.9, timing="token"))
    assert rows(panel)[8][0] == "all others"
    assert len(panel.component("bars")["items"]) == 8
    shares = sum(number(row[6]) for row in rows(panel)[:-1])
    assert shares == pytest.approx(number(rows(panel)[-1][6].removeprefix("V ")), abs=1e-9)
    for row in rows(panel)[:-1]:
        assert sum(map(number, row[2:5])) == pytest.approx(number(row[5]), abs=1e-9)


def test_rounded_parts_add_up_to_the_rounded_total() -> None:
    assert apportioned([0.004, 0.004, 0.004], 0.012) == [0.01, 0.0, 0.0]
    assert sum(apportioned([-0.125, 0.333, 0.0], 0.208)) == pytest.approx(0.21)
    assert apportioned([], 0.0) == []


def test_a_prompt_that_cannot_be_read_is_refused(micro: World) -> None:
    panel = ExactTreePanel(micro, prompt="zebra")
    assert "zebra" in panel.alert
    with pytest.raises(LabError):
        panel.world.policy.encode("zebra")
