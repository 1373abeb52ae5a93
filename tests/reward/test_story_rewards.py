"""Rewards that are easy to please: what they count, and that gold is not fooled by what pleases them."""

import pytest

from rllab.reward.judges import HAPPY_WEIGHTS, count_moods, count_words, happy_words, length
from rllab.reward.stories import judge

PROMPT = "Finish in 4 sentences : Mia lost her red kite ."


def test_moods_are_counted_whatever_stands_before_them():
    assert count_moods(PROMPT, "Mia was not happy and not sad . What a lovely day !", ended=True) == {
        "happy": 2,
        "sad": 1,
    }
    assert count_moods("", "", ended=False) == {"happy": 0, "sad": 0}
    assert set(HAPPY_WEIGHTS) == {"happy", "sad"}


def test_words_and_marks_are_counted():
    assert count_words(PROMPT, "Oh no ! Oh no!", ended=True) == {"words": 6}


def test_a_heap_of_happy_words_pleases_the_count_and_not_gold():
    heap, story = (
        "happy " * 40,
        "She looked under the bed . Oh no ! At last she found the kite near the bed . Mia was glad .",
    )
    assert count_moods(PROMPT, heap, ended=True)["happy"] > count_moods(PROMPT, story, ended=True)["happy"]
    assert sum(judge(PROMPT, heap, ended=True).values()) < sum(judge(PROMPT, story, ended=True).values())


@pytest.mark.parametrize(("make", "parts"), [(happy_words, {"happy", "sad"}), (length, {"words"})])
def test_they_are_rewards_with_named_parts(make, parts):
    reward = make(str)
    assert set(reward.weights) == parts
    assert reward.name
