"""V, Q and A three ways, each with what it is the value of; and what would have happened after another token."""

import dataclasses
import math
import sys
import threading

import pytest
import torch

from rllab.core.errors import LabError, Stopped
from rllab.core.jobs import Job
from rllab.policy.generation import generate
from rllab.trainer.trainer import Trainer
from rllab.truth import ExactCritic, exact
from rllab.truth.estimates import Candidates, candidates, estimate, estimate_along, lookahead
from rllab.truth.what_if import WhatIf, continuations, what_if
from rllab.value.critic import ZeroCritic
from rllab.value.evaluation import evaluate
from rllab.value.objective import Estimate
from rllab.worlds.stepper import BranchTree, Stepper
from tests.truth.trees import PROMPT, tree_world

WAYS = ["exact", "monte-carlo", "learned"]


@pytest.fixture(scope="module")
def world(tabular):
    """Give the table a reward in words, and a critic that has learned a little about it."""
    trainer = Trainer(tabular.replace(reward=tabular.gold), "ppo", seed=1)
    trainer.run(2)
    return trainer.world


def test_values_come_one_way_after_the_other_each_with_its_objective(world):
    prompt, prefixes = world.prompts[0], [(), (3,), (3, 0)]
    found = estimate(world, prompt, prefixes, WAYS, samples=500, seed=2)
    assert [one.kind for one in found] == [way for way in WAYS for _ in prefixes]
    assert all(one.objective is world.objective for one in found)
    tree = exact(world, prompt)
    assert [one.mean for one in found[:3]] == [tree.V(prefix) for prefix in prefixes]
    for one, truth in zip(found[3:6], found[:3], strict=True):
        assert abs(one.mean - truth.mean) <= 4.9 * one.standard_error + 1e-12
    rows = generate(world.policy, [prompt], max_new_tokens=5, seed=0)
    assert found[6].mean == pytest.approx(evaluate(world.policy, rows, critic=world.critic).values[0, 0].item())
    assert [found[place].mean for place in (2, 5, 8)] == [0.0] * 3  # behind the end nothing comes
    assert math.isnan(found[6].standard_error)


def test_a_trained_critic_answers_for_its_own_objective_alone(world):
    prompt = world.prompts[0]
    for changes, sentence in [
        ({"kl_coef": 0.7}, "kl_coef is 0.7, not 0.1: the critic was trained on expected score of “gold”"),
        ({"gamma": 0.5}, "gamma is 0.5, not 1"),
        ({"timing": "token"}, "timing is token, not end"),
    ]:
        other = dataclasses.replace(world.objective, **changes)
        with pytest.raises(LabError, match=sentence):
            estimate(world, prompt, [()], ["learned"], objective=other)
        estimate(world, prompt, [()], ["exact"], objective=other)
    same = dataclasses.replace(world.objective)
    assert estimate(world, prompt, [()], ["learned"], objective=same)[0].objective is same


def test_a_critic_of_the_right_objective_is_near_the_exact_values(tabular):
    trainer = Trainer(
        tabular.replace(reward=tabular.gold), "a2c", tabular.config("a2c", lr=0.0, lam=1.0, critic_lr=0.05), seed=0
    )
    before = _distance(trainer.world)
    trainer.run(40)
    assert _distance(trainer.world) < 0.2 * before


def _distance(world):
    """Return the mean squared error of the critic over what the policy writes."""
    prompt = world.prompts[0]
    rows = generate(world.policy, [prompt], max_new_tokens=5, samples_per_prompt=64, seed=9)
    truth = ExactCritic([exact(world, prompt)]).state_values(rows)[:, :-1]
    learned = evaluate(world.policy, rows, critic=world.critic).values
    return float((learned - truth)[rows.response_mask].square().mean())


def test_bad_input_gets_a_sentence(world, tabular, micro):
    prompt = world.prompts[0]
    with pytest.raises(LabError, match="choose one of exact, monte-carlo, learned"):
        estimate(world, prompt, [()], ["guessed"])
    with pytest.raises(LabError, match="this vocabulary has the ids 0 to 7"):
        estimate(world, prompt, [(8,)], ["exact"])
    with pytest.raises(LabError, match="samples is 0"):
        estimate(world, prompt, [()], ["monte-carlo"], samples=0)
    with pytest.raises(LabError, match="this world has no critic"):
        estimate(world.replace(critic=ZeroCritic()), prompt, [()], ["learned"])
    foreign = world.critic.copy()
    foreign.model.config.prompts = [[1, 1]]
    with pytest.raises(LabError, match="it belongs to another world"):
        estimate(world.replace(critic=foreign), prompt, [()], ["learned"])
    wider = micro.critic.copy()
    wider.model.config.vocab_size = 99
    with pytest.raises(LabError, match="it knows 99 words"):
        estimate(micro.replace(critic=wider), prompt, [()], ["learned"])
    with pytest.raises(LabError, match="it knows 99 words, and here are 8"):
        Stepper(micro.replace(critic=wider))
    with pytest.raises(LabError, match="choose two tokens"):
        what_if(world, prompt, (), [3])


@pytest.mark.parametrize("ask", [candidates, what_if])
def test_what_cannot_be_asked_of_a_state_is_refused_in_a_sentence(world, ask):
    prompt, kind = world.prompts[0], ("monte-carlo",) if ask is candidates else ()
    for prefix, tokens, samples, sentence in [
        ((), (3, 4), 0, "samples is 0: draw at least one"),
        ((0,), (3, 4), 5, "the response is over after token 1"),
        ((3,) * 5, (3, 4), 5, "at most 5 tokens"),
        ((9,), (3, 4), 5, "token 1 has the id 9"),
        ((), (3, 8), 5, "token 1 has the id 8"),
    ]:
        with pytest.raises(LabError, match=sentence):
            ask(world, prompt, prefix, tokens, *kind, samples=samples)


@pytest.mark.parametrize("timing", ["end", "token"])
def test_along_a_line_the_true_td_error_is_the_advantage(world, timing):
    prompt, ids = world.prompts[1], (1, 3, 5, 0)
    objective = dataclasses.replace(world.objective, timing=timing, gamma=0.9)
    line = estimate_along(world, prompt, ids, ["exact", "monte-carlo"], objective=objective, samples=400)
    tree = exact(world, prompt, objective=objective)
    assert [value.mean for value in line.values["exact"]] == [tree.V(ids[:t]) for t in range(5)]
    for t, token in enumerate(ids):
        assert line.q["exact"][t].mean == pytest.approx(tree.Q(ids[:t])[token].item(), abs=1e-10)
        assert line.advantages["exact"][t].mean == pytest.approx(tree.A(ids[:t])[token].item(), abs=1e-10)
        sampled = line.advantages["monte-carlo"][t]
        assert abs(sampled.mean - tree.A(ids[:t])[token].item()) <= 4.9 * sampled.standard_error + 1e-9
    assert line.tokens == tuple(world.policy.token_text(token) for token in ids)


def test_of_a_line_that_is_not_over_no_end_is_paid(world):
    line = estimate_along(world, world.prompts[0], (3, 5), ["exact"])
    assert line.rewards == (0.0, 0.0)
    assert len(line.values["exact"]) == 3
    assert estimate_along(world, world.prompts[0], (), ["exact"]).rewards == ()


@pytest.mark.parametrize("kind", WAYS)
def test_every_bar_keeps_q_minus_a_equal_to_v_and_advantages_cancel(world, kind):
    prompt, prefix = world.prompts[0], (1,)
    for tokens in (range(8), (3, 4, 0)):
        shown = candidates(world, prompt, prefix, list(tokens), kind, samples=50)
        for q, advantage in zip(shown.q, shown.advantages, strict=True):
            assert q.mean - advantage == pytest.approx(shown.value.mean, abs=1e-12)
        total = sum(prob * one for prob, one in zip(shown.probs, shown.advantages, strict=True))
        assert total + shown.other_prob * (shown.others.mean - shown.value.mean) == pytest.approx(0.0, abs=1e-12)
        assert all(estimate.kind == kind for estimate in shown.q)
    if kind == "exact":
        tree = exact(world, prompt)
        assert [estimate.mean for estimate in shown.q] == pytest.approx(tree.Q(prefix)[[3, 4, 0]].tolist(), abs=1e-10)
        assert shown.value.mean == pytest.approx(tree.V(prefix), abs=1e-10)


def test_candidates_by_sampling_and_their_others_agree_with_the_tree(world):
    prompt, prefix, shown = world.prompts[0], (1,), (3, 4)
    found = candidates(world, prompt, prefix, shown, "monte-carlo", samples=2000)
    truth = candidates(world, prompt, prefix, shown, "exact")
    for one, other in zip((*found.q, found.others, found.value), (*truth.q, truth.others, truth.value), strict=True):
        assert abs(one.mean - other.mean) <= 4.9 * one.standard_error + 1e-12
    assert found.probs == pytest.approx(truth.probs, abs=1e-12)
    assert found.value.standard_error < found.others.standard_error


def test_all_others_are_valued_without_the_tokens_that_are_shown():
    world = tree_world(words=3, horizon=3, seed=3, temperature=1.5)
    best = int(exact(world, PROMPT).Q(()).argmax())
    found, truth = (candidates(world, PROMPT, (), (best,), way, samples=1000) for way in ("monte-carlo", "exact"))
    assert abs(found.others.mean - truth.others.mean) <= 4.9 * found.others.standard_error
    assert found.probs == pytest.approx(truth.probs, abs=1e-12)
    assert truth.value.mean - found.others.mean > 4.9 * found.others.standard_error


@pytest.mark.parametrize(("gap", "sure"), [(0.2, False), (0.29, False), (0.31, True), (-0.2, False), (-0.31, True)])
def test_three_errors_are_needed_to_be_sure(world, gap, sure):
    one, other, apart = (Estimate(mean, 0.1, 64, "monte-carlo", world.objective) for mean in (gap, 0.0, gap))
    said = WhatIf("cat", "", ("happy", "sad"), (one, other), apart).sentence
    assert ("more than chance explains" in said) == sure
    assert ("can be chance" in said) != sure


def test_a_forecast_adds_what_was_paid_to_what_is_still_expected():
    world = tree_world(words=3, horizon=4, seed=2, gamma=0.6, timing="token", kl_coef=0.3)
    tree = exact(world, PROMPT)
    made = continuations(world.replace(critic=ExactCritic([tree])), PROMPT, (1,), samples=12, seed=0)
    for text, forecast, returned in zip(made.texts, made.forecasts, made.returns, strict=True):
        ids = (1, *world.policy.encode_response(text))[: len(forecast)]
        earned = 0.0
        for k, expected in enumerate(forecast):
            assert expected == pytest.approx(earned + 0.6**k * tree.V(ids[: k + 1]), abs=1e-12)
            if k + 1 < len(ids):
                paid = tree.Q(ids[: k + 1])[ids[k + 1]].item() - 0.6 * tree.V(ids[: k + 2])
                earned += 0.6**k * paid
        assert forecast[-1] == pytest.approx(returned, abs=1e-12)


@pytest.mark.parametrize("timing", ["end", "token"])
def test_what_a_critic_foresees_from_a_line_is_what_it_says_of_the_whole_texts(micro, timing):
    world = micro.replace(objective=dataclasses.replace(micro.objective, timing=timing, kl_coef=0.2))
    stepper = Stepper(world)
    for token in (3, 5, 1, 4):
        stepper.step(token)
    for t, shown in ((0, (3, 0)), (2, (7, 0, 2)), (4, (1, 2))):
        near, far = lookahead(stepper, t, shown), candidates(world, stepper.prompt, (3, 5, 1, 4)[:t], shown, "learned")
        assert [one.mean for one in near.q] == pytest.approx([one.mean for one in far.q], abs=1e-10)
        assert (near.value.mean, near.others.mean) == pytest.approx((far.value.mean, far.others.mean), abs=1e-10)
    assert stepper.prefix_ids == (3, 5, 1, 4)
    (before,) = estimate(world, stepper.prompt, [()], ["learned"])
    deltas = estimate_along(world, stepper.prompt, (3,), ["learned"]).advantages["learned"]
    assert lookahead(stepper, 0, (3,)).q[0].mean - before.mean == pytest.approx(deltas[0].mean, abs=1e-10)


def test_what_a_large_vocabulary_leaves_out_counts_as_average(world, monkeypatch):
    monkeypatch.setattr(sys.modules[Candidates.__module__], "LOOKED_AT", 3)
    found = candidates(world, world.prompts[0], (1,), (0, 6), "learned")
    total = sum(prob * advantage for prob, advantage in zip(found.probs, found.advantages, strict=True))
    assert total + found.other_prob * (found.others.mean - found.value.mean) == pytest.approx(0.0, abs=1e-12)
    assert abs(found.others.mean - found.value.mean) < 5


def test_a_line_that_is_older_than_the_policy_foresees_nothing(micro):
    policy = micro.policy.copy()
    stepper = Stepper(micro.replace(policy=policy))
    policy.changed()
    with pytest.raises(LabError, match="reset to write with the new one"):
        lookahead(stepper, 0, (3, 0))


def test_what_if_says_in_a_sentence_what_another_token_would_bring(world):
    happy, sad = (world.policy.encode_response(word)[0] for word in ("happy", "sad"))
    found = what_if(world, world.prompts[0], (), [happy, sad], samples=200, seed=1)
    tree = exact(world, world.prompts[0])
    gap = (tree.Q(())[happy] - tree.Q(())[sad]).item()
    assert abs(found.difference.mean - gap) <= 4.9 * found.difference.standard_error
    assert len(found.q[0].returns) == len(found.q[1].returns) == 200
    assert found.sentence.startswith(f"After “{world.prompts[0]}”, “happy” brings {found.q[0].mean:.2f} ± ")
    size = round(found.q[0].mean, 2) - round(found.q[1].mean, 2)
    assert f"“happy” is better by {size:.2f} ± " in found.sentence
    assert "more than chance explains" in found.sentence
    same = what_if(world, world.prompts[0], (3,), [sad, sad], samples=20)
    assert same.sentence.endswith("it makes no difference.")
    one = what_if(world, world.prompts[0], (), [happy, sad], samples=1)
    assert "draw more" in one.sentence


def test_stop_is_heard(world):
    stop = threading.Event()
    stop.set()
    for kind in ("exact", "monte-carlo"):
        with pytest.raises(Stopped):
            estimate(world, world.prompts[0], [()], [kind], job=Job(stop))


def test_lines_know_their_parents_and_share_what_they_have_in_common(tabular):
    lines = BranchTree(Stepper(tabular))
    for token in (3, 5, 3):
        lines.stepper.step(token)
    first = lines.stepper
    second = lines.branch(1, 4)
    assert second.prefix_ids == (3, 4)
    assert first.prefix_ids == (3, 5, 3)
    assert (lines.here, lines.branches[1].parent, lines.branches[1].at) == (1, 0, 1)
    assert lines.branch(1, 5) is first  # that text is there already
    assert lines.here == 0
    lines.go_to(1)
    lines.branch(2, 6)
    assert [branch.number for branch in lines.children(0)] == [1]
    assert [branch.number for branch in lines.children(1)] == [2]
    assert lines.text(2) == tabular.policy.decode((3, 4, 6))
    with pytest.raises(LabError, match="choose one of 0, 1, 2"):
        lines.go_to(7)


def test_a_step_reads_one_column_however_long_the_line_is(micro):
    widths = []
    critic = micro.critic.copy()
    critic.model.base_model.register_forward_pre_hook(
        lambda _, __, inputs: widths.append(inputs["input_ids"].shape[1]), with_kwargs=True
    )
    stepper = Stepper(micro.replace(critic=critic))
    for token in (3, 5, 3, 5):
        stepper.step(token)
    assert widths == [len(stepper.prompt_ids), 1, 1, 1, 1]
    rows = stepper.sequences()
    with torch.no_grad():
        values = micro.critic.state_values(rows)[0].tolist()
    assert [stepper.state_at(t).value for t in range(5)] == pytest.approx(values, abs=1e-12)
    stepper.back()
    branch = stepper.branch(2, 6)
    assert stepper.state.value == pytest.approx(values[3], abs=1e-12)
    branch_values = micro.critic.state_values(branch.sequences())[0].tolist()
    assert branch.state.value == pytest.approx(branch_values[-1], abs=1e-12)
