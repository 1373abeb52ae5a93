"""The token stepper without a browser: what it does, and that its words quote what it draws."""

import dataclasses
import math

import pytest
import torch

from rllab import LabError, Stepper, World, ZeroCritic
from rllab.plots.text import probability
from rllab.policy.generation import sequences_from_ids
from rllab.widgets import StepperPanel
from rllab.widgets.shared.line import candidates, read_line
from tests.fakes import fake_policy
from tests.widgets.panels import lines, numbers, sent, shown, words

LENSES = ("policy", "reward", "value")


@pytest.fixture
def panel(micro: World) -> StepperPanel:
    return StepperPanel(micro, lenses=LENSES)


def write(panel: StepperPanel, *tokens: str) -> None:
    """Force tokens by name at the end of the line."""
    names = {
        panel.stepper.world.policy.token_text(token): token for token in range(panel.stepper.world.policy.vocabulary)
    }
    for token in tokens:
        panel.set("bars", names[token])
        assert panel.alert == ""


def chips(panel: StepperPanel) -> list[str]:
    return [item["t"] for item in panel.component("strip")["items"]]


def test_lenses_are_known_and_the_last_is_looked_through(micro: World) -> None:
    with pytest.raises(LabError, match="valu"):
        StepperPanel(micro, lenses=("policy", "valu"))
    with pytest.raises(LabError, match="at least one"):
        StepperPanel(micro, lenses=())
    alone = StepperPanel(micro)
    assert not alone.has("lens")
    assert StepperPanel(micro, lenses=("policy", "reward")).component("lens")["value"] == "reward"


def test_a_stepper_of_ones_own_is_shown_as_it_is(micro: World) -> None:
    stepper = Stepper(micro, seed=3)
    written = stepper.step()
    panel = StepperPanel(stepper)
    assert panel.stepper is stepper
    assert chips(panel) == [written.token]


def test_step_back_step_writes_the_same_token(panel: StepperPanel) -> None:
    panel.press("step")
    first = chips(panel)
    panel.press("back")
    assert chips(panel) == []
    panel.press("step")
    assert chips(panel) == first


def test_buttons_are_off_where_they_can_do_nothing(panel: StepperPanel) -> None:
    assert panel.component("back")["disabled"]
    write(panel, "<eos>")
    assert panel.component("step")["disabled"]
    assert panel.component("finish")["disabled"]
    assert not panel.has("left-note")  # nothing can follow, so there are no bars
    panel.press("back")
    assert not panel.component("step")["disabled"]


def test_a_bar_forces_at_the_end_and_branches_in_the_past(panel: StepperPanel) -> None:
    write(panel, "is", "very")
    assert [item.get("f") for item in panel.component("strip")["items"]] == [True, True]
    panel.set("strip", 1)
    assert "new line" in words(panel, "left-note")
    write(panel, "not")
    assert chips(panel) == ["is", "not"]
    assert panel.selected == 2
    assert len(panel.lines) == 2
    panel.set("line", "0")
    assert chips(panel) == ["is", "very"]


def test_bars_are_the_policy_and_sum_to_one(panel: StepperPanel) -> None:
    panel.press("step")
    panel.set("strip", 0)
    state = panel.stepper.state_at(0)
    full = float(words(panel, "left-note").split("full width: ")[1].split(" ")[0])
    for item, probs in zip(panel.component("bars")["items"], state.probs.tolist(), strict=True):
        assert item["number"] == probability(probs)
        assert item["width"] == pytest.approx(probs / full, abs=1e-3)
    places, rest = candidates(state, count=3)
    assert len(places) == 3
    assert float(state.probs[:3].sum()) + rest[0] == pytest.approx(1)
    assert float(state.ref_probs[:3].sum()) + rest[2] == pytest.approx(1)


def test_all_others_take_the_rest_and_the_written_token_is_always_shown(panel: StepperPanel) -> None:
    state = panel.stepper.state
    places, rest = candidates(state, count=2, also=[state.candidate_ids[-1]])
    assert places == [0, 1, len(state.candidate_ids) - 1]
    assert rest[0] == pytest.approx(1 - float(state.probs[places].sum()))


def test_a_written_token_beyond_the_shown_candidates_keeps_its_bar(micro: World) -> None:
    words_ = [f"w{number}" for number in range(700)]
    policy = fake_policy(*words_, at=torch.randn(64, 701, generator=torch.Generator().manual_seed(0)) * 3)
    panel = StepperPanel(micro.replace(policy=policy, reference=policy, prompts=("w1 w2",), critic=ZeroCritic()))
    unlikely = int(policy.logits(sequences_from_ids(policy, ["w1 w2"], [[0]]), temperature=1.0)[0, 0].argmin())
    panel.stepper.step(unlikely)
    panel.set("strip", 0)
    shown = panel.component("bars")
    assert shown["items"][-1]["label"] == f"w{unlikely}"
    assert shown["items"][-1]["number"] == "<0.01"
    assert panel.component("strip")["items"][0]["n"] == "<0.01"
    full = float(words(panel, "left-note").split("full width: ")[1].split(" ")[0])
    total = sum(item["width"] * full for item in shown["items"])
    rest = 1 - total
    assert shown["rest"]["number"] == probability(rest) or abs(float(shown["rest"]["number"]) - rest) < 0.011
    assert shown["rest"]["width"] == (pytest.approx(rest / full, abs=0.01) if rest <= full else 0)


def test_filters_show_what_the_sampler_uses_instead(panel: StepperPanel) -> None:
    panel.set("top-k", "2")
    inner = [item["inner"] for item in panel.component("bars")["items"]]
    assert [width > 0 for width in inner] == [True, True] + [False] * (len(inner) - 2)
    assert "thin: what is sampled from" in words(panel, "left-note")
    panel.set("top-k", "0")
    assert all("inner" not in item for item in panel.component("bars")["items"])
    assert "thin" not in words(panel, "left-note")


def test_the_policy_sentence_quotes_the_bars_and_the_curve(panel: StepperPanel) -> None:
    panel.set("lens", "policy")
    bars = panel.component("bars")["items"]
    quoted = numbers(words(panel))
    assert quoted[:2] == [float(bars[0]["number"]), float(bars[1]["number"])]
    entropy = lines(panel, "curves")["entropy"][0]
    assert entropy is not None
    assert quoted[2] == shown(entropy)
    assert quoted[3] == pytest.approx(math.exp(entropy), abs=0.05)
    write(panel, "not")
    panel.set("strip", 0)
    bar = next(item for item in panel.component("bars")["items"] if item["extra"])
    assert bar["label"] == "not"
    assert bar["number"] == panel.component("strip")["items"][0]["n"]
    assert numbers(words(panel))[0] == float(bar["number"])
    assert words(panel).startswith("You wrote not here")


def test_the_reward_sentence_quotes_dots_and_chips(panel: StepperPanel) -> None:
    write(panel, "is", "not", "sad")
    panel.set("lens", "reward")
    (dots,) = lines(panel, "curves").values()
    panel.set("strip", 2)
    assert numbers(words(panel))[:2] == [shown(dots[1]), shown(dots[2])]
    assert "pays at the end" in words(panel)
    panel.set("show", "change")
    change = numbers(panel.component("strip")["items"][2]["n"])[0]
    assert change == shown(shown(dots[2]) - shown(dots[1]))
    assert "divergence" not in words(panel)
    panel.set("strip", 3)
    assert numbers(words(panel))[0] == shown(dots[2])


def test_the_value_sentence_quotes_the_curve(panel: StepperPanel) -> None:
    write(panel, "is", "not", "sad")
    values = lines(panel, "curves")["V learned"]
    for at in range(3):
        panel.set("strip", at)
        before, after = shown(values[at]), shown(values[at + 1])
        assert numbers(words(panel))[:2] == [before, after]
        assert numbers(panel.component("strip")["items"][at]["n"]) in ([shown(after - before)], [])
        assert "no reward was paid for it" in words(panel)
    panel.set("strip", 3)
    assert numbers(words(panel))[0] == shown(values[3])
    assert panel.component("badges")["badges"] == [{"kind": "learned", "text": "learned"}]
    assert panel.stepper.world.objective.describe() in words(panel)


def test_probabilities_are_exact_and_a_reward_model_s_scores_learned(panel: StepperPanel) -> None:
    for lens, kind in (("policy", "exact"), ("reward", "learned"), ("value", "learned")):
        panel.set("lens", lens)
        assert [badge["kind"] for badge in panel.component("badges")["badges"]] == [kind]


def test_after_the_end_there_is_no_value(panel: StepperPanel) -> None:
    write(panel, "is", "sad", "<eos>")
    assert lines(panel, "curves")["V learned"][-1] is None
    assert "nothing follows" in words(panel)
    assert panel.component("strip")["items"][-1]["n"] == "\u2013"
    sent(panel)


@pytest.mark.parametrize("timing", ["end", "sentence", "token"])
def test_what_is_paid_sums_to_the_score_of_a_finished_line(micro: World, timing: str) -> None:
    world = micro.replace(objective=dataclasses.replace(micro.objective, timing=timing))
    stepper = Stepper(world)
    for token in stepper.world.policy.encode("is not sad very")[:4]:
        stepper.step(token)
        line = read_line(stepper, scored=True)
        unfinished = sum(one.paid for one in line.written)
        assert unfinished == pytest.approx(0.0 if timing == "end" else line.score if timing == "token" else unfinished)
    stepper.step(world.policy.eos_id)
    line = read_line(stepper, scored=True)
    score = float(world.reward.score(stepper.sequences()).total[0])
    assert sum(one.paid for one in line.written) == pytest.approx(score)
    kl = sum(one.kl for one in line.written)
    assert sum(one.reward for one in line.written) == pytest.approx(score - world.objective.kl_coef * kl)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("prompt", "", "Prompt"),
        ("prompt", "cat zebra", "zebra"),
        ("prompt", "cat is " * 60, "Prompt"),
        ("temperature", "0", "temperature"),
        ("temperature", "-1", "temperature"),
        ("temperature", "nan", "temperature"),
        ("temperature", "warm", "warm"),
        ("top-k", "-1", "top-k"),
        ("top-k", "1.5", "top-k"),
        ("top-p", "0", "top-p"),
        ("top-p", "1.1", "top-p"),
        ("seed", "-1", "seed"),
        ("seed", str(2**70), "seed"),
        ("bars", 99, "99"),
        ("strip", 9, "9"),
        ("world", "mikro", "mikro"),
    ],
)
def test_bad_input_is_a_sentence_and_changes_nothing(panel: StepperPanel, key: str, value: object, said: str) -> None:
    write(panel, "is")
    before = {name: spec for name, spec in sent(panel).items() if name not in {"c_alert", "c_time"}}
    panel.set(key, value)
    assert said in panel.component("alert")["text"]
    assert {name: spec for name, spec in sent(panel).items() if name not in {"c_alert", "c_time"}} == before
    panel.press("step")
    assert panel.alert == ""


def test_a_line_that_is_older_than_the_policy_says_so(micro: World) -> None:
    policy = micro.policy.copy()
    panel = StepperPanel(micro.replace(policy=policy))
    panel.press("step")
    assert not panel.has("stale")
    policy.changed()
    panel.refresh()
    assert "learned since" in words(panel, "stale")
    panel.press("step")
    assert panel.alert.startswith("line is 'older than the policy': ")
    panel.press("reset")
    assert (panel.alert, panel.has("stale")) == ("", False)


@pytest.mark.parametrize("key", ["step", "five", "finish", "a bar"])
def test_a_line_with_nothing_on_it_begins_anew_with_the_policy_of_now(micro: World, key: str) -> None:
    """The tour's last stepper is drawn before anything is trained, and used afterwards."""
    policy = micro.policy.copy()
    panel = StepperPanel(micro.replace(policy=policy))
    policy.changed()
    if key == "a bar":
        panel.write(panel.stepper.world.policy.encode("happy")[0])
    else:
        panel.press(key)
    if panel.job is not None:
        assert panel.job.settle(20)
    assert (panel.alert, panel.stepper.stale, bool(panel.stepper.steps)) == ("", False, True)


def test_new_seeds_and_other_prompts_begin_again(panel: StepperPanel, micro: World) -> None:
    panel.press("five")
    panel.press("new-seed")
    assert (panel.stepper.seed, chips(panel)) == (1, [])
    panel.press("other")
    assert panel.component("prompt")["value"] == micro.prompts[1]
    panel.press("other")
    panel.press("other")
    assert panel.component("prompt")["value"] == micro.prompts[0]


def test_finish_runs_in_the_background_to_the_end(panel: StepperPanel) -> None:
    panel.press("finish")
    assert panel.job is not None
    assert panel.job.settle(20)
    assert panel.stepper.done
    assert panel.component("stop")["disabled"]
    assert panel.component("strip")["next"] == "the end of the line"
    assert panel.selected == len(panel.stepper.steps)


def test_another_world_and_back_to_the_one_that_was_given(panel: StepperPanel, micro: World) -> None:
    panel.set("world", "micro-tabular")
    assert panel.alert == ""
    assert panel.stepper.world.name == "micro-tabular"
    panel.press("step")
    panel.set("world", "micro")
    assert panel.stepper.world is micro


def test_everything_it_sends_is_strict_json_and_a_click_is_small(panel: StepperPanel) -> None:
    for lens in LENSES:
        panel.set("lens", lens)
        panel.press("reset")
        for _ in range(3):
            sent(panel)
            panel.press("step")
        sent(panel)
    assert len(str(sent(panel)["c_strip"])) < 2000
