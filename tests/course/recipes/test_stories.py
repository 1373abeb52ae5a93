"""Made-up stories: as long as asked, all of the grammar, one hero, one want, one place."""

import random
from collections import Counter

import pytest

from rllab.course.recipes.tales import LENGTHS, sample_story
from rllab.reward.stories import facts_of, judge, sentences_of, story_grammar

COUNT = 1500


@pytest.fixture(scope="module")
def stories():
    chance = random.Random(7)
    return [sample_story(story_grammar(), chance) for _ in range(COUNT)]


def test_all_sentences_parse_and_none_comes_twice(stories):
    grammar = story_grammar()
    for story in stories:
        sentences = sentences_of(story.response.split())
        assert all(grammar.parse(sentence) is not None for sentence in sentences), story
        assert len(set(sentences)) == len(sentences), story


def test_a_story_has_as_many_sentences_as_its_prompt_asks_for(stories):
    for story in stories:
        assert facts_of(story.prompt).asked == story.plan.sentences
        assert len(sentences_of(story.response.split())) == story.plan.sentences
    assert {story.plan.sentences for story in stories} == set(LENGTHS) == set(range(1, 13))


def test_the_prompt_tells_the_judge_who_what_and_where(stories):
    for story in stories:
        facts = facts_of(story.prompt)
        assert (facts.name, facts.pronoun) == (story.plan.hero.name, story.plan.hero.pronoun)
        assert facts.want == story.plan.want
        assert all(story.plan.bound[slot] == word for slot, word in facts.slots.items())


def test_stories_are_coherent_by_the_judge(stories):
    for story in stories:
        parts = judge(story.prompt, story.response, ended=True)
        assert parts["grammar"] == 1, story
        assert parts["coherence"] == 1, story
        assert parts["repetition"] == 0, story


def test_the_judge_hears_the_mood_of_the_derivation(stories):
    told = [(story.mood, judge(story.prompt, story.response, ended=True)["mood"]) for story in stories if story.mood]
    agree = sum((mood > 0) == (heard > 0) for mood, heard in told) / len(told)
    assert agree >= 0.95
    assert Counter(mood for mood, _ in told)[1] > COUNT / 5


def test_stories_fit_the_context_and_the_shipped_lengths_fit_the_limit(stories):
    assert max(len(f"{story.prompt} {story.response}".split()) for story in stories) < 200
    usual = [len(story.response.split()) + 1 for story in stories if story.plan.sentences in {4, 5, 6}]
    assert 33 <= sum(usual) / len(usual) <= 45
    assert sum(length <= 64 for length in usual) / len(usual) > 0.99


def test_the_same_seed_tells_the_same_story_and_another_seed_another():
    def told(seed):
        chance = random.Random(seed)
        return [sample_story(story_grammar(), chance) for _ in range(20)]

    assert told(3) == told(3)
    assert told(3) != told(4)


def test_ten_in_a_row_differ_in_hero_want_opening_and_end(stories):
    for start in range(0, 100, 10):
        ten = stories[start : start + 10]
        assert len({story.plan.hero.name for story in ten}) >= 4
        assert len({story.plan.want for story in ten}) >= 4
        assert len({story.response for story in ten}) == 10


def test_a_story_without_a_task_is_still_told(stories):
    story = sample_story(story_grammar(), random.Random(0), header=False)
    assert not story.prompt.startswith("Finish")
    assert facts_of(story.prompt).name == story.plan.hero.name
