"""The token MDP is an environment like any other, and one loop drives text, a maze and a cat."""

import itertools
import warnings
from dataclasses import replace

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from rllab.core.errors import LabError
from rllab.course.tabular.loop import ACTIONS, PRESS, Feeder, moments, press_curve
from rllab.policy.generation import sequences_from_ids
from rllab.truth import exact
from rllab.value.evaluation import evaluate
from rllab.worlds.environment import NAME, NOTHING, TokenEnv, Writer
from tests.truth.trees import PROMPT, tree_world


@pytest.fixture(scope="module")
def env(micro):
    return TokenEnv(micro)


@pytest.mark.parametrize("world", ["micro", "micro-tabular", "tales"])
def test_gymnasium_has_nothing_to_say_against_it(world, recwarn):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made = gymnasium.make(NAME, world=world, disable_env_checker=True)
        check_env(made.unwrapped)
    assert recwarn.list == []


def test_a_response_is_told_as_training_sees_it(env, micro):
    ids = [3, 5, 0]
    _, start = env.reset(options={"prompt": micro.prompts[1]})
    assert start == {"prompt": micro.prompts[1], "text": ""}
    turns = [env.step(token) for token in ids]
    rollout = evaluate(
        micro.policy, sequences_from_ids(micro.policy, [micro.prompts[1]], [ids]), reference=micro.reference
    )
    scores = micro.objective.score(rollout)
    assert [turn[1] for turn in turns] == pytest.approx(scores.per_token[0].tolist(), abs=1e-12)
    infos = [turn[4] for turn in turns]
    assert [info["logprob"] for info in infos] == pytest.approx(rollout.logprobs[0].tolist(), abs=1e-12)
    assert [info["prefix_score"] for info in infos] == pytest.approx(
        micro.reward.prefix_scores(rollout)[0].tolist(), abs=1e-12
    )
    assert infos[-1]["text"] == rollout.responses[0]
    assert [turn[2] for turn in turns] == [False, False, True]
    assert not any(turn[3] for turn in turns)
    assert env.render() == f"{micro.prompts[1]} | {rollout.responses[0]}"
    seen = turns[-1][0]
    assert seen[env.prompt_width :].tolist() == [3, 5, 0, NOTHING, NOTHING]


def test_policy_and_reference_speak_at_the_temperature_of_the_objective():
    world, ids = tree_world(words=3, horizon=4, seed=1, temperature=4.0, timing="token", kl_coef=0.2), (1, 0, 2, 3)
    env = TokenEnv(world)
    turns = [env.step(token) for token in ids]
    rows = sequences_from_ids(world.policy, [PROMPT], [ids])
    rollout = evaluate(world.policy, rows, reference=world.reference, temperature=4.0)
    assert [turn[4]["logprob"] for turn in turns] == pytest.approx(rollout.logprobs[0].tolist(), abs=1e-12)
    assert [turn[4]["ref_logprob"] for turn in turns] == pytest.approx(rollout.ref_logprobs[0].tolist(), abs=1e-12)
    assert [turn[1] for turn in turns] == pytest.approx(world.objective.score(rows).per_token[0].tolist(), abs=1e-12)
    env.reset()
    probs, n = exact(world, PROMPT).pi(()).numpy(), 600
    writer = Writer(env, seed=0)
    chosen = np.bincount([writer.act(env._observation()) for _ in range(n)], minlength=4)
    assert (np.abs(chosen - n * probs) <= 4.9 * np.sqrt(n * probs * (1 - probs))).all()
    assert (
        probs - exact(world, PROMPT, objective=replace(world.objective, temperature=1.0)).pi(()).numpy()
    ).max() > 0.1


def test_the_limit_truncates_and_the_end_terminates(env):
    env.reset(seed=3)
    turns = [env.step(3) for _ in range(5)]
    assert [turn[2:4] for turn in turns] == [(False, False)] * 4 + [(False, True)]
    with pytest.raises(LabError, match="the episode is over; reset first"):
        env.step(3)
    env.reset()
    assert env.step(0)[2:4] == (True, False)
    env.reset()
    assert [env.step(token)[2:4] for token in (3, 3, 3, 3, 0)][-1] == (True, False)  # an end at the limit is an end


def test_before_the_end_nothing_is_paid_for_an_end(env, micro):
    env.reset(options={"prompt": micro.prompts[0]})
    assert micro.objective.timing == "end"
    assert [env.step(token)[1] for token in (3, 5)] == [0.0, 0.0]
    assert env.step(0)[1] != 0.0


@pytest.mark.parametrize(
    ("act", "sentence"),
    [
        (lambda env: env.reset(options={"prompt": "dog flies"}), "choose one of .*did you mean"),
        (lambda env: (env.reset(), env.step(8)), "this vocabulary has the ids 0 to 7"),
    ],
)
def test_bad_input_gets_a_sentence(env, act, sentence):
    with pytest.raises(LabError, match=sentence):
        act(env)


class Wanderer:
    """Acts by chance and remembers what it saw."""

    def __init__(self, space, seed=0):
        self.space, self.seen = space, []
        space.seed(seed)

    def act(self, observation):
        return self.space.sample()

    def learn(self, moment):
        self.seen.append(moment)


@pytest.mark.parametrize("which", ["text", "lake", "cliff", "feeder"])
def test_one_loop_drives_text_a_maze_and_a_cat(which, env):
    made = {
        "text": lambda: env,
        "lake": lambda: gymnasium.make("FrozenLake-v1"),
        "cliff": lambda: gymnasium.make("CliffWalking-v1", max_episode_steps=50),
        "feeder": Feeder,
    }[which]()
    agent = Wanderer(made.action_space)
    turns = list(moments(made, agent, episodes=4, seed=1, limit=60))
    assert turns == agent.seen
    assert {moment.episode for moment in turns} == {0, 1, 2, 3}
    for before, after in itertools.pairwise(turns):
        over = before.terminated or before.truncated
        assert (after.t == 0) == over
        assert over or np.array_equal(before.following, after.state)


def test_the_writer_writes_as_its_policy_does(tabular):
    env = TokenEnv(tabular.replace(reward=tabular.gold))
    seen, _ = env.reset(options={"prompt": tabular.prompts[0]})
    writer, n = Writer(env, seed=1), 400
    chosen = np.bincount([writer.act(seen) for _ in range(n)], minlength=8)
    for token in range(8):
        prob = np.exp(env._logprob(env._decoders[0], token))
        assert abs(chosen[token] - n * prob) <= 4.9 * np.sqrt(n * prob * (1 - prob)) + 1e-9
    assert [moment.episode for moment in moments(env, writer, episodes=2)][-1] == 1


def test_a_cat_learns_to_press_as_the_curriculum_says():
    curve = press_curve(100).mean(axis=0)
    assert curve[[0, 50, 100, 199]] == pytest.approx([0.08, 0.61, 0.93, 0.98], abs=0.06)
    assert ACTIONS[PRESS] == "press"


def test_a_cat_that_hardly_tries_hardly_finds():
    assert press_curve(20, trials=100, press=0.001).mean(axis=0)[-1] < 0.2
