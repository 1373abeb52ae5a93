"""Generation: the same tokens as transformers, masks from lengths, randomness from a separate generator."""

import threading

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rllab.core.errors import Stopped
from rllab.core.jobs import Job
from rllab.core.records import take_rows
from rllab.maths.divergence import exponential_noise, filtered, sample
from rllab.policy.generation import Decoder, generate, pad_left, sample_tokens, sequences_from_ids
from rllab.policy.policy import Policy
from rllab.value.evaluation import evaluate
from rllab.worlds.stepper import Stepper
from tests.fakes import fake_policy
from tests.small import PROMPTS, gpt2_policy, random_rows, row_ids, small_world, written

SEEDS = 50


def theirs(policy, prompts, *, width, sampled):
    """Return the response ids that transformers' own generate writes, up to and with the end token."""
    encoded = [policy.encode(prompt) for prompt in prompts]
    tokens, mask = pad_left(encoded, width=max(map(len, encoded)), pad=policy.pad_id)
    chance = {"do_sample": True, "top_k": 0, "top_p": 1.0} if sampled else {"do_sample": False}
    made = policy.model.generate(
        tokens,
        attention_mask=mask.long(),
        max_new_tokens=width,
        eos_token_id=policy.eos_id,
        pad_token_id=policy.pad_id,
        **chance,
    )
    rows = made[:, tokens.shape[1] :].tolist()
    return [row[: row.index(policy.eos_id) + 1] if policy.eos_id in row else row for row in rows]


def greedy(policy, prompt, *, width):
    world = small_world(policy, prompts=(prompt,), max_new_tokens=width)
    stepper = Stepper(world, top_k=1)
    stepper.finish()
    return list(stepper.prefix_ids)


@pytest.fixture(scope="module", params=["transformer", "table"])
def policy(request, tabular):
    if request.param == "transformer":
        return gpt2_policy(dtype=torch.float32, initializer_range=0.3)
    twin = tabular.policy.copy()
    return Policy(twin.model.float(), twin.tokenizer)


@pytest.fixture(scope="module")
def prompts(policy, tabular):
    return tabular.prompts if policy.context == tabular.policy.context else PROMPTS


def test_sampled_text_is_that_of_transformers_token_for_token(policy, prompts):
    prompts = [*prompts, *prompts]  # of two widths, so that rows are padded on the left
    compared, ended = 0, 0
    for seed in range(SEEDS):
        ours = generate(policy, prompts, max_new_tokens=5, seed=seed)
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            assert [ours.response_ids(row) for row in range(len(ours))] == theirs(
                policy, prompts, width=5, sampled=True
            )
        compared, ended = compared + int(ours.lengths.sum()), ended + int(ours.ended.sum())
    assert compared > 4 * SEEDS
    assert 0 < ended < SEEDS * len(prompts)


def test_greedy_text_is_that_of_transformers_token_for_token(policy, prompts):
    batch = theirs(policy, prompts, width=5, sampled=False)
    if policy.context == 64:  # a stepper needs a critic over the same tokens
        assert [greedy(policy, prompt, width=5) for prompt in prompts] == batch
    decoder = Decoder(policy, [policy.encode(prompt) for prompt in prompts])
    columns = []
    for _ in range(5):
        columns.append(decoder.logits.argmax(dim=-1))
        decoder.push(columns[-1])
    rows = torch.stack(columns, dim=1).tolist()
    assert [row[: row.index(policy.eos_id) + 1] if policy.eos_id in row else row for row in rows] == batch


def test_the_stepper_writes_what_the_batch_call_writes_with_the_same_seed():
    policy = gpt2_policy()
    world = small_world(policy)
    for seed in range(10):
        stepper = Stepper(world, seed=seed)
        stepper.finish()
        batch = generate(policy, [PROMPTS[0]], max_new_tokens=world.max_new_tokens, seed=seed)
        assert list(stepper.prefix_ids) == batch.response_ids(0)


def test_the_draw_is_torch_multinomial():
    probs = torch.softmax(torch.randn(40, 9, generator=torch.Generator().manual_seed(0)), dim=-1)
    for seed in range(20):
        ours = sample(probs, exponential_noise(probs.shape, generator=torch.Generator().manual_seed(seed), like=probs))
        reference = torch.multinomial(probs, 1, generator=torch.Generator().manual_seed(seed))[:, 0]
        assert torch.equal(ours, reference)


def test_the_same_seed_writes_the_same_and_another_seed_something_else():
    policy = gpt2_policy()
    first, again, other = (written(policy, seed=seed) for seed in (3, 3, 4))
    assert first.responses == again.responses
    assert torch.equal(first.tokens, again.tokens)
    assert first.responses != other.responses


def test_without_a_seed_the_text_is_new_each_time():
    policy = fake_policy("a", "b", "c")
    first, second = (generate(policy, ["a"], max_new_tokens=20, samples_per_prompt=8).responses for _ in range(2))
    assert first != second


def test_a_row_does_not_depend_on_how_wide_its_neighbours_prompts_are():
    policy = gpt2_policy()
    noise = {"max_new_tokens": 5, "seed": 0}
    narrow = generate(policy, ["c", "c"], **noise)
    wide = generate(policy, ["c", "b b a c a b"], **noise)
    assert narrow.response_ids(0) == wide.response_ids(0)


def test_chance_has_no_other_source(untouched_chance):
    written(gpt2_policy(), seed=None)


def test_no_column_is_read_after_every_row_has_ended():
    after = torch.full((4, 4), -1e9, dtype=torch.float64)
    after[:, 3] = 0.0  # everything leads to <eos>
    policy = fake_policy("a", "b", "c", after=after)
    made = generate(policy, ["a", "b c"], max_new_tokens=9, seed=0)
    assert made.response_mask.shape == (2, 1)
    assert policy.model.calls == 1
    assert made.ended.all()


def test_progress_counts_tokens_and_stop_ends_the_writing():
    policy, calls = fake_policy("a", "b", "c"), []
    generate(
        policy, ["a"], max_new_tokens=4, samples_per_prompt=16, seed=0, job=Job(report=lambda *call: calls.append(call))
    )
    assert calls == [(done, 4, "tokens") for done in range(1, 5)]
    stop = threading.Event()
    columns = sample_tokens(
        Decoder(policy, [[0]] * 16), max_new_tokens=50, temperature=1.0, generator=torch.Generator(), job=Job(stop)
    )
    next(columns)
    stop.set()
    with pytest.raises(Stopped):
        next(columns)


def test_rows_of_one_prompt_stand_side_by_side_and_share_their_group():
    made = generate(fake_policy("a", "b"), ["a", "b", "a"], max_new_tokens=2, samples_per_prompt=2, seed=0)
    assert made.prompts == ("a", "a", "b", "b", "a", "a")
    assert made.group.tolist() == [0, 0, 1, 1, 2, 2]


# Decoder


@pytest.mark.parametrize("where", [0, 1, 3])
def test_a_decoder_taken_back_and_a_fork_read_on_as_if_nothing_had_been(where):
    policy = gpt2_policy()
    encoded = [policy.encode(prompt) for prompt in PROMPTS]
    columns = torch.randint(0, 7, (4, len(PROMPTS)), generator=torch.Generator().manual_seed(0))
    decoder, seen = Decoder(policy, encoded), []
    for column in columns:
        seen.append(decoder.logits)
        decoder.push(column)
    fork = decoder.fork()
    fork.crop(where, seen[where])
    fork.push(columns[where])
    straight = seen[where + 1] if where < 3 else decoder.logits
    assert torch.allclose(fork.logits, straight, atol=1e-12)
    other = decoder.fork()
    other.crop(0, seen[0])
    assert decoder.length == 4  # the origin is intact
    decoder.push(columns[0])
    fresh = Decoder(policy, encoded)
    for column in [*columns, columns[0]]:
        fresh.push(column)
    assert torch.allclose(decoder.logits, fresh.logits, atol=1e-12)


@pytest.mark.parametrize("work", [1, 10**6])
def test_prompts_read_in_pieces_are_read_alike(policy, prompts, work, monkeypatch):
    encoded = [policy.encode(prompt) for prompt in prompts]
    whole = Decoder(policy, encoded)
    monkeypatch.setattr("rllab.policy.generation.PASS_WORK", work)
    pieces = Decoder(policy, encoded)
    assert torch.allclose(pieces.logits, whole.logits, atol=1e-5)
    for decoder in (whole, pieces):
        decoder.push(torch.tensor([1, 2, 3]))
    assert torch.allclose(pieces.logits, whole.logits, atol=1e-5)


# Filters


@pytest.mark.parametrize(
    ("limits", "kept"),
    [
        ({"top_p": 0.5}, [4 / 7, 3 / 7, 0, 0]),  # the token that crosses 0.5 stays
        ({"top_p": 0.35}, [1, 0, 0, 0]),
        ({"top_k": 3}, [4 / 9, 3 / 9, 2 / 9, 0]),
        ({"top_k": 2, "top_p": 0.5}, [1, 0, 0, 0]),  # of 4/7 and 3/7 the first reaches 0.5
        ({}, [0.4, 0.3, 0.2, 0.1]),
    ],
)
def test_filter_by_hand(limits, kept):
    probs = torch.tensor([0.4, 0.3, 0.2, 0.1], dtype=torch.float64)
    expected = torch.tensor(kept, dtype=torch.float64)
    assert torch.allclose(filtered(probs, **limits), expected, atol=1e-15, rtol=0)


@given(
    logits=st.lists(st.floats(-4, 4), min_size=2, max_size=9, unique=True),
    top_p=st.floats(0.05, 0.999),
)
def test_top_p_keeps_the_fewest_likeliest_tokens_that_reach_the_mass(logits, top_p):
    probs = torch.softmax(torch.tensor(logits, dtype=torch.float64), dim=-1)
    kept = filtered(probs, top_p=top_p)
    inside = kept > 0
    mass = float(probs[inside].sum())
    assert inside[probs.argmax()]
    assert mass >= top_p - 1e-12
    assert mass - float(probs[inside].min()) < top_p + 1e-12  # one fewer would not reach it
    assert probs[inside].min() >= probs[~inside].max() if bool((~inside).any()) else mass > 1 - 1e-9
    assert torch.allclose(kept[inside], probs[inside] / mass, atol=1e-12)


@given(k=st.integers(1, 12), seed=st.integers(0, 1000))
def test_top_k_keeps_the_k_likeliest(k, seed):
    probs = torch.softmax(torch.randn(3, 8, generator=torch.Generator().manual_seed(seed)), dim=-1)
    kept = filtered(probs, top_k=k)
    assert ((kept > 0).sum(dim=-1) == min(k, 8)).all()
    assert torch.allclose(kept.sum(dim=-1), torch.ones(3))
    assert torch.equal(kept.argmax(dim=-1), probs.argmax(dim=-1))


# Layout


def test_padding_may_be_the_end_token_and_the_end_is_still_an_action():
    policy = fake_policy("a", "b", ".", pad_is_eos=True)
    end = policy.eos_id
    made = sequences_from_ids(policy, ["a b", "b"], [[0, end], [1, 0, 1]])
    assert made.tokens.tolist() == [[0, 1, 0, end, end], [end, 1, 1, 0, 1]]
    assert made.response_mask.tolist() == [[True, True, False], [True, True, True]]
    assert made.action_mask.tolist() == made.response_mask.tolist()
    assert made.attention_mask.tolist() == [[True, True, True, True, False], [False, True, True, True, True]]
    assert made.ended.tolist() == [True, False]
    assert made.responses == ("a", "b a b")


def test_a_row_has_ended_only_if_its_last_token_is_the_end():
    policy = fake_policy("a", "b")
    end = policy.eos_id
    made = sequences_from_ids(policy, ["a"] * 3, [[0, end], [0, 0], [end]])
    assert made.ended.tolist() == [True, False, True]
    cut = generate(fake_policy("a"), ["a"], max_new_tokens=1, samples_per_prompt=64, seed=0)
    assert cut.ended.tolist() == (cut.response_tokens[:, 0] == 1).tolist()
    assert 0 < cut.ended.sum() < 64


def test_sentences_are_counted_and_a_full_stop_belongs_to_its_sentence():
    policy = fake_policy("a", "b", ".", "!")
    end = policy.eos_id
    made = sequences_from_ids(policy, ["a", "b"], [[0, 2, 1, 0, 3, end], [2, 2, 0, end]])
    assert made.sentence[0].tolist() == [0, 0, 1, 1, 1, 2]
    assert made.sentence[1, :4].tolist() == [0, 1, 2, 2]


def test_forced_tokens_are_marked_and_padding_never_is():
    policy = fake_policy("a", "b")
    made = sequences_from_ids(policy, ["a", "b"], [[0, 1, 2], [1]], sampled=[[True, False, True], [False]])
    assert made.action_mask.tolist() == [[True, False, True], [False, False, False]]
    assert made.response_mask.tolist() == [[True, True, True], [True, False, False]]


def test_a_thousand_rows_come_back_as_they_were_laid_out():
    policy = gpt2_policy()
    made = random_rows(policy, rows=1000, prompt=8, width=9)
    assert {bool(one) for one in made.ended} == {True, False}
    again = sequences_from_ids(
        policy,
        made.prompts,
        [row_ids(made, row)[1] for row in range(1000)],
        encoded=[row_ids(made, row)[0] for row in range(1000)],
    )
    assert torch.equal(again.tokens, made.tokens)
    assert torch.equal(again.response_mask, made.response_mask)
    assert made.lengths.tolist() == [len(row_ids(made, row)[1]) for row in range(1000)]
    for row in range(1000):
        assert policy.encode(made.prompts[row]) == row_ids(made, row)[0]


def test_take_rows_cuts_every_field_alike():
    policy = gpt2_policy()
    rollout = evaluate(policy, written(policy))
    part = take_rows(rollout, slice(3, 7))
    assert len(part) == 4
    for name in ("tokens", "response_mask", "sentence", "ended", "group", "logprobs", "bootstrap"):
        assert torch.equal(getattr(part, name), getattr(rollout, name)[3:7]), name
    assert part.prompts == rollout.prompts[3:7]
    assert (part.prompt_width, part.temperature) == (rollout.prompt_width, rollout.temperature)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=5), min_size=2, max_size=2))
def test_prompt_and_response_are_tokenized_apart_with_one_end(texts):
    policy = fake_policy("a", "b", "c")
    prompt = policy.encode("a c")
    rows = [policy.encode_response(" ".join(text)) for text in texts]
    made = sequences_from_ids(policy, ["a c", "a c"], rows)
    for row in range(2):
        ids, response = row_ids(made, row)
        assert ids == prompt
        assert response.count(policy.eos_id) == 1
        assert response[-1] == policy.eos_id
