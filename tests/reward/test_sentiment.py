"""The sentiment reward: named parts that add up, with negation, and no prize for saying it over and over."""

import sys

import pytest

from rllab.core.errors import LabError
from rllab.policy.generation import sequences_from_ids
from rllab.policy.policy import Policy
from rllab.reward import judges as judging
from rllab.reward.judges import SENTIMENT_WEIGHTS, sentiment, sentiment_judge
from tests.fakes import fake_model
from tests.worlds.tiny import VOCABULARY, tiny_tokenizer


def mood(text: str) -> float:
    return sentiment_judge("", text, ended=False)["mood"]


def test_mood_knows_negation_and_emphasis() -> None:
    assert mood("The soup is good.") > 0 > mood("The soup is not good.")
    assert mood("The soup is very good!") > mood("The soup is good.")
    assert mood("The soup is horrible.") < 0 == mood("The soup is in the pot.") == mood("")


def test_the_prompt_does_not_count() -> None:
    assert sentiment_judge("What a horrible, sad day?", "It is noon.", ended=True)["mood"] == 0


def test_repetition_is_the_share_of_pairs_said_before() -> None:
    assert sentiment_judge("", "good good good good good", ended=False)["repetition"] == 0.75
    assert sentiment_judge("", "the soup is good and the bread is new", ended=False)["repetition"] == 0.0
    assert sentiment_judge("", "good", ended=False)["repetition"] == 0.0


def test_an_ended_answer_earns_a_little() -> None:
    assert sentiment_judge("", "good", ended=True)["ending"] - sentiment_judge("", "good", ended=False)["ending"] == 1.0


def test_parts_add_up_and_prefixes_are_scored_as_texts() -> None:
    policy = Policy(fake_model(VOCABULARY), tiny_tokenizer())
    reward = sentiment(policy.decode)
    texts = ("A good day, a good day, a good day.", "Not a happy dog 😀", "")
    rows = sequences_from_ids(policy, ["How is it?"] * 3, [policy.encode_response(text) for text in texts])
    scores = reward.score(rows, timing="token")
    assert set(scores.parts) == set(SENTIMENT_WEIGHTS)
    assert sum(scores.parts.values()).tolist() == pytest.approx(scores.total.tolist(), abs=1e-12)
    assert scores.per_token.sum(dim=1).tolist() == pytest.approx(scores.total.tolist(), abs=1e-12)
    assert scores.parts["repetition"][0] < 0 == scores.parts["repetition"][1]
    prefixes = reward.prefix_scores(rows)
    for row, text in enumerate(texts):
        length = int(rows.lengths[row])
        half = policy.decode(rows.response_ids(row)[: length // 2])
        if half:
            parts = sentiment_judge("", half, ended=False)
            assert prefixes[row, length // 2 - 1] == pytest.approx(
                sum(SENTIMENT_WEIGHTS[name] * parts[name] for name in SENTIMENT_WEIGHTS)
            )
        assert prefixes[row, length - 1] == scores.total[row], text


def test_a_missing_lexicon_is_told_when_the_world_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    judging.analyzer.cache_clear()
    monkeypatch.setitem(sys.modules, "vaderSentiment.vaderSentiment", None)
    with pytest.raises(LabError, match=r"vaderSentiment.*python lab\.py setup"):
        sentiment(str)
    monkeypatch.undo()
    judging.analyzer.cache_clear()
    assert judging.analyzer()
