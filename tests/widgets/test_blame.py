"""The blame game's panel without a browser."""

import pytest

from rllab import World
from rllab.course.exercises.blame import good_text, rerolls_needed
from rllab.reward.reward import TextReward
from rllab.widgets import BlamePanel
from tests.widgets.panels import sent, words


def no_sadness(world: World) -> TextReward:
    def judge(prompt: str, response: str, *, ended: bool) -> dict[str, float]:
        return {"sad": -float(response.split().count("sad"))}

    return TextReward("no sad words", judge, world.policy.decode, {"sad": 1.0})


@pytest.fixture
def panel(micro: World) -> BlamePanel:
    return BlamePanel(micro, judge=no_sadness(micro), tokens=4)


def test_words_are_hidden_until_asked_for(panel: BlamePanel) -> None:
    shown = [item["t"] for item in panel.component("strip")["items"]]
    assert shown == [str(at + 1) for at in range(len(panel.game.tokens))]
    assert all(word not in str(sent(panel)["c_strip"]) for word in panel.game.tokens)
    panel.press("words")
    assert [item["t"] for item in panel.component("strip")["items"]] == list(panel.game.tokens)


def test_finer_scores_point_at_the_flaw(panel: BlamePanel) -> None:
    assert "may have spoilt it" in words(panel)
    panel.set("timing", "token")
    paid = [item.get("n", "") for item in panel.component("strip")["items"]]
    sad = [at for at, word in enumerate(panel.game.tokens) if word == "sad"]
    assert panel.game.flaw in sad
    assert [at for at, number in enumerate(paid) if number] == sad
    assert paid[panel.game.flaw] == "\u22121.00"
    assert rerolls_needed(panel.game) <= len(sad) < len(panel.game.tokens)


def test_buying_and_accusing(panel: BlamePanel) -> None:
    innocent = (panel.game.flaw + 1) % len(panel.game.tokens)
    panel.set("strip", innocent)
    panel.press("reroll")
    assert len(panel.component("bought")["rows"]) == 1
    panel.press("accuse")
    assert "is innocent" in words(panel)
    panel.set("strip", panel.game.flaw)
    panel.press("accuse")
    assert words(panel).startswith("Yes:")
    assert panel.component("accuse")["disabled"]
    assert panel.shown
    panel.press("new")
    assert not panel.shown
    assert panel.game.rerolls == []


def test_a_good_text_is_chosen_by_the_judge(micro: World) -> None:
    prompt, response = good_text(micro, judge=micro.gold, tokens=4)
    assert prompt in micro.prompts
    assert 2 <= len(response.split()) <= 4
