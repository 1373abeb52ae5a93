"""Every fault does what its page says, is seen where its page says, and the grader knows it from the others."""

import functools
import statistics

import pytest
import torch

from rllab.checkup import diagnose
from rllab.clinic import RUNS, Case, catalogue, draw_case, fault
from rllab.clinic.surgery import SURGERY
from rllab.errors import LabError
from rllab.opened_update import token_columns
from rllab.trainer import Trainer
from rllab.worlds import load_world

NAMES = tuple(catalogue())
FAULTS = NAMES[1:]
LONG = {"sampled colder than scored": 10}  # updates; what needs a mean over several


@functools.cache
def small_micro():
    world = load_world("micro")
    small = {**world.defaults["all"], "batch_size": 24, "micro_batch_size": 24, "epochs": 2}
    return world.replace(defaults={**world.defaults, "all": small})


@functools.cache
def case_of(name):
    """Run a fault once, beside its healthy twin."""
    case = Case(small_micro(), fault(name), seed=3)
    case.run(LONG.get(name, 4))
    return case


def test_there_are_at_least_ten_and_each_has_a_page_and_a_thread():
    assert set(catalogue()) == set(SURGERY)
    assert len(FAULTS) >= 10
    for name in FAULTS:
        one = fault(name)
        assert one.threads
        assert one.views
        assert bool(one.finding) != bool(one.unnamed), name  # named by the checkup, or a reason why not


@pytest.mark.parametrize("name", FAULTS)
def test_the_checkup_names_it_or_says_why_not(name):
    found = {finding.name for finding in diagnose(case_of(name).history) if finding.severity == "ill"}
    one = fault(name)
    assert found == ({one.finding} if one.finding else set())


@pytest.mark.parametrize("name", FAULTS)
def test_no_healthy_twin_is_ill(name):
    assert [one.name for one in diagnose(case_of(name).healthy) if one.severity == "ill"] == []


@pytest.mark.parametrize("name", FAULTS)
def test_it_is_seen_in_the_curves_that_its_page_names(name):
    case = case_of(name)
    for view in fault(name).views:
        kind, metric = view.split(":", maxsplit=1)
        if kind != "curve":
            continue
        ill, well = ([record.metrics[metric] for record in history] for history in (case.history, case.healthy))
        gap = abs(statistics.fmean(ill) - statistics.fmean(well))
        spread = statistics.pstdev(well)
        assert gap > max(1e-6, 0.5 * spread), (metric, ill, well)


@pytest.mark.parametrize("name", FAULTS)
def test_it_is_seen_in_the_tokens_that_its_page_names(name):
    columns = [view.split(":", maxsplit=1)[1] for view in fault(name).views if view.startswith("tokens")]
    if not columns:
        pytest.skip("its page names curves alone")
    case = Case(small_micro(), fault(name), seed=1)
    case.run(2)
    for column in columns:
        shown = SEEN[column](case, column)
        assert shown, column


def on_tokens(case, column):
    """Return a column over the response tokens of the last update."""
    return token_columns(case.opened)[column][case.opened.rollout.response_mask]


def off_from_the_networks(case, column):
    """Read the networks again, and see that the batch says something else."""
    rows = case.opened.rollout
    before = Case(case._world, case._hidden, seed=case.seed)
    before.run(case.trainer.index - 1)
    world = before.trainer.world
    with torch.no_grad():
        if column == "values":
            read = world.critic.state_values(rows)[:, :-1]
        else:
            logits = world.policy.logits(rows, temperature=1.0)
            read = torch.log_softmax(logits, dim=-1).gather(-1, rows.response_tokens[..., None])[..., 0]
    return not torch.allclose(read[rows.response_mask], on_tokens(case, column))


def values_look_wrong(case, column):
    if case._hidden.name == "detached critic":  # not a bit has moved since the start
        first = case._world.critic.state_values(case.opened.rollout)[:, :-1][case.opened.rollout.response_mask]
        return torch.equal(first.detach(), on_tokens(case, column))
    return off_from_the_networks(case, column)


def paid_looks_wrong(case, column):
    rows = case.opened.rollout
    truth = case.trainer.world.reward.score(rows).total
    return not torch.allclose(torch.where(rows.response_mask, case.opened.scores.per_token, 0.0).sum(dim=1), truth)


def drawn_too_likely(case, column):
    rows = case.opened.rollout
    return float(-on_tokens(case, column).mean()) < 0.8 * float(rows.entropies[rows.response_mask].mean())


def weights_look_wrong(case, column):
    weights = on_tokens(case, column)
    return bool((weights == 0).all()) or abs(float(weights.std()) - 1) > 0.01


def rewards_look_wrong(case, column):
    kl, paid = on_tokens(case, "kl"), on_tokens(case, "paid")
    return torch.allclose(on_tokens(case, column), paid + case.trainer.kl_coef * kl) and bool(kl.abs().max() > 0)


SEEN = {
    "values": values_look_wrong,
    "paid": paid_looks_wrong,
    "logprobs": drawn_too_likely,
    "ratio": lambda case, column: not torch.allclose(case.opened.epochs[0].ratio, torch.ones(()).double()),
    "learned": lambda case, column: not bool(on_tokens(case, column).all()),
    "kl": lambda case, column: bool((on_tokens(case, column) == 0).all()),
    "weights": weights_look_wrong,
    "rewards": rewards_look_wrong,
}


@pytest.mark.parametrize(("name", "changes"), [("mean of means", True), ("healthy", False)])
def test_mean_of_means_shows_when_the_micro_batches_are_cut_elsewhere(name, changes):
    world, norms = small_micro(), []
    for size in (8, 12):
        config = world.config("ppo", **{**RUNS["pieces"][1], "micro_batch_size": size})
        norms.append(Trainer(world, "ppo", config, stages=fault(name).stages).update()["grad_norm"])
    assert (abs(norms[0] - norms[1]) > 1e-6) == changes


def test_a_case_hides_its_fault_and_the_twin_starts_with_the_same_batch():
    case = case_of("KL with the wrong sign")
    assert case.history[0].samples == case.healthy[0].samples
    rows = case.tokens
    assert len(rows) == 24
    assert set(rows[0]) >= {"tokens", "logprobs", "ref_logprobs", "values", "rewards", "advantages", "ratio"}


def test_the_grader_explains_right_and_wrong():
    case = Case(small_micro(), fault("dropout on"))
    wrong = case.answer("groups of one")
    assert not wrong.right
    assert fault("groups of one").shows in wrong.explanation
    assert fault("dropout on").hint in wrong.explanation
    assert "dropout" not in wrong.explanation.lower()
    missed = case.answer("healthy")
    assert not missed.right
    assert "Something is wrong" in missed.explanation
    right = case.answer("dropout on")
    assert right.right
    assert fault("dropout on").mend in right.explanation
    assert case.answers == ["groups of one", "healthy", "dropout on"]
    assert case.reveal() is fault("dropout on")
    with pytest.raises(LabError, match="did you mean"):
        case.answer("dropuot on")


@pytest.mark.parametrize("name", NAMES)
def test_no_hint_gives_the_name_away(name):
    one = fault(name)
    assert name not in one.hint.lower()
    assert one.title not in one.hint.lower()


def test_drawing_a_case_is_chance_with_a_seed():
    world = small_micro()
    drawn = {draw_case(world, seed=seed).reveal().name for seed in range(12)}
    assert len(drawn) > 4
    assert draw_case(world, seed=4).reveal() is draw_case(world, seed=4).reveal()
    assert draw_case(world, seed=4, among=["healthy"]).reveal() is fault("healthy")


def test_a_case_that_was_not_run_has_no_tokens():
    case = Case(small_micro(), fault("healthy"))
    with pytest.raises(LabError, match="run it first"):
        case.tokens  # noqa: B018
    with pytest.raises(LabError, match="at least 1"):
        case.run(0)
