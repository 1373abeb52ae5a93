"""The blame game: the flaw is planted in the stated place, and finer scores need fewer resamples."""

import statistics

import pytest

from rllab import World, load_world
from rllab.core.errors import LabError
from rllab.course.exercises.blame import TIMINGS, BlameGame, rerolls_needed
from rllab.policy.generation import sequences_from_ids
from rllab.reward.reward import TextReward


@pytest.fixture(scope="module")
def world() -> World:
    return load_world("micro")


def test_one_word_is_exchanged_for_the_worst(world: World) -> None:
    game = BlameGame(world, "cat is", "very very happy happy", place=2)
    assert game.flaw == 2
    assert [word for at, word in enumerate(game.tokens) if at != 2] == ["very", "very", "happy"]
    assert game.score < game.good_score
    for token in world.policy.encode_response("sad very not cat"):
        ids = [*game.ids[:2], token, *game.ids[3:]]
        if token != world.policy.eos_id:
            assert float(game.judge.score(sequences_from_ids(world.policy, ["cat is"], [ids])).total) >= game.score


def test_the_pay_adds_up_to_the_score_under_every_timing(world: World) -> None:
    game = BlameGame(world, "cat is", "very very happy happy", seed=3)
    for timing in TIMINGS:
        game.timing = timing
        assert sum(game.paid) == pytest.approx(game.score)
        assert len(game.paid) == len(game.tokens)


def test_a_reroll_changes_one_token_and_is_counted(world: World) -> None:
    game = BlameGame(world, "cat is", "very very happy happy", place=3)
    bought = [game.reroll(3) for _ in range(20)]
    assert len(game.rerolls) == 20
    assert all(reroll.token != game.tokens[3] for reroll in bought)
    assert max(reroll.score for reroll in bought) > game.score


def test_accusing_tells_right_from_wrong(world: World) -> None:
    game = BlameGame(world, "cat is", "very very happy happy", place=1)
    assert not game.accuse(0).right
    game.reroll(0)
    verdict = game.accuse(1)
    assert verdict.right
    assert "1 re-roll." in verdict.reason
    for place in (-1, 4, 99):
        with pytest.raises(LabError):
            game.accuse(place)


def test_finer_scores_need_fewer_rerolls(world: World) -> None:
    def count(prompt: str, response: str, *, ended: bool) -> dict[str, float]:
        return {"sad": -float(response.split().count("sad"))}

    judge = TextReward("no sad words", count, world.policy.decode, {"sad": 1.0})
    needed = {}
    for timing in ("end", "token"):
        games = [BlameGame(world, "cat is", "cat is very happy", judge=judge, seed=seed) for seed in range(24)]
        for game in games:
            game.timing = timing
        needed[timing] = statistics.mean(rerolls_needed(game) for game in games)
    assert needed["token"] == 1
    assert 1.8 < needed["end"] < 3.2  # (4 + 1) / 2 on average


def test_a_world_without_a_judge_is_refused(world: World) -> None:
    with pytest.raises(LabError, match="no gold judge"):
        BlameGame(world.replace(gold=None), "cat is", "happy")
