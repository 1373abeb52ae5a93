"""What a notebook may get wrong: every door to the truth answers with a sentence that names a way out which is one."""

import dataclasses
import math
import re

import pytest
import torch

from rllab.core.errors import LabError
from rllab.course.tabular.loop import moments
from rllab.reward.reward import TokenReward
from rllab.trainer.trainer import Trainer
from rllab.truth import exact, monte_carlo
from rllab.truth.calibration import calibration
from rllab.truth.enumeration import check_size
from rllab.truth.estimates import candidates, estimate, estimate_along
from rllab.truth.estimators import ARMS, cloud, compare, enumerated, sampled, true_gradient
from rllab.truth.groups import sample_group
from rllab.truth.what_if import continuations, what_if
from rllab.widgets import StepperPanel
from rllab.worlds import load_world
from rllab.worlds.environment import TokenEnv, Writer
from rllab.worlds.stepper import Stepper
from tests.fakes import word_tokenizer
from tests.truth.trees import PROMPT, tree_world

QUESTIONS = {
    "exact": exact,
    "monte_carlo": lambda world, prompt, **given: monte_carlo(world, prompt, [()], samples=2, seed=0, **given),
    "estimate": lambda world, prompt, **given: estimate(world, prompt, [()], ["exact"], **given),
    "along": lambda world, prompt, **given: estimate_along(world, prompt, (1,), ["exact"], **given),
    "what_if": lambda world, prompt, **given: what_if(world, prompt, (), (0, 1), samples=2, **given),
}


@pytest.mark.parametrize("name", QUESTIONS)
@pytest.mark.parametrize(
    ("world", "prompt", "objective", "sentence"),
    [
        ("micro", PROMPT, None, "give a world, as load_world returns it"),
        (None, PROMPT, "end", "give an Objective, as world.objective is one"),
        (None, "", None, "write at least one word"),
        (None, None, None, "write at least one word"),
        (None, 3, None, "write at least one word"),
        (None, "zebra", None, "zebra"),
    ],
)
def test_every_question_wants_a_world_a_prompt_and_an_objective(name, world, prompt, objective, sentence):
    with pytest.raises(LabError, match=sentence):
        QUESTIONS[name](world or tree_world(), prompt, objective=objective)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("temperature", 0.0),
        ("gamma", math.nan),
        ("gamma", 1.5),
        ("kl_coef", math.inf),
        ("kl_coef", "much"),
        ("timing", "never"),
        ("prefix_pay", "twice"),
        ("missing_eos_penalty", -1.0),
    ],
)
def test_an_objective_without_meaning_cannot_be_made(name, value):
    with pytest.raises(LabError, match=f"{name} is .*{value}"):
        dataclasses.replace(tree_world().objective, **{name: value})


ASKS = {
    "horizon": lambda world, some: exact(world, PROMPT, horizon=some),
    "top_k": lambda world, some: exact(world, PROMPT, top_k=-1 if some == 0 else some),
    "max_leaves": lambda world, some: exact(world, PROMPT, max_leaves=some),
    "samples": lambda world, some: monte_carlo(world, PROMPT, [()], samples=some, seed=0),
    "n": lambda world, some: exact(world, PROMPT).best_of(some),
    "continuations": lambda world, some: continuations(world, PROMPT, (), samples=some, seed=0),
    "responses": lambda world, some: sample_group(world, PROMPT, samples=some, seed=0),
    "calibrated samples": lambda world, some: calibration(world, samples=some),
    "parts": lambda world, some: calibration(world, samples=10, parts=some),
    "draws": lambda world, some: compare(world, rows=4, group=4, draws=some),
    "rows": lambda world, some: compare(world, rows=some, group=1, draws=2),
    "group": lambda world, some: compare(world, rows=4, group=some, draws=2),
    "listed group": lambda world, some: enumerated(world, exact(world, PROMPT), ARMS[0], group=some),
    "drawn": lambda world, some: cloud(exact(world, PROMPT), "V").sample(some, seed=0),
    "episodes": lambda world, some: list(moments(TokenEnv(world), Writer(TokenEnv(world)), episodes=some)),
    "limit": lambda world, some: list(moments(TokenEnv(world), Writer(TokenEnv(world)), episodes=1, limit=some)),
}


@pytest.mark.parametrize("name", ASKS)
@pytest.mark.parametrize("value", [0, -2, 2.5, "3", None])
def test_what_is_counted_is_a_whole_number(name, value):
    if (name, value) == ("horizon", None):
        return  # the world's own
    with pytest.raises(LabError) as caught:
        ASKS[name](tree_world(), value)
    assert str(caught.value).startswith(f"{caught.value.field} is {-1 if (name, value) == ('top_k', 0) else value!r}:")


@pytest.mark.parametrize(
    ("act", "sentence"),
    [
        (lambda world: monte_carlo(world, PROMPT, None, samples=2, seed=0), "prefixes is None: give a list"),
        (lambda world: monte_carlo(world, PROMPT, (0, 1), samples=2, seed=0), "prefix is 0: give the token ids"),
        (lambda world: monte_carlo(world, PROMPT, ["ab"], samples=2, seed=0), "token 1 has the id 'a'"),
        (lambda world: monte_carlo(world, PROMPT, [(0.0,)], samples=2, seed=0), "token 1 has the id 0.0"),
        (lambda world: monte_carlo(world, PROMPT, [()], samples=10**12, seed=0), "at most 5,000,000"),
        (lambda world: monte_carlo(world, PROMPT, [()], samples=2, seed=None), "seed is None"),
        (lambda world: monte_carlo(world, PROMPT, [()], samples=2, seed=1.5), "seed is 1.5"),
        (lambda world: monte_carlo(world, PROMPT, [()], samples=2, seed=0, barred=(9,)), "barred is"),
        (lambda world: monte_carlo(world, PROMPT, [()], samples=2, seed=0, barred=range(3)), "leave a token"),
        (lambda world: estimate(world, PROMPT, [()], "exact"), "kinds is 'exact': give a list"),
        (lambda world: estimate(world, PROMPT, [()], [["exact"]]), "choose one of exact, "),
        (lambda world: candidates(world, PROMPT, (), [], "monte-carlo"), "choose some tokens"),
        (lambda world: candidates(world, PROMPT, (), [0, 0], "exact"), "name each token once"),
        (lambda world: candidates(world, PROMPT, (), 0, "exact"), "choose some tokens"),
        (lambda world: what_if(world, PROMPT, (), ["a", "b"]), "token 1 has the id 'a'"),
        (lambda world: what_if(world, PROMPT, None, (0, 1)), "prefix is None"),
        (lambda world: estimate_along(world, PROMPT, "a b", ["exact"]), "token 1 has the id 'a'"),
        (lambda world: exact(world, PROMPT).optimum(0), "without a price for KL no best policy has a spread"),
        (lambda world: exact(world, PROMPT).optimum(math.inf), "give a finite number"),
        (lambda world: exact(world, PROMPT).optimum(-1.0), "above 0"),
        (lambda world: exact(world, PROMPT).kl(world), "give a policy"),
        (lambda world: sampled(world, [], ARMS[0], rows=2, group=2, draws=2), "give at least one prompt"),
        (lambda _: true_gradient([]), "trees is .*: give at least one"),
        (lambda world: TokenEnv(world).step("a"), "action is 'a'"),
        (lambda world: TokenEnv(world).step(1.5), "action is 1.5"),
        (lambda world: TokenEnv(world).reset(options={"promt": "a"}), "choose one of prompt"),
        (lambda world: Stepper(world, seed=None), "seed is None"),
        (lambda world: Stepper(world, top_p="all"), "top_p is 'all'"),
    ],
)
def test_bad_input_gets_a_sentence(act, sentence):
    with pytest.raises(LabError, match=sentence):
        act(tree_world())


@pytest.mark.parametrize("name", ["policy", "reference"])
def test_a_policy_of_other_words_is_not_read_as_if_its_words_were_these(name):
    world, other = tree_world(words=2), tree_world(words=2).policy
    other.tokenizer = word_tokenizer("a", "z", pad_is_eos=True)
    with pytest.raises(LabError, match="it writes with other tokens"):
        exact(world, PROMPT).kl(other) if name == "policy" else exact(world.replace(reference=other), PROMPT)


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf])
def test_a_reward_that_is_no_number_is_refused_with_the_response(wrong):
    world = tree_world()
    broken = TokenReward("broken", torch.full((3,), wrong, dtype=torch.float64))
    objective = dataclasses.replace(world.objective, reward=broken)
    for ask in QUESTIONS.values():
        with pytest.raises(LabError, match=r"reward broken is (nan|inf|-inf): .*return finite numbers"):
            ask(world, PROMPT, objective=objective)


class Untidy(TokenReward):
    """A reward that leaves rubbish on the padding."""

    def score(self, sequences, *, timing="end"):
        scores = super().score(sequences, timing=timing)
        rubbish = scores.per_token.masked_fill(~sequences.response_mask, math.nan)
        return dataclasses.replace(scores, per_token=rubbish)


def test_what_a_reward_leaves_on_the_padding_counts_for_nothing():
    world, worth = tree_world(), torch.tensor([0.5, -1.0, 2.0], dtype=torch.float64)
    tidy, untidy = (dataclasses.replace(world.objective, reward=kind("worth", worth)) for kind in (TokenReward, Untidy))
    assert exact(world, PROMPT, objective=untidy).J == exact(world, PROMPT, objective=tidy).J
    one, other = (monte_carlo(world, PROMPT, [()], samples=9, seed=0, objective=some)[0] for some in (tidy, untidy))
    assert one.returns == other.returns


@pytest.mark.parametrize(("limit", "size"), [("LARGEST", "MiB"), ("LONGEST", "s")])
def test_memory_and_time_are_limits_of_their_own(monkeypatch, limit, size):
    policy = load_world("micro-tabular").policy.copy()
    policy.model.config.horizon = 8
    for one in {"LARGEST", "LONGEST"} - {limit}:
        monkeypatch.setattr(f"rllab.truth.enumeration.{one}", math.inf)
    with pytest.raises(LabError, match=f"6,725,601 leaves, .*{size}.*: too large to enumerate; ask for a horizon of"):
        check_size(policy, [5, 7], horizon=8, top_k=0, max_leaves=10**9)
    monkeypatch.setattr(f"rllab.truth.enumeration.{limit}", math.inf)
    check_size(policy, [5, 7], horizon=8, top_k=0, max_leaves=10**9)


@pytest.mark.parametrize(
    ("words", "horizon", "top_k"), [(10, 6, 0), (30, 9, 0), (30, 12, 8), (400, 40, 0), (3, 60, 0), (60_000, 900, 0)]
)
def test_every_way_out_that_a_refusal_names_is_one(words, horizon, top_k):
    policy = load_world("micro-tabular").policy.copy()
    policy.model.config.vocab_size, policy.model.config.horizon = words, horizon
    with pytest.raises(LabError, match=r"leaves, [\d,]+ MiB, [\d,]+ s': too large to enumerate") as caught:
        check_size(policy, [5, 7], horizon=horizon, top_k=top_k)
    said = str(caught.value)
    named = dict(re.findall(r"a (horizon|top_k) of at most (\d+)", said))
    assert named
    for name, value in named.items():
        asked = {"horizon": horizon, "top_k": top_k}
        check_size(policy, [5, 7], **(asked | {name: int(value)}))
        if int(value) + 1 != asked[name]:
            with pytest.raises(LabError):
                check_size(policy, [5, 7], **(asked | {name: int(value) + 1}))


@pytest.mark.parametrize("door", [Stepper, Trainer, TokenEnv, lambda world: StepperPanel(world, lenses=("value",))])
@pytest.mark.parametrize("given", [3, None, ("micro",)])
def test_every_door_wants_a_world(door, given):
    with pytest.raises(LabError, match="give a world, as load_world returns it"):
        door(given)


def test_an_algorithm_is_named_by_a_word():
    with pytest.raises(LabError, match="algorithm is 3: choose one of reinforce, "):
        Trainer(tree_world(), 3)
