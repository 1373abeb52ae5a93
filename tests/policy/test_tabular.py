"""The tabular models: one free row for every state, numbered without a clash, whatever the padding."""

import dataclasses
import itertools

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

from rllab.core.errors import LabError
from rllab.policy.generation import sequences_from_ids
from rllab.policy.policy import Policy
from rllab.policy.tabular import TabularConfig, TabularForCausalLM, TabularForSequenceClassification
from rllab.value.critic import Critic
from rllab.value.evaluation import evaluate
from tests.fakes import word_tokenizer
from tests.small import with_pads

PROMPTS = ["a", "b c", "c c a"]
HORIZON, VOCABULARY = 3, 4


def config(width=VOCABULARY):
    tokenizer = word_tokenizer("a", "b", "c", pad_is_eos=True)
    prompts = [tokenizer.encode(prompt) for prompt in PROMPTS]
    return TabularConfig(
        vocab_size=VOCABULARY,
        horizon=HORIZON,
        prompts=prompts,
        width=width,
        eos_token_id=3,
        pad_token_id=3,
        num_labels=1,
    )


@pytest.fixture(scope="module")
def policy():
    model = TabularForCausalLM(config()).double()
    with torch.no_grad():
        weight = model.table.rows.weight
        weight.copy_(torch.randn(weight.shape, dtype=weight.dtype, generator=torch.Generator().manual_seed(0)))
    return Policy(model, word_tokenizer("a", "b", "c", pad_is_eos=True))


def every_row(policy):
    """Lay out every response of the horizon to every prompt, in one padded batch."""
    rows = [list(row) for size in range(1, HORIZON + 1) for row in itertools.product(range(VOCABULARY), repeat=size)]
    prompts = [prompt for prompt in PROMPTS for _ in rows]
    return sequences_from_ids(policy, prompts, rows * len(PROMPTS))


def state_numbers(policy, rows):
    with torch.no_grad():
        mask = rows.attention_mask
        return policy.model.table._state_index(rows.tokens, mask)[:, rows.prompt_width - 1 :]


def test_every_state_has_a_row_of_its_own(policy):
    rows = every_row(policy)
    numbers = state_numbers(policy, rows)
    seen = {}
    for row in range(len(rows)):
        ids = rows.response_ids(row)
        for t in range(min(len(ids), HORIZON - 1) + 1):
            seen.setdefault((rows.prompts[row], tuple(ids[:t])), set()).add(int(numbers[row, t]))
    assert all(len(found) == 1 for found in seen.values())
    used = [found.pop() for found in seen.values()]
    assert len(set(used)) == len(used) == len(PROMPTS) * (1 + 4 + 16)
    table = policy.model.table.rows.weight
    assert min(used) == 1
    assert max(used) < len(table) == len(PROMPTS) * policy.model.config.states_per_prompt + 1


def test_full_responses_of_one_prompt_share_their_last_row(policy):
    rows = every_row(policy)
    numbers = state_numbers(policy, rows)
    full = rows.lengths == HORIZON
    for prompt in range(len(PROMPTS)):
        last = {
            int(numbers[row, HORIZON]) for row in range(len(rows)) if full[row] and rows.prompts[row] == PROMPTS[prompt]
        }
        assert last == {(prompt + 1) * policy.model.config.states_per_prompt}


def test_logits_are_the_rows_of_the_states(policy):
    rows = every_row(policy)
    numbers = state_numbers(policy, rows)[:, :-1]
    logits = policy.logits(rows, temperature=1.0)
    expected = policy.model.table.rows.weight[numbers]
    assert torch.equal(logits[rows.response_mask], expected[rows.response_mask])


def test_a_gradient_reaches_the_states_that_were_visited_alone(policy):
    rows = sequences_from_ids(policy, ["b c"], [[0, 3]])
    logits = policy.logits(rows, temperature=1.0)
    gradient = torch.autograd.grad(logits[:, :2].square().sum(), policy.model.table.rows.weight)[0]
    visited = gradient.abs().sum(dim=1).nonzero()[:, 0].tolist()
    assert visited == state_numbers(policy, rows)[0, :2].tolist()


def test_text_that_continues_no_prompt_is_row_zero(policy):
    rows = every_row(policy)
    elsewhere = dataclasses.replace(rows, tokens=torch.full_like(rows.tokens, 1))  # b b b ...
    assert (state_numbers(policy, elsewhere) == 0).all()


def test_padding_of_any_content_changes_nothing(policy):
    rows = every_row(policy)
    spoilt = with_pads(rows, seed=0, vocabulary=VOCABULARY)
    assert torch.equal(evaluate(policy, rows).logprobs, evaluate(policy, spoilt).logprobs)


def test_a_table_is_read_on_any_device(policy):
    rows = every_row(policy)
    tokens, mask = rows.tokens.to("meta"), rows.attention_mask.to("meta")
    assert policy.model.table._state_index(tokens, mask).device.type == "meta"


def test_a_table_survives_a_save(policy, tmp_path):
    policy.model.save_pretrained(tmp_path)
    again = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float64)
    rows = every_row(policy)
    found = evaluate(Policy(again, policy.tokenizer), rows).logprobs
    assert torch.equal(found, evaluate(policy, rows).logprobs)


def test_a_tabular_critic_starts_at_zero_and_survives_a_save(policy, tmp_path):
    shape = config()
    critic = Critic(TabularForSequenceClassification(shape).double())
    assert shape.width == VOCABULARY  # the caller's own settings stay
    rows = every_row(policy)
    assert (critic.state_values(rows) == 0.0).all()
    with torch.no_grad():
        critic.model.table.rows.weight.normal_(generator=torch.Generator().manual_seed(1))
    critic.model.save_pretrained(tmp_path)
    again = AutoModelForSequenceClassification.from_pretrained(tmp_path, dtype=torch.float64)
    assert torch.equal(Critic(again).state_values(rows), critic.state_values(rows))


def test_a_tabular_policy_has_one_logit_per_token():
    with pytest.raises(LabError, match="width is 5"):
        TabularForCausalLM(config(width=5))
