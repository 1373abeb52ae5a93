"""Every phrase of the concept page that the lab is built around is taught somewhere, and holds.

`COVERED` is the coverage table: phrase, the notebooks that teach it with the code by which they do, and the tests of
what must be true. Most of these are here; those that an experiment or an exercise proves are called up by their names.
"""

import ast
import json
import re
from dataclasses import dataclass
from pathlib import Path

import nbformat
import pytest
import torch

from rllab import Stepper, Trainer, World, load_world
from rllab.core.files import data_dir
from rllab.core.records import LossTerms, Rollout
from rllab.course.exercises import exercise_named, exercises
from rllab.course.tabular.planning import look_ahead, sampled_mean
from rllab.maths.algorithms import ALGORITHMS
from rllab.policy.generation import generate
from rllab.truth import Tree, exact
from rllab.value.evaluation import evaluate

PROMPT, HORIZON = "cat is", 3
NOTEBOOKS = [f"{number:02d}" for number in range(1, 10)]
ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Row:
    """One row of the table: the code that teaches it, by notebook, and the tests of what it claims."""

    taught: dict[str, str]
    tests: tuple[str, ...]


PHRASES = "tests/course/test_phrases.py::test_"
WRONG_ANSWERS = "tests/course/exercises/test_content.py::test_every_listed_wrong_answer_fails_for_its_own_reason"
EXPERIMENTS = (
    "tests/course/experiments/test_all.py::test_the_fast_run_has_the_signature_and_reports_its_progress",
    "tests/course/experiments/test_all.py::test_the_recorded_run_has_the_signature",
)
PAGES_EXERCISES = (f"{PHRASES}the_pages_exercises_are_asked_and_graded", WRONG_ANSWERS)
COVERED = {
    "iteratively evaluates and improves the model's policy": Row(
        {"01": "moments(", "07": "trainer.phases()"}, (f"{PHRASES}iteratively_evaluates_and_improves_the_policy",)
    ),
    "state: initial input prompt and the tokens generated so far": Row(
        {"02": "StepperPanel(tales"},
        (f"{PHRASES}the_state_is_the_prompt_and_the_tokens_so_far", f"{PHRASES}prompt_tokens_are_in_no_loss"),
    ),
    "policy: predicted distribution, choose an action, next token": Row(
        {"02": "entropy_by_temperature("}, (f"{PHRASES}the_policy_is_the_distribution_that_actions_are_drawn_from",)
    ),
    "reward model evaluates the sequence": Row(
        {"03": 'timing in ("end", "sentence", "token")'}, (f"{PHRASES}the_reward_model_evaluates_the_sequence",)
    ),
    "reward scores used to compute the value functions V and Q": Row(
        {"04": "ExactTreePanel(world"}, (f"{PHRASES}scores_are_used_to_compute_v_and_q",)
    ),
    "value functions provide the necessary feedback": Row(
        {"05": "tree.A(before)", "06": "AdvantagePanel(tales)", "07": "open_update(trainer)"},
        (f"{PHRASES}values_give_the_feedback_that_refines_the_policy",),
    ),
    "parameterization of the LLM policy": Row(
        {"02": "choose_trainable(", "09": 'load_world("micro-tabular")'},
        (
            f"{PHRASES}parameterization_frozen_parts_stay_as_they_are",
            "tests/trainer/test_parameterization.py::test_frozen_parts_get_exactly_no_gradient_and_trained_ones_some",
        ),
    ),
    "ordering": Row(
        {"07": "07.order"}, (*PAGES_EXERCISES, "tests/course/exercises/test_play.py::test_play_and_grader_agree")
    ),
    "story": Row({"06": "06.story"}, PAGES_EXERCISES),
    "matching": Row({"01": "01.maze", "02": "02.matching"}, PAGES_EXERCISES),
    "maze": Row(
        {"01": "01.maze"},
        (*PAGES_EXERCISES, "tests/course/tabular/test_maze.py::test_a_cell_d_steps_away_gets_its_value_in_sweep_d"),
    ),
    "cat": Row(
        {"01": "01.feeder"},
        (*PAGES_EXERCISES, "tests/course/tabular/test_feeder.py::test_the_mean_curve_is_the_curriculums"),
    ),
    "analyzing a learning system": Row({"01": "01.not-rl"}, PAGES_EXERCISES),
    "exploration/exploitation": Row({"08": "live(entropy_bonus"}, EXPERIMENTS),
    "on/off-policy": Row(
        {"09": "batch_age("},
        ("tests/course/tabular/test_planning.py::test_importance_weights_average_one_and_carry_the_value_over",),
    ),
    "actor-critic": Row({"07": "live(ppo_clip"}, EXPERIMENTS),
    "Q-learning": Row({"09": "live(cliff"}, EXPERIMENTS),
    "double Q-learning": Row(
        {"09": "optimisers_curse"},
        (
            "tests/course/tabular/test_control.py::test_the_maximum_of_noise_is_too_high_and_the_double_estimator_is_not",
        ),
    ),
    "MuZero": Row({"09": "planning(tree"}, (f"{PHRASES}model_based_looking_ahead_is_no_worse_than_sampling",)),
    "combining off- and on-policy in model-based RL": Row(
        {"09": "old_and_simulated("},
        (
            "tests/course/tabular/test_planning.py::test_every_mix_is_what_sampling_gives",
            "tests/course/tabular/test_planning.py::test_played_data_are_biased_and_simulated_ones_inherit_the_critic",
        ),
    ),
    "classification of methods": Row({"09": "09.methods"}, PAGES_EXERCISES),
    "website, book, tutorials": Row(
        dict.fromkeys(NOTEBOOKS, ""),
        (f"{PHRASES}websites_books_and_tutorials_are_three_a_notebook_with_a_question_each",),
    ),
    "math behind RL": Row({"04": "04.backup", "05": "05.gradient"}, (f"{PHRASES}scores_are_used_to_compute_v_and_q",)),
}


def cells_of(notebook: str, kind: str) -> str:
    """Return all cells of one kind of a notebook, as one text."""
    (path,) = (ROOT / "notebooks").glob(f"{notebook}_*.ipynb")
    return "\n".join(cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == kind)


@pytest.mark.parametrize("phrase", COVERED)
def test_a_phrase_is_taught_where_the_table_says_and_has_its_tests(phrase: str) -> None:
    row = COVERED[phrase]
    for notebook, code in row.taught.items():
        assert code in cells_of(notebook, "code"), notebook
    for test in row.tests:
        file, name = test.split("::")
        defined = ast.parse((ROOT / file).read_text("utf-8")).body
        assert name in {node.name for node in defined if isinstance(node, ast.FunctionDef)}, test


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
        for parameter in (weight for weight in twin.policy.model.parameters() if weight.requires_grad):
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


@pytest.mark.parametrize("name", ALGORITHMS)
def test_prompt_tokens_are_in_no_loss(name: str, world: World) -> None:
    """Notebook 02: what a loss is made of are the log-probs of the response, by the model's own full pass."""
    trainer = Trainer(world, name, world.config(name, batch_size=8, micro_batch_size=8, samples_per_prompt=4), seed=6)
    records = [phase.record for phase in trainer.phases() if phase.name in ("rollout", "loss")]
    rollout = next(record for record in records if isinstance(record, Rollout))
    terms = next(record for record in records if isinstance(record, LossTerms))
    with torch.no_grad():  # of the policy before the update, which the reference still is
        logits = world.reference.model(rollout.tokens, attention_mask=rollout.attention_mask.long()).logits
    every = logits[:, :-1].log_softmax(2).gather(2, rollout.tokens[:, 1:, None])[..., 0]
    asked = every[:, : rollout.prompt_width - 1]
    answered = every[:, rollout.prompt_width - 1 :].masked_fill(~rollout.response_mask, 0.0)
    assert torch.allclose(terms.logprobs, answered, atol=1e-5)
    assert bool((asked < -0.01).any())  # so the prompt would have been seen in a sum


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
    late, early = (world.reward.score(rows, timing=timing) for timing in ("end", "token"))
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
    assert f'Panel("{exercise.id}"' in cells_of(exercise.notebook, "code")
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
        named = re.findall(r"\]\((http[^)\s]+)\)", cells_of(notebook, "markdown"))
        assert named == [link["url"] for link in links[notebook]]


def test_every_exercise_is_asked_in_its_notebook() -> None:
    for exercise in exercises():
        assert f'Panel("{exercise.id}"' in cells_of(exercise.notebook, "code"), exercise.id
