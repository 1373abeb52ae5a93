import math

import torch

from rllab.policy.generation import generate
from rllab.value.evaluation import evaluate
from tests.fakes import EOS, FixedCritic, byte_tokenizer, fake_model, fake_policy, word_tokenizer


def test_uniform_policy_says_log_of_the_vocabulary_at_every_token():
    policy = fake_policy("a", "b", "c")
    rollout = evaluate(policy, generate(policy, ["a b", "c"], max_new_tokens=5, samples_per_prompt=8, seed=0))
    logprobs = rollout.logprobs[rollout.response_mask]
    assert torch.allclose(logprobs, torch.full_like(logprobs, -math.log(4)), atol=1e-15)
    assert 0 < rollout.ended.sum() < len(rollout)


def test_tables_add_up_in_the_full_pass_and_in_the_cached_one():
    after, at = torch.randn(2, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    model = fake_model(4, after=after, at=at)
    tokens = torch.tensor([[2, 0, 3]])
    full = model(tokens).logits
    assert torch.equal(full[0], after[tokens[0]] + at[:3])
    first = model(tokens[:, :2], use_cache=True)
    second = model(tokens[:, 2:], past_key_values=first.past_key_values, use_cache=True)
    assert torch.equal(torch.cat([first.logits, second.logits], dim=1), full)


def test_generation_follows_the_table_and_stops_at_the_end_token():
    chain = torch.full((4, 4), -1e9, dtype=torch.float64)
    for i in range(3):
        chain[i, i + 1] = 0.0  # a -> b -> c -> <eos>
    policy = fake_policy("a", "b", "c", after=chain)
    written = generate(policy, ["a", "c"], max_new_tokens=5, seed=0)
    assert written.responses == ("b c", "")
    assert [written.response_ids(row) for row in range(2)] == [[1, 2, 3], [3]]
    theirs = policy.model.generate(
        torch.tensor([[0]]), attention_mask=torch.ones(1, 1), do_sample=False, max_new_tokens=5, eos_token_id=3
    )
    assert theirs.tolist() == [[0, 1, 2, 3]]


def test_word_tokenizer_numbers_words_from_zero():
    tokenizer = word_tokenizer("cat", "sat")
    assert tokenizer.encode("sat cat") == [1, 0]
    assert (tokenizer.eos_token_id, tokenizer.pad_token_id) == (2, 3)
    assert word_tokenizer("cat", pad_is_eos=True).pad_token_id == 1


def test_byte_tokenizer_splits_characters_and_joins_them_again():
    tokenizer = byte_tokenizer()
    text = "é 猫 🙂"
    ids = tokenizer.encode(text)
    assert len(ids) == len(text.encode())
    assert tokenizer.decode(ids) == text
    assert tokenizer.decode(ids[:1]) == "\ufffd"
    assert tokenizer.convert_tokens_to_ids(EOS) == 256 == tokenizer.eos_token_id


def test_fixed_critic_says_its_values():
    policy = fake_policy("a", "b")
    sequences = generate(policy, ["a"], max_new_tokens=3, samples_per_prompt=4, seed=0)
    width = sequences.response_mask.shape[1]
    critic = FixedCritic(torch.arange(4, dtype=torch.float64))
    values = evaluate(policy, sequences, critic=critic).values
    expected = torch.arange(width, dtype=torch.float64).expand_as(values)
    assert torch.equal(values, torch.where(sequences.response_mask, expected, 0.0))
