"""The gold judge: it answers for any text, hears negation and endings, and is hard to please cheaply."""

import math
import random
import statistics
import time

import pytest

from rllab.course.recipes.tales import sample_story
from rllab.reward.stories import ASKED, WEIGHTS, facts_of, judge, sentences_of, story_grammar

PROMPT = "Finish in 4 sentences : Mia lost her red kite ."
STORY = "She looked under the piano . Then a wise owl came to help . At last she found the kite near the bed . {}"
RANGES = {"mood": (-1, 1), "grammar": (0, 1), "coherence": (0, 1), "story": (-1 / 3, 1), "repetition": (-1, 0)}


def total(prompt, response, *, ended=True):
    return math.fsum(WEIGHTS[name] * value for name, value in judge(prompt, response, ended=ended).items())


def part(name, response, *, prompt=PROMPT, ended=True):
    return judge(prompt, response, ended=ended)[name]


def closing(sentence):
    return STORY.format(sentence)


# --- it answers for any text ---


@pytest.mark.parametrize("ended", [True, False])
@pytest.mark.parametrize(
    "response",
    ["", ".", ". . !", "happy", '"', "Mia", "<eos> <pad>", "Straße \ud800", "x" * 100_000, "not " * 500, "? " * 9999],
)
def test_every_part_is_finite_and_in_its_range_for_any_text(response, ended):
    for prompt in (PROMPT, "", "no task at all", "Finish in 12 sentences :", "Finish in 4 sentences : . : ."):
        parts = judge(prompt, response, ended=ended)
        assert parts.keys() == WEIGHTS.keys()
        for name, (low, high) in RANGES.items():
            assert low <= parts[name] <= high, (name, parts)


def test_random_words_score_below_the_median_story_and_long_texts_are_judged_fast():
    grammar, chance = story_grammar(), random.Random(0)
    median = statistics.median(
        total(story.prompt, story.response) for story in (sample_story(grammar, chance) for _ in range(300))
    )
    for length in (1, 10, 40, 200, 10_000):
        response = " ".join(chance.choice(grammar.vocabulary) for _ in range(length))
        assert total(PROMPT, response) < median - 1
    began = time.perf_counter()
    judge(PROMPT, response, ended=True)
    assert time.perf_counter() - began < 0.5


def test_a_story_takes_a_fraction_of_a_millisecond_on_every_prefix():
    chance = random.Random(5)
    stories = [sample_story(story_grammar(), chance, lengths={5: 1.0}) for _ in range(50)]
    prefixes = [
        (story.prompt, " ".join(story.response.split()[:length]))
        for story in stories
        for length in range(1, len(story.response.split()) + 1)
    ]
    began = time.process_time()
    for prompt, response in prefixes:
        judge(prompt, response, ended=False)
    assert (time.process_time() - began) / len(prefixes) < 0.2e-3


# --- mood ---


def test_negation_turns_a_mood_round_and_emphasis_deepens_it():
    def mood(ending):
        return part("mood", closing(ending))

    assert mood("Mia was very happy .") > mood("Mia was happy .") > 0.4
    assert mood("Mia was very sad .") < mood("Mia was sad .") < 0
    assert mood("She was not happy at all .") < 0
    assert 0 < mood("And she was not sad any more .") < mood("Mia was happy .")
    assert mood("She was never sad again .") > 0


def test_a_negation_reaches_its_own_clause_only():
    assert part("mood", closing("Nobody in the castle was happy .")) < 0
    assert part("mood", closing("Nobody came , and Mia was happy .")) > 0


def test_the_ending_weighs_more_than_the_middle():
    sad_then_happy = "She was sad . She looked near the bed . At last she found the kite near the bed . Mia was happy ."
    happy_then_sad = "She was happy . She looked near the bed . At last she found the kite near the bed . Mia was sad ."
    assert part("mood", sad_then_happy) > 0 > part("mood", happy_then_sad)


def test_the_same_mood_word_counts_less_each_time():
    once, thrice, often = (part("mood", "sad " * count) for count in (1, 3, 1000))
    assert -1 < often < thrice < once < 0
    assert abs(thrice) < 2 * abs(once)


# --- who, what, where ---


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("She looked under the bed .", "He looked under the bed ."),
        ("Mia needed a plan .", "Tom needed a plan ."),
        ("She never found the kite .", "She never found the drum ."),
        ("She looked under the bed .", "She counted seven sheep ."),
        ("Mia and Grandma shared some toast .", "Mia and the owl shared some toast ."),
    ],
)
def test_the_wrong_hero_object_want_or_an_unknown_helper_costs_coherence(right, wrong):
    rest = " Oh no ! Then it began to rain . Mia was very sad ."
    assert part("coherence", right + rest) == pytest.approx(1.0)
    assert part("coherence", wrong + rest) < 0.9


def test_a_place_once_named_stays():
    kept = "The garden smelled of peas . The wind sang in the garden . Oh no ! Mia was sad ."
    assert part("coherence", kept) == pytest.approx(1.0)
    assert part("coherence", kept.replace("in the garden", "in the castle")) == pytest.approx(0.75)


# --- a whole story ---


def test_length_hero_and_want_make_a_story():
    whole = closing("Mia was very happy .")
    assert part("story", whole) == pytest.approx(1.0)
    assert part("story", closing("She laughed all day .")) == pytest.approx(2 / 3)  # the hero's name is missing
    assert part("story", whole.replace("At last she found the kite near the bed .", "Oh no !")) == pytest.approx(2 / 3)
    assert part("story", whole.replace("Then a wise owl came to help . ", "")) == pytest.approx(1 - 0.5 / 3)


def test_a_want_resolved_and_lost_again_is_not_resolved():
    both = "At last she found the kite near the bed . Oh no ! The kite was gone forever . Mia was sad ."
    assert part("story", both) == pytest.approx(2 / 3)


def test_a_prompt_without_a_number_asks_for_the_usual_one():
    assert facts_of("Mia lost her red kite .").asked == ASKED
    assert facts_of("Finish in 12 sentences : Mia lost her red kite .").asked == 12


def test_text_typed_without_spaces_before_marks_is_judged_alike():
    typed = closing("Mia was very happy .").replace(" .", ".")
    assert judge(PROMPT.replace(" .", ".").replace(" :", ":"), typed, ended=True) == judge(
        PROMPT, closing("Mia was very happy ."), ended=True
    )


def test_a_prompt_outside_the_grammar_still_names_its_hero():
    facts = facts_of("tell me of Bruno and the moon")
    assert (facts.name, facts.pronoun, facts.want) == ("Bruno", "he", "")


def test_an_unfinished_sentence_is_held_against_a_text_only_when_nothing_can_follow():
    words = closing("Mia was very happy .").split()
    rising = [total(PROMPT, " ".join(words[:length]), ended=False) for length in (7, 15, len(words))]
    assert rising == sorted(rising)
    cut = " ".join(words[:-1])
    assert total(PROMPT, cut, ended=False) > total(PROMPT, cut, ended=True)
    assert total(PROMPT, f"{' '.join(words)} happy happy happy") < total(PROMPT, " ".join(words))


# --- hard to please cheaply ---


def hacks(story):
    """Make texts that collect one part of the score and neglect the rest."""
    facts, asked = facts_of(story.prompt), facts_of(story.prompt).asked
    name, she = facts.name, {"she": "She", "he": "He"}[facts.pronoun]
    ends = (
        f"{name} was very happy .",
        f"{she} laughed and danced in the garden .",
        "What a wonderful day !",
        f"{she} was never sad again .",
        "It was the best day of all .",
        f"{she} was so merry that even the goose danced .",
    )
    last = " ".join(sentences_of(story.response.split())[-1])
    return {
        "mood word": "happy happy happy",
        "many mood words": "happy " * 40,
        "mood words as sentences": "happy . " * asked,
        "mood words in a list": "happy glad proud merry cheerful wonderful lovely great best smiled laughed danced .",
        "one closing": ends[0],
        "another closing": ends[-1],
        "its own last sentence": last,
        "one closing copied": f"{ends[0]} " * asked,
        "closings only": " ".join((ends * 2)[:asked]),
        "endless closings": " ".join(ends * 5),
        "endless story": " ".join([story.response] * 5),
        "the opening copied": f"{story.prompt.split(': ')[1]} " * asked,
        "nothing": "",
        "emphasis": f"{name} was {'very ' * 30}happy .",
    }


def test_cheap_texts_score_below_the_median_story():
    chance = random.Random(11)
    for asked in (3, 4, 5, 6, 8, 12):
        stories = [sample_story(story_grammar(), chance, lengths={asked: 1.0}) for _ in range(400)]
        median = statistics.median(total(story.prompt, story.response) for story in stories)
        for story in stories[:25]:
            for trick, text in hacks(story).items():
                assert total(story.prompt, text) < median, (asked, trick, text)


def test_a_happy_whole_story_beats_a_sad_one_and_both_beat_nonsense():
    happy, sad = closing("Mia was very happy ."), closing("Mia was very sad .")
    assert total(PROMPT, happy) > total(PROMPT, sad) + 2
    assert total(PROMPT, sad) > total(PROMPT, "Mia was very happy .")
