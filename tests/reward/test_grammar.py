"""The grammar: what it writes it also reads, in one way, and its words are a small closed vocabulary."""

import itertools
import random

import pytest

from rllab.reward.stories import StoryGrammar, base, story_grammar


@pytest.fixture(scope="module")
def grammar() -> StoryGrammar:
    return story_grammar()


def test_every_pattern_is_read_back_as_itself_whatever_fills_it(grammar):
    chance = random.Random(0)
    for pattern in grammar.sentences + grammar.openings:
        for _ in range(10):
            sentence = grammar.fill(pattern, {}, chance)
            reading = grammar.parse(sentence.split())
            assert reading is not None, sentence
            assert (reading.pattern.stage, reading.pattern.line) == (pattern.stage, pattern.line), sentence


def test_slots_are_read_off_a_sentence(grammar):
    reading = grammar.parse(["She", "looked", "under", "the", "piano", "and", "behind", "the", "bed", "."])
    assert reading is not None
    assert reading.pattern.stage == "attempt"
    assert reading.pattern.want == "lost"
    assert dict(reading.slots) == {"She": "She", "near": "under", "spot": "piano", "near2": "behind", "spot2": "bed"}


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "Mia was very",
        "Mia was very happy",
        "Mia was very happy . .",
        "Mia was very piano .",
        "She was a happy .",
        "a wise owl had a good idea .",
        "Mia was very happy . Mia was very happy .",
        "Mia was <eos> happy .",
    ],
)
def test_what_is_no_sentence_has_no_reading(grammar, text):
    assert grammar.parse(text.split()) is None


def test_the_beginnings_of_a_sentence_may_continue_and_nothing_else_may(grammar):
    words = ['"', "Do", "not", "worry", ",", '"', "said", "a", "wise", "owl", "."]
    assert all(grammar.may_continue(words[:length]) for length in range(len(words) + 1))
    assert not grammar.may_continue(['"', "Do", "not", "piano"])
    assert not grammar.may_continue([*words, "and"])


def test_a_text_of_ten_thousand_words_is_read_at_once(grammar):
    assert grammar.parse(["very"] * 10_000) is None
    assert not grammar.may_continue(["very"] * 10_000)


def test_the_vocabulary_is_small_closed_and_without_end_or_padding(grammar):
    assert 200 <= len(grammar.vocabulary) + 1 <= 500  # with the end token
    assert len(set(grammar.vocabulary)) == len(grammar.vocabulary)
    assert all(word and word == word.strip() and " " not in word for word in grammar.vocabulary)
    assert {".", ",", "!", "?", '"', ":"} <= set(grammar.vocabulary)


def test_every_slot_has_words_and_every_want_has_all_it_needs(grammar):
    for pattern in grammar.sentences + grammar.openings + grammar.headers:
        assert all(grammar.slots[base(slot)] for slot in pattern.slots)
    for want, thing in grammar.wants.items():
        mine = [sentence for sentence in grammar.sentences if sentence.want == want]
        assert {"happy", "sad", "mixed"} == {one.ending for one in mine if one.stage == "finish"}
        assert {"happy", "sad", "mixed"} == {one.ending for one in mine if one.stage == "resolution"}
        openings = [opening for opening in grammar.openings if opening.want == want]
        assert openings
        assert all(thing in opening.slots for opening in openings if thing)


def test_articles_agree_with_the_words_after_them(grammar):
    chance = random.Random(1)
    for pattern in grammar.sentences + grammar.openings:
        for _ in range(20):
            words = grammar.fill(pattern, {}, chance).split()
            for article, word in itertools.pairwise(words):
                vowel = word[0].lower() in "aeiou"
                assert not (article in {"a", "A"} and vowel), " ".join(words)
                assert not (article in {"an", "An"} and not vowel), " ".join(words)
