"""The reward panel without a browser: prefix scores, payments that add up as written, edits, gold on request."""

import pytest
import torch

from rllab import Sequences, World, load_world
from rllab.policy.generation import generate
from rllab.reward.judges import happy_words
from rllab.reward.reward import per_token_scores
from rllab.reward.shaping import Redistributed, WeightedSum, even_shares
from rllab.widgets import RewardPanel
from rllab.worlds.responses import TIMINGS, contrasts, kind_of, read, response_from_ids
from tests.widgets.panels import lines, numbers, sent, shown, words

TEXT = "is not happy"


@pytest.fixture(scope="module")
def tales() -> World:
    return load_world("tales")


def response_of(world: World, prompt: str, text: str) -> Sequences:
    return response_from_ids(world, prompt, world.policy.encode_response(text))


@pytest.fixture
def panel(micro: World) -> RewardPanel:
    made = RewardPanel(micro)
    made.set("response", TEXT)
    assert made.alert == ""
    return made


def chip_numbers(panel: RewardPanel) -> list[float]:
    """Return the labels below the tokens; a dash means no reward."""
    return [numbers(chip["n"])[0] if chip["n"] != "\u2013" else 0.0 for chip in panel.component("strip")["items"]]


def test_every_prefix_is_scored_as_a_text_of_its_own(tales: World) -> None:
    """Parts of a prefix come from scoring it alone; prefix scores from one pass: they have to agree."""
    rows = generate(tales.policy, tales.prompts[:3], max_new_tokens=40, seed=4)
    assert tales.gold is not None
    for row in range(3):
        response = response_from_ids(tales, rows.prompts[row], rows.response_ids(row))
        found = read(tales, tales.gold, response)
        assert set(found.parts) == {"mood", "grammar", "coherence", "story", "repetition"}
        for at, score in enumerate(found.prefix_scores):
            assert sum(part[at] for part in found.parts.values()) == pytest.approx(score, abs=1e-9)
        assert found.prefix_scores[-1] == pytest.approx(found.total, abs=1e-9)


@pytest.mark.parametrize("name", ["micro", "tales"])
def test_increments_sum_to_the_total_under_every_timing_and_levels_do_not(
    name: str, micro: World, tales: World
) -> None:
    world = micro if name == "micro" else tales
    rows = generate(world.policy, world.prompts[:3], max_new_tokens=world.max_new_tokens, seed=1)
    assert world.gold is not None
    mixed = WeightedSum("mixed", [(0.5, world.reward), (2.0, world.gold)])
    for row in range(3):
        response = response_from_ids(world, rows.prompts[row], rows.response_ids(row))
        for reward in (world.reward, world.gold, mixed, *contrasts(world)):
            found = read(world, reward, response)
            for timing in TIMINGS:
                assert sum(found.paid[timing]) == pytest.approx(found.total, abs=1e-4)
                scores = torch.tensor([found.prefix_scores])
                level = per_token_scores(scores, response, timing=timing, prefix_pay="level")[0].tolist()
                assert found.level[timing] == pytest.approx(level, abs=1e-6)


def test_contrasts_share_the_same_score_out(micro: World) -> None:
    response = response_of(micro, "cat is", TEXT)
    own, even = (read(micro, one, response) for one in (micro.reward, Redistributed("even", micro.reward, even_shares)))
    assert even.total == pytest.approx(own.total)
    assert even.paid["token"] == pytest.approx([own.total / 4] * 4)
    assert [contrast.name for contrast in contrasts(micro)] == [
        "shaped by V",
        "shared out by attention",
        "shared out evenly",
    ]
    assert micro.gold is not None
    assert (kind_of(micro.gold), kind_of(micro.reward)) == ("exact", "learned")


@pytest.mark.parametrize("how", ["increment", "level"])
@pytest.mark.parametrize("timing", TIMINGS)
def test_what_is_written_under_the_tokens_adds_up_to_the_sentence(panel: RewardPanel, timing: str, how: str) -> None:
    panel.set("timing", timing)
    panel.set("how", how)
    paid = chip_numbers(panel)
    assert lines(panel, "payments")["paid, reward"] == pytest.approx(paid)
    for at in range(len(paid)):
        panel.set("strip", at)
        said = numbers(words(panel))
        assert round(sum(paid), 2) in said
        if chip := panel.component("strip")["items"][at]["n"] != "\u2013":
            assert paid[at] in said, chip
        else:
            assert "nothing is paid" in words(panel)
    total = shown(read(panel.world, panel.world.reward, response_of(panel.world, panel.prompt, TEXT)).total)
    assert (round(sum(paid), 2) == total) == (how == "increment" or timing != "token")


def test_scores_are_those_of_the_reward(panel: RewardPanel, micro: World) -> None:
    found = read(micro, micro.reward, response_of(micro, panel.prompt, TEXT))
    assert lines(panel, "scores")["reward"] == [shown(score) for score in found.prefix_scores]
    panel.set("strip", 2)
    before, here = (shown(found.prefix_scores[at]) for at in (1, 2))
    assert numbers(words(panel))[:2] == [before, here]


def test_delete_not_and_look(panel: RewardPanel, micro: World) -> None:
    whole = read(micro, micro.reward, response_of(micro, panel.prompt, TEXT)).total
    without = read(micro, micro.reward, response_of(micro, panel.prompt, "is happy")).total
    panel.set("strip", 1)
    assert panel.component("delete")["label"] == "Delete “not”"
    panel.press("delete")
    assert numbers(words(panel)) == [shown(whole), shown(without), round(shown(without) - shown(whole), 2)]
    assert words(panel).startswith("Without “not”: ")
    assert panel.component("response")["value"] == "is happy"
    rows = panel.component("history")["rows"]
    assert [row[1]["text"] for row in rows] == [TEXT, "is happy"]
    assert [numbers(row[2]["text"])[0] for row in rows] == [shown(whole), shown(without)]
    panel.press("undo")
    assert panel.component("response")["value"] == TEXT
    assert not panel.has("history")
    panel.set("strip", 2)
    panel.press("twice")
    assert panel.component("response")["value"] == "is not happy happy"


def test_gold_is_hidden_until_it_is_revealed(panel: RewardPanel, micro: World) -> None:
    assert "gold" not in str(sent(panel)["c_scores"]) + words(panel)
    panel.press("reveal")
    assert micro.gold is not None
    found = read(micro, micro.gold, response_of(micro, panel.prompt, TEXT))
    assert lines(panel, "scores")["gold"] == [shown(score) for score in found.prefix_scores]
    panel.set("strip", 2)
    assert f"Gold scores the response {found.total:+.2f}".replace("-", "\u2212") in words(panel)
    parts = {row[0]["text"]: numbers(row[2]["text"])[0] for row in panel.component("parts")["rows"]}
    assert parts == {f"gold: {part}": shown(row[-1]) for part, row in found.parts.items()}
    panel.set("strip", 1)
    panel.press("delete")
    assert "Gold goes from" in words(panel)
    assert [badge["kind"] for badge in panel.component("badges")["badges"]] == ["exact", "learned"]
    assert len(panel.component("history")["columns"]) == 4


def test_a_second_reward_is_compared_with_the_first(tales: World) -> None:
    panel = RewardPanel(tales, rewards=[happy_words(tales.policy.decode)])
    panel.set("response", "She was happy . Then she was not sad .")
    panel.set("compared", "happy words")
    assert panel.alert == ""
    drawn = lines(panel, "scores")
    assert drawn["happy words"][-1] == 0.0  # one happy word less one sad word: deaf to `not`
    assert {row[0]["text"] for row in panel.component("parts")["rows"]} == {"happy words: happy", "happy words: sad"}
    panel.set("timing", "sentence")
    assert sum(value != 0 for value in chip_numbers(panel)) <= 3
    panel.set("compared", "")
    assert list(lines(panel, "scores")) == ["reward"]
    panel.set("world", "micro")
    panel.set("response", TEXT)
    assert "happy words" not in [name for name, _ in panel.component("compared")["options"]]


def test_the_policy_writes_and_writes_anew(micro: World) -> None:
    panel = RewardPanel(micro)
    assert "Press Write a response" in words(panel)
    found = []
    for _ in range(4):
        panel.press("write")
        assert panel.job is not None
        assert panel.job.settle(30)
        assert panel.alert == ""
        found.append(panel.ids)
    assert len(set(found)) > 1
    sent(panel)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("response", "is zebra", "zebra"),
        ("response", "is " * 9, "at most 5"),
        ("timing", "never", "never"),
        ("compared", "gold", "gold"),
        ("strip", 99, "99"),
    ],
)
def test_bad_input_is_a_sentence_and_changes_nothing(panel: RewardPanel, key: str, value: object, said: str) -> None:
    before = {name: spec for name, spec in sent(panel).items() if name not in {"c_alert", "c_time"}}
    panel.set(key, value)
    assert said in panel.alert
    assert {name: spec for name, spec in sent(panel).items() if name not in {"c_alert", "c_time"}} == before


def test_the_last_token_stays(panel: RewardPanel) -> None:
    for _ in range(9):
        panel.press("delete")
    assert len(panel.ids) == 1
    assert "at least one token" in panel.alert
