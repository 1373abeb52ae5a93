"""The recipe, with very little of everything: whole, repeatable, stoppable."""

import threading

import pytest
import torch

from rllab.core.errors import LabError, Stopped
from rllab.core.files import check_manifest
from rllab.core.jobs import Job
from rllab.course.recipes import build
from rllab.course.recipes.models import Schedule, Text, held_out_loss, in_batches, pretrain, token_losses
from rllab.course.recipes.tales import Recipe, build_tales, corpus, new_policy
from rllab.preferences.reward_fit import FitConfig
from rllab.reward.stories import story_grammar

TINY = Recipe(
    stories=64,
    width=16,
    layers=1,
    heads=1,
    prompts=8,
    demonstrations=4,
    pairs=4,
    fit=FitConfig(unit_responses=16),
    fit_epochs=1,
    critic_updates=1,
)
TEXTS = [
    Text("Finish in 1 sentence : Mia lost her red kite .", "At last Mia found the kite and was happy ."),
    Text("Finish in 2 sentences : Tom could not sleep .", "He counted two sheep . Maybe tomorrow ."),
]


@pytest.fixture(scope="module")
def untrained():
    torch.manual_seed(0)
    return new_policy(story_grammar(), TINY)


def test_the_same_seed_makes_the_same_bytes(tmp_path):
    made = [
        build_tales(seed=seed, folder=tmp_path / name, recipe=TINY) for name, seed in (("a", 0), ("b", 0), ("c", 1))
    ]
    manifests = [(folder / "manifest.json").read_text("utf-8") for folder in made]
    assert manifests[0] == manifests[1] != manifests[2]
    check_manifest(made[0], rebuild="again")
    for name in ("prompts", "demonstrations", "preferences"):
        texts = [(tmp_path / build / "tales" / f"{name}.jsonl").read_bytes() for build in "ab"]
        assert texts[0] == texts[1]


def test_a_stopped_build_leaves_nothing_behind(tmp_path):
    stop = threading.Event()

    def progress(done, total, text):
        stop.set()

    with pytest.raises(Stopped):
        build_tales(folder=tmp_path, recipe=TINY, job=Job(stop, progress))
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_an_unknown_world_is_told_in_a_sentence():
    with pytest.raises(LabError, match="tales"):
        build("tails")


def test_the_tokenizer_reads_text_with_and_without_spaces_before_marks(untrained):
    spaced = untrained.tokenizer.encode("Mia lost her red kite . What a lovely day !")
    assert untrained.tokenizer.encode("Mia lost her red kite. What a lovely day!") == spaced
    assert untrained.decode(spaced) == "Mia lost her red kite . What a lovely day !"


def test_pretraining_learns_texts_by_heart(untrained):
    policy = untrained.copy()
    before = held_out_loss(policy, TEXTS)
    pretrain(policy, TEXTS * 150, schedule=Schedule(rows=2, warm_up=5), seed=0)
    assert held_out_loss(policy, TEXTS) < before / 4
    assert policy.weights is not untrained.weights


def test_the_loss_counts_every_response_token_and_the_end_and_no_padding(untrained):
    lengths = [len(text.response.split()) + 1 for text in TEXTS]
    together = token_losses(untrained, TEXTS)
    assert together.shape == (sum(lengths),)
    apart = torch.cat([token_losses(untrained, [text]) for text in TEXTS])
    torch.testing.assert_close(together, apart, atol=1e-5, rtol=0)


def test_batches_hold_every_text_once_with_little_padding():
    import random

    texts = corpus(story_grammar(), Recipe(stories=500), seed=0)
    batches = in_batches(texts, size=8, generator=random.Random(0))
    assert sorted(map(repr, (text for batch in batches for text in batch))) == sorted(map(repr, texts))
    used = sum(len(text.response.split()) for text in texts)
    padded = sum(len(batch) * max(len(text.response.split()) for text in batch) for batch in batches)
    assert used / padded > 0.85


def test_some_stories_are_learned_from_their_first_word_on():
    texts = corpus(story_grammar(), Recipe(stories=400), seed=0)
    untasked = [text for text in texts if not text.prompt.startswith("Finish")]
    assert 10 <= len(untasked) <= 60
    assert all(len(text.prompt.split()) == 1 for text in untasked)
