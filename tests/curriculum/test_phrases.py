"""Every phrase of the concept page that the lab is built around is taught somewhere, and holds here.

One test a row of the coverage table: phrase, notebook, what must be true. Rows that an experiment proves are in
tests/experiments; rows of an exercise are in tests/exercises, and are called up here by their names.
"""

import json
import re
from pathlib import Path

import pytest
import torch

from rllab import Stepper, Trainer, World, load_world
from rllab.classic.lookahead import look_ahead, sampled_mean
from rllab.evaluation import evaluate
from rllab.exercises import exercise_named, exercises
from rllab.generation import generate
from rllab.paths import data_dir
from rllab.records import LossTerms, Rollout
from rllab.truth import Tree, exact

PROMPT, HORIZON = "cat is", 3
NOTEBOOKS = [f"{number:02d}" for number in range(1, 10)]


@pytest.fixture(scope="module")
def world() -> World:
    return load_world("micro-tabular")


@pytest.fixture(scope="module")
def tree(world: World) -> Tree:
    return exact(world, PROMPT, horizon=HORIZON)


def test_iteratively_evaluates_and_improves_the_policy(world: World) -> None:
    """Notebooks 01, 07: five stages in order on every iteration; J rises with a small exact gradient step."""
    trainer = Trainer(world, config=world.config("ppo", batch_size=4, micro_batch_size=4, epochs=2))
    for _ in range(3):
        names = [phase.name for phase in trainer.phases()]
        assert names == ["rollout", "score", "targets", "loss", "step", "loss", "step"]
    twin = world.replace(policy=world.policy.copy())
    before = exact(twin, PROMPT, horizon=HORIZON)
    gradient, at = before.gradient(), 0
    with torch.no_grad():
        for parameter in (one for one in twin.policy.model.parameters() if one.requires_grad):
            parameter.add_(1e-2 * gradient[at : at + parameter.numel()].view_as(parameter))
            at += parameter.numel()
    twin.policy.changed()
    assert exact(twin, PROMPT, horizon=HORIZON).J > before.J


def test_the_state_is_the_prompt_and_the_tokens_so_far(world: World) -> None:
    """Notebook 02: state(t) is prompt and prefix; prompt tokens are in no loss."""
    stepper = Stepper(world, seed=1)
    stepper.reset(PROMPT)
    written = [stepper.step().token_id for _ in range(2)]
    assert stepper.prompt_ids == tuple(world.policy.encode(PROMPT))
    assert [stepper.state_at(t).prefix_ids for t in range(3)] == [tuple(written[:t]) for t in range(3)]
    trainer = Trainer(world, config=world.config("ppo", batch_size=4, micro_batch_size=4, epochs=1))
    records = [phase.record for phase in trainer.phases()]
    rollout = next(one for one in records if isinstance(one, Rollout))
    terms = next(one for one in records if isinstance(one, LossTerms))
    assert terms.logprobs.shape == rollout.response_tokens.shape
    assert rollout.prompt_width >= len(stepper.prompt_ids)


def test_the_policy_is_the_distribution_that_actions_are_drawn_from(world: World, tree: Tree) -> None:
    """Notebook 02: probabilities add up to 1; the frequencies of first tokens match pi by a chi-square test."""
    count, pi = 4000, tree.pi(())
    assert float(pi.sum()) == pytest.approx(1.0, abs=1e-12)
    drawn = generate(world.policy, [PROMPT] * count, max_new_tokens=1, seed=3).response_tokens[:, 0]
    seen = torch.bincount(drawn, minlength=len(pi)).double()
    likely = pi * count >= 5
    chi_square = float(((seen - pi * count).square() / (pi * count))[likely].sum())
    assert chi_square < 24.3  # the 0.999 quantile for 7 degrees of freedom


def test_the_reward_model_evaluates_the_sequence(world: World) -> None:
    """Notebook 03: every timing pays the same in all; at the end alone means nothing before it."""
    rows = generate(world.policy, list(world.prompts) * 4, max_new_tokens=world.max_new_tokens, seed=4)
    late, early = (world.reward.score(rows, timing=timing) for timing in ("eos", "prefix"))
    assert torch.allclose(late.total, early.total)
    assert torch.allclose(late.per_token.sum(1), early.per_token.sum(1))
    last = rows.lengths - 1
    before = torch.arange(rows.response_mask.shape[1]) < last[:, None]
    assert bool((late.per_token[before] == 0).all())
    assert bool((early.per_token[before] != 0).any())


def test_scores_are_used_to_compute_v_and_q(world: World, tree: Tree) -> None:
    """Notebook 04: Bellman's equation and V = sum pi Q hold to 1e-10; the critic's error falls when it is fitted."""
    for prefix in ((), (1,), (2, 3)):
        assert float(tree.pi(prefix) @ tree.Q(prefix)) == pytest.approx(tree.V(prefix), abs=1e-10)
        assert float(tree.pi(prefix) @ tree.A(prefix)) == pytest.approx(0.0, abs=1e-10)
    settings = world.config("a2c", lr=1e-9, batch_size=32, micro_batch_size=32)
    trainer = Trainer(world, "a2c", settings, seed=5)
    with torch.no_grad():
        for parameter in trainer.world.critic.parameters():
            parameter.zero_()
    trainer.run(15)
    losses = [record.metrics["loss/value_avg"] for record in trainer.history]
    assert sum(losses[-5:]) < sum(losses[:5])


@pytest.mark.parametrize("action", [1, 3, 4])
def test_values_give_the_feedback_that_refines_the_policy(world: World, tree: Tree, action: int) -> None:
    """Notebooks 05 to 07: one step on one action moves its log-prob in the direction of its advantage."""
    advantage = float(tree.A(())[action])
    policy = world.policy.copy()
    rows = generate(policy, [PROMPT], max_new_tokens=1, seed=0)
    tokens = rows.tokens.clone()
    tokens[:, rows.prompt_width] = action
    rows = type(rows)(**{**{name: getattr(rows, name) for name in rows.__dataclass_fields__}, "tokens": tokens})
    before = evaluate(policy, rows).logprobs[0, 0]
    logprob = policy.logits(rows, temperature=1.0)[0, 0].log_softmax(0)[action]
    gradients = torch.autograd.grad(advantage * logprob, list(policy.model.parameters()), allow_unused=True)
    with torch.no_grad():
        for parameter, gradient in zip(policy.model.parameters(), gradients, strict=True):
            if gradient is not None:
                parameter.add_(1e-2 * gradient)
    policy.changed()
    moved = float(evaluate(policy, rows).logprobs[0, 0] - before)
    assert moved * advantage > 0


def test_parameterization_frozen_parts_stay_as_they_are() -> None:
    """Notebooks 02, 09: what is not trainable gets no gradient and does not move."""
    world = load_world("micro")
    config = world.config("ppo", trainable="head", batch_size=8, micro_batch_size=8, epochs=1)
    trainer = Trainer(world, config=config)
    model = trainer.world.policy.model
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    frozen = {name for name, parameter in model.named_parameters() if not parameter.requires_grad}
    trainer.update()
    moved = {name for name, parameter in model.named_parameters() if not torch.equal(parameter, before[name])}
    assert moved
    assert frozen
    assert not moved & frozen


ROWS = {  # of the page's own exercises, where they are asked
    "ordering": "07.order",
    "story": "06.story",
    "matching": "02.matching",
    "maze": "01.maze",
    "cat": "01.feeder",
    "analysing a learning system": "01.not-rl",
    "classification": "09.methods",
}


@pytest.mark.parametrize("row", ROWS)
def test_the_pages_exercises_are_asked_and_graded(row: str) -> None:
    exercise = exercise_named(ROWS[row])
    assert exercise.check(exercise.task.right_answer()).right
    reasons = set()
    for answer, reason in exercise.task.wrong_answers():
        assert not exercise.check(answer).right
        reasons.add(reason)
    assert len(reasons) == len(exercise.task.wrong_answers())
    assert reasons


def test_model_based_looking_ahead_is_no_worse_than_sampling(tree: Tree) -> None:
    """Notebook 09: with a known model, depth-d look-ahead on the small world."""
    assert all(look_ahead(tree, tree.v, depth=depth).paid >= sampled_mean(tree) for depth in (1, 2, 3))


def test_websites_books_and_tutorials_are_three_a_notebook_with_a_question_each() -> None:
    """The last cell of each notebook: the format of the list, without a network."""
    links = json.loads((data_dir() / "links.json").read_text("utf-8"))
    assert sorted(links.keys() - {"about"}) == NOTEBOOKS
    for notebook in NOTEBOOKS:
        assert len(links[notebook]) == 3
        assert len({link["url"] for link in links[notebook]}) == 3
        for link in links[notebook]:
            assert set(link) == {"title", "url", "question"}
            assert re.fullmatch(r"https?://[\w.-]+(/[^\s]*)?", link["url"])
            assert link["question"].endswith("?")


def test_every_notebook_asks_what_it_teaches() -> None:
    assert {one.notebook for one in exercises()} == set(NOTEBOOKS)
    assert Path(data_dir() / "exercises").is_dir()
