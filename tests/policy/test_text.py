"""Tokens as text: characters that need several tokens come out whole, and what tokens add is the whole text."""

import random

import pytest

from rllab.policy.policy import Policy
from tests.fakes import fake_model, fake_policy
from tests.worlds.tiny import END, VOCABULARY, tiny_tokenizer

ALPHABETS = {
    "emoji": "😀👩‍🚀🏳️‍🌈❤️🇩🇪👍🏽🧑‍🤝‍🧑",
    "CJK": "日本語漢字中文한국어カタカナ𠮷",
    "RTL": "שלוםمرحباسلامעברית\u200f\u061c",
    "marks": "e\u0301a\u0308นี้क्षि",
    "plain": "the morning was good. ?!\n",
}


@pytest.fixture(scope="module")
def policy() -> Policy:
    return Policy(fake_model(VOCABULARY), tiny_tokenizer())


@pytest.mark.parametrize("name", ALPHABETS)
def test_what_tokens_add_joins_to_the_whole_text(name: str, policy: Policy) -> None:
    chance = random.Random(name)
    for _ in range(2000):  # 10,000 in all
        text = "".join(chance.choices(ALPHABETS[name] + ALPHABETS["plain"][:6], k=chance.randint(1, 6)))
        ids = policy.encode_response(text)[:-1]
        assert "".join(policy.token_texts(ids)) == policy.decode(ids) == text


def test_any_ids_at_all_join_to_what_they_decode_to(policy: Policy) -> None:
    chance = random.Random(0)
    for _ in range(1000):
        ids = chance.choices(range(VOCABULARY), k=chance.randint(0, 12))  # mostly no valid UTF-8
        texts = policy.token_texts(ids)
        assert len(texts) == len(ids)
        assert "".join(texts) == policy.decode(ids)


def test_a_character_appears_with_the_token_that_closes_it(policy: Policy) -> None:
    ids = policy.encode_response("a😀b")[:-1]
    assert len(ids) == 6
    assert policy.token_texts(ids) == ["a", "", "", "", "😀", "b"]


def test_a_token_that_is_no_whole_character_shows_its_bytes(policy: Policy) -> None:
    ids = policy.encode_response("😀é")[:-1]
    assert [policy.token_text(token) for token in ids] == [r"\xf0", r"\x9f", r"\x98", r"\x80", r"\xc3", r"\xa9"]


def test_special_and_unused_ids_have_a_name(policy: Policy) -> None:
    assert policy.token_text(policy.eos_id) == END
    padded = Policy(fake_model(VOCABULARY + 3), tiny_tokenizer())
    assert padded.token_text(VOCABULARY + 1) == f"<{VOCABULARY + 1}>"


def test_words_of_a_closed_vocabulary_join_with_spaces() -> None:
    policy = fake_policy("a", "b")
    assert policy.token_texts([0, 1, 0]) == ["a", " b", " a"]
    assert policy.token_text(1) == "b"
