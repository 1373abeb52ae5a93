"""The policy: one door from text to tokens and back, copies that stay apart, parts that can be trained."""

import pytest
import torch

from rllab.core.config import CHOICES
from rllab.core.errors import LabError
from rllab.policy.policy import choose_trainable
from rllab.worlds import load_world
from tests.fakes import fake_policy
from tests.small import gpt2_policy, random_rows, same_weights, state_of


def test_text_comes_back_from_its_tokens():
    policy = fake_policy("cat", "sat", ".")
    ids = policy.encode("cat sat .")
    assert ids == [0, 1, 2]
    assert policy.decode([*ids, policy.eos_id]) == "cat sat ."
    assert policy.encode_response("sat .") == [1, 2, policy.eos_id]
    assert [policy.token_text(token) for token in (1, policy.eos_id)] == ["sat", "<eos>"]


def test_the_pad_is_the_end_token_where_the_tokenizer_has_none():
    policy = fake_policy("a", pad_is_eos=False)
    assert (policy.eos_id, policy.pad_id) == (1, 2)
    policy.tokenizer.pad_token = None
    assert policy.pad_id == policy.eos_id == 1


def test_temperature_divides_the_logits():
    policy = gpt2_policy()
    rows = random_rows(policy, rows=4)
    assert torch.equal(policy.logits(rows, temperature=0.5), policy.logits(rows, temperature=1.0) / 0.5)


def test_rows_that_are_alike_are_read_once_and_count_as_often_as_they_are_there():
    policy = gpt2_policy()
    apart, read = random_rows(policy, rows=4), []
    often = apart.select([2, 0, 2, 3, 1, 0, 2])
    with policy.model.register_forward_pre_hook(
        lambda _, args, inputs: read.append(len(inputs["input_ids"])), with_kwargs=True
    ):
        together = policy.logits(often, temperature=1.0)
    one_by_one = torch.cat([policy.logits(often.select([row]), temperature=1.0) for row in range(len(often))])
    assert read == [4]
    torch.testing.assert_close(together, one_by_one, rtol=1e-12, atol=1e-12)
    weights = list(policy.model.parameters())
    sums = (torch.autograd.grad(logits.square().sum(), weights) for logits in (together, one_by_one))
    for ours, theirs in zip(*sums, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)


def test_a_copy_has_the_same_weights_until_either_changes():
    policy = gpt2_policy()
    twin = policy.copy()
    assert twin.weights is policy.weights
    assert twin.version == policy.version
    twin.changed()
    assert twin.weights is not policy.weights
    assert (twin.version, policy.version) == (1, 0)


@pytest.mark.parametrize("choice", CHOICES["trainable"])
def test_training_a_part_of_a_copy_moves_that_part_alone_and_leaves_the_original(choice):
    policy = gpt2_policy()
    first = policy.copy()
    choose_trainable(first.model, choice)
    twin = first.copy()  # frozen parts may lie in the same memory now
    before = state_of(policy.model)
    chosen = choose_trainable(twin.model, choice)
    assert [parameter for parameter in twin.model.parameters() if parameter.requires_grad] == list(
        dict.fromkeys(chosen)
    )
    twin.logits(random_rows(policy, rows=4), temperature=1.0).square().mean().backward()
    torch.optim.SGD(chosen, lr=0.1).step()
    assert same_weights(before, state_of(policy.model))
    assert same_weights(before, state_of(first.model))
    moved = {name for name, tensor in state_of(twin.model).items() if not torch.equal(tensor, before[name])}
    names = {name for name, one in twin.model.named_parameters() if any(one is other for other in chosen)}
    assert moved - {"lm_head.weight", "transformer.wte.weight"} == names - {"lm_head.weight", "transformer.wte.weight"}
    assert moved


def test_what_was_frozen_and_shared_gets_memory_of_its_own_before_it_is_trained():
    policy = gpt2_policy()
    choose_trainable(policy.model, "biases")
    twin = policy.copy()
    before = state_of(policy.model)
    with torch.no_grad():
        for parameter in choose_trainable(twin.model, "all"):
            parameter.add_(1.0)
    assert same_weights(before, state_of(policy.model))


def test_the_parts_are_what_their_names_say():
    model = gpt2_policy(n_layer=5).model

    def names(choice):
        chosen = choose_trainable(model, choice)
        return {name for name, one in model.named_parameters() if any(one is other for other in chosen)}

    every = names("all")
    assert {name.rsplit(".", 1)[-1] for name in names("biases")} == {"bias"}
    assert names("head") == {"transformer.wte.weight"}  # GPT-2 ties the head to the embedding
    assert {name.split(".")[1] for name in names("last-blocks")} == {"h", "ln_f"}
    assert {name.split(".")[2] for name in names("last-blocks") if ".h." in name} == {"4"}
    assert every == {name for name, _ in model.named_parameters()}


def test_a_part_that_a_model_does_not_have_is_refused_and_nothing_is_frozen(tabular):
    model = tabular.policy.copy().model
    model.requires_grad_(requires_grad=True)
    with pytest.raises(LabError, match="trainable is 'head'"):
        choose_trainable(model, "head")
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_a_policy_reads_as_much_as_its_model(tabular, micro):
    assert gpt2_policy(n_positions=17).context == 17
    assert micro.policy.context == 8
    assert tabular.policy.context == 8  # three words of prompt and five of answer


def test_sentences_of_an_empty_batch_of_columns():
    policy = fake_policy("a", ".")
    assert policy.sentences(torch.zeros(3, 0, dtype=torch.long)).shape == (3, 0)


def test_a_full_stop_needs_no_space_before_it():
    tales = load_world("tales").policy
    prompt = load_world("tales").prompts[0]
    word = prompt.split()[-2]
    assert tales.encode_response(f"{word}.") == tales.encode_response(f"{word} .")


def test_a_table_refuses_a_prompt_that_it_has_no_rows_for(tabular):
    with pytest.raises(LabError, match="is a table over its own prompts; choose one of") as caught:
        tabular.policy.encode("happy happy")
    assert caught.value.field == "prompt"
