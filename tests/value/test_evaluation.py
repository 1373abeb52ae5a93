"""The full pass: the same numbers for the same text, however it is padded, sliced or spoilt."""

import threading

import pytest
import torch
from torch import Tensor

from rllab.core.errors import Stopped
from rllab.core.jobs import Job
from rllab.maths.divergence import kl_k1
from rllab.maths.masking import masked_sum
from rllab.policy.generation import generate, sequences_from_ids
from rllab.policy.networks import position_ids
from rllab.policy.policy import Policy
from rllab.value.critic import Critic
from rllab.value.evaluation import evaluate, rows_within_budget
from tests.fakes import FixedCritic, fake_policy
from tests.small import gpt2_policy, gpt2_scalar, random_rows, row_ids, unpadded, with_pads, written

LAYOUTS = 500
FIELDS = ("logprobs", "ref_logprobs", "values", "entropies", "exact_kl", "bootstrap")
TEMPERATURES = (0.3, 0.7, 1.0, 1.5)


def step_by_step(policy: Policy, prompt: list[int], response: list[int]) -> list[Tensor]:
    """Return each token's log-prob from a separate pass over the unpadded text before it: the slow oracle."""
    found = []
    for t, token in enumerate(response):
        logits = policy.model(torch.tensor([prompt + response[:t]])).logits[0, -1]
        found.append(torch.log_softmax(logits, dim=-1)[token].detach())
    return found


def test_500_pad_layouts_change_no_number_in_single_precision():
    policy = gpt2_policy(dtype=torch.float32)
    critic = Critic(gpt2_scalar(policy))
    rows = with_pads(random_rows(policy, rows=LAYOUTS, prompt=8, width=8), seed=1, vocabulary=policy.vocabulary)
    assert (~rows.attention_mask[:, 0]).sum() > 100  # padded on the left
    assert (~rows.attention_mask[:, -1]).sum() > 100  # and on the right
    padded = evaluate(policy, rows, critic=critic)
    for together in rows_of_one_shape(rows):
        plain = evaluate(policy, unpadded(policy, rows, together), critic=critic)
        size = plain.response_mask.shape[1]
        for name in ("logprobs", "values"):
            assert (getattr(padded, name)[together, :size] - getattr(plain, name)).abs().max() <= 1e-5
        assert (padded.bootstrap[together] - plain.bootstrap).abs().max() <= 1e-5


def rows_of_one_shape(rows):
    """Group row numbers by the lengths of prompt and response."""
    shapes = {}
    for row in range(len(rows)):
        shapes.setdefault(tuple(map(len, row_ids(rows, row))), []).append(row)
    return shapes.values()


def test_positions_count_real_tokens():
    mask = torch.tensor([[0, 0, 1, 1, 1], [1, 1, 1, 0, 0], [0, 1, 0, 1, 0]]).bool()
    assert position_ids(mask)[mask].tolist() == [0, 1, 2, 0, 1, 2, 0, 1]


def test_logprobs_are_those_of_a_pass_of_its_own_for_every_token():
    policy = gpt2_policy()
    rows = random_rows(policy, rows=12)
    rollout = evaluate(policy, rows)
    for row in range(len(rows)):
        expected = torch.stack(step_by_step(policy, *row_ids(rows, row)))
        assert torch.allclose(rollout.logprobs[row, : len(expected)], expected, atol=1e-12)
        product = expected.exp().prod().log()
        assert float(abs(rollout.logprobs[row].sum() - product)) <= 1e-10


def test_a_changed_token_changes_its_own_logprob_and_later_ones_alone():
    policy = gpt2_policy()
    response = [0, 3, 1, 5, 2, policy.eos_id]
    before = evaluate(policy, sequences_from_ids(policy, ["b c"], [response])).logprobs[0]
    for t in range(len(response)):
        changed = [*response]
        changed[t] = 4
        after = evaluate(policy, sequences_from_ids(policy, ["b c"], [changed])).logprobs[0]
        assert torch.equal(after[:t], before[:t])
        assert (after[t:] - before[t:]).abs().min() > 1e-6


@pytest.mark.parametrize("temperature", TEMPERATURES)
def test_logprobs_are_of_the_distribution_that_was_sampled(temperature):
    table = torch.randn(4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    policy = fake_policy("a", "b", "c", after=table)
    rows = generate(policy, ["a"], max_new_tokens=1, samples_per_prompt=5_000, temperature=temperature, seed=0)
    shares = torch.bincount(rows.response_tokens[:, 0], minlength=4) / len(rows)
    probs = torch.softmax(table[0] / temperature, dim=-1)
    assert ((shares - probs).abs() <= 5 * (probs * (1 - probs) / len(rows)).sqrt()).all()
    logprobs = evaluate(policy, rows, temperature=temperature).logprobs[:, 0]
    assert torch.allclose(logprobs, probs.log()[rows.response_tokens[:, 0]], atol=1e-12)


def test_two_passes_are_equal_bit_for_bit_although_the_model_was_built_with_dropout():
    policy = gpt2_policy(resid_pdrop=0.1, embd_pdrop=0.1, attn_pdrop=0.1)
    policy.model.train()  # even where somebody has set training mode
    rows = written(policy)
    first, second = evaluate(policy, rows), evaluate(policy, rows)
    assert torch.equal(first.logprobs, second.logprobs)


def test_what_padded_columns_hold_changes_not_a_bit():
    policy = gpt2_policy()
    reference, critic = gpt2_policy(seed=5), Critic(gpt2_scalar(policy))
    rows = random_rows(policy, rows=24, prompt=7, width=8)
    spoilt = with_pads(rows, seed=3, vocabulary=policy.vocabulary)
    assert not torch.equal(rows.tokens, spoilt.tokens)
    clean = evaluate(policy, rows, reference=reference, critic=critic)
    other = evaluate(policy, spoilt, reference=reference, critic=critic)
    for name in FIELDS:
        assert torch.equal(getattr(clean, name), getattr(other, name)), name
        if name != "bootstrap":
            assert (getattr(clean, name)[~rows.response_mask] == 0).all(), name


@pytest.mark.parametrize("size", [1, 5, 24])
def test_slices_change_no_number(size):
    policy = gpt2_policy()
    reference, critic = gpt2_policy(seed=5), Critic(gpt2_scalar(policy))
    rows = random_rows(policy, rows=24)
    whole = evaluate(policy, rows, reference=reference, critic=critic)
    sliced = evaluate(policy, rows, reference=reference, critic=critic, micro_batch_size=size)
    for name in FIELDS:
        assert torch.allclose(getattr(whole, name), getattr(sliced, name), atol=1e-12), name


def test_slices_are_as_large_as_memory_allows_and_never_empty(monkeypatch):
    policy = gpt2_policy()
    rows = random_rows(policy, rows=4)
    monkeypatch.setattr("rllab.value.evaluation.LOGITS_BUDGET", 1)
    assert rows_within_budget(policy, rows) == 1
    monkeypatch.setattr("rllab.value.evaluation.LOGITS_BUDGET", 10 * 3 * 7 * policy.vocabulary * 8)
    assert rows_within_budget(policy, rows) == 10


def test_a_row_that_was_cut_carries_the_value_after_its_last_token():
    policy = fake_policy("a", "b")
    end = policy.eos_id
    rows = sequences_from_ids(policy, ["a"] * 3, [[0, 1], [0, end], [0, 1, 1]])
    rollout = evaluate(policy, rows, critic=FixedCritic(torch.tensor([10.0, 11.0, 12.0, 13.0]).double()))
    assert rollout.bootstrap.tolist() == [12.0, 0.0, 13.0]
    assert rollout.values.tolist() == [[10.0, 11.0, 0.0], [10.0, 11.0, 0.0], [10.0, 11.0, 12.0]]


def test_kl_to_a_reference_with_the_same_weights_is_exactly_zero_and_costs_nothing():
    policy = fake_policy("a", "b", "c")
    twin = policy.copy()
    rollout = evaluate(policy, rows_of(policy), reference=twin)
    assert twin.model.calls == 0
    assert torch.equal(rollout.ref_logprobs, rollout.logprobs)
    assert (rollout.exact_kl == 0.0).all()
    policy.changed()
    assert (evaluate(policy, rows_of(policy), reference=twin).exact_kl == 0.0).all()
    assert twin.model.calls == 1


def rows_of(policy):
    return generate(policy, ["a", "b c"], max_new_tokens=4, samples_per_prompt=3, seed=0)


def test_exact_kl_is_the_mean_of_k1_and_never_negative():
    tables = torch.randn(2, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    policy, reference = (fake_policy("a", "b", "c", after=table) for table in tables)
    rows = generate(policy, ["a", "b"], max_new_tokens=3, samples_per_prompt=4_000, seed=0)
    rollout = evaluate(policy, rows, reference=reference)
    assert rollout.exact_kl.min() >= -1e-7
    estimate = masked_sum(kl_k1(rollout.logprobs, rollout.ref_logprobs), rows.response_mask, dim=1)
    assert (estimate < 0).double().mean() > 0.1  # a single sample's k1 is often negative
    difference = estimate - masked_sum(rollout.exact_kl, rows.response_mask, dim=1)
    assert abs(float(difference.mean())) <= 4 * float(difference.std()) / len(rows) ** 0.5
    after_a = rows.response_mask[:, 1:] & (rows.response_tokens[:, :-1] == 0)
    ours, others = (table[0].log_softmax(dim=-1) for table in tables)
    assert torch.allclose(rollout.exact_kl[:, 1:][after_a], (ours.exp() * (ours - others)).sum(), atol=1e-12)


def test_entropy_is_that_of_the_whole_distribution():
    policy = gpt2_policy()
    rows = random_rows(policy, rows=6)
    logits = policy.logits(rows, temperature=0.7).detach()
    expected = torch.distributions.Categorical(logits=logits).entropy()
    found = evaluate(policy, rows, temperature=0.7).entropies
    assert torch.allclose(found[rows.response_mask], expected[rows.response_mask], atol=1e-12)


def test_stop_ends_the_pass_between_slices():
    policy = gpt2_policy()
    stop = threading.Event()
    stop.set()
    with pytest.raises(Stopped):
        evaluate(policy, random_rows(policy, rows=2), job=Job(stop))


def test_weights_that_change_between_two_slices_start_the_pass_again(monkeypatch):
    policy = gpt2_policy()
    rows = random_rows(policy, rows=6, prompt=3, width=4)
    ordinary, calls = Policy.logits, []

    def learns_meanwhile(self, sequences, *, temperature):
        calls.append(len(sequences))
        found = ordinary(self, sequences, temperature=temperature)
        if len(calls) == 2:  # as if an update ended while the second slice was waiting for the lock
            with torch.no_grad():
                next(self.model.parameters()).add_(0.1)
            self.changed()
        return found

    monkeypatch.setattr(Policy, "logits", learns_meanwhile)
    torn = evaluate(policy, rows, micro_batch_size=2)
    monkeypatch.undo()
    assert calls == [2, 2, 2, 2, 2]  # two that were thrown away, then all three
    assert torch.equal(torn.logprobs, evaluate(policy, rows, micro_batch_size=2).logprobs)
