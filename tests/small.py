"""Small worlds with random weights: every kind of padding, all algorithms, a fraction of a second."""

import dataclasses

import torch
from transformers import GPT2Config, GPT2ForSequenceClassification, GPT2LMHeadModel

from rllab.core.records import Sequences
from rllab.policy.generation import generate, sequences_from_ids
from rllab.policy.policy import Policy
from rllab.reward.reward import TextReward
from rllab.value.critic import Critic, ZeroCritic
from rllab.worlds import World
from tests.fakes import fake_policy, word_tokenizer

WORDS = ("a", "b", "c", ".", "e", "f", "g")
PROMPTS = ("a b", "c", "b b a c")
DEFAULTS = {
    "all": {
        "batch_size": 12,
        "micro_batch_size": 12,
        "epochs": 2,
        "lr": 1e-2,
        "critic_lr": 1e-2,
        "value_clip_eps": None,
    },
    "grpo": {"samples_per_prompt": 4},
}


def gpt2_config(tokenizer, **changes):
    settings = {
        "vocab_size": len(tokenizer),
        "n_positions": 64,
        "n_embd": 16,
        "n_layer": 2,
        "n_head": 2,
        "resid_pdrop": 0.1,
        "embd_pdrop": 0.1,
        "attn_pdrop": 0.1,
        "initializer_range": 0.5,  # far from uniform, so that a wrong number is far from the right one
        "bos_token_id": None,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    return GPT2Config(**(settings | changes))


def gpt2_policy(*words, seed=0, dtype=torch.float64, pad_is_eos=True, **changes) -> Policy:
    """Make a random transformer with learned absolute positions, built with dropout as is usual."""
    tokenizer = word_tokenizer(*(words or WORDS), pad_is_eos=pad_is_eos)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = GPT2LMHeadModel(gpt2_config(tokenizer, **changes)).to(dtype)
    return Policy(model, tokenizer)


def gpt2_scalar(policy, *, seed=1) -> GPT2ForSequenceClassification:
    """Make a random one-label network over the same tokens."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return GPT2ForSequenceClassification(gpt2_config(policy.tokenizer, num_labels=1)).to(policy.dtype)


def taste(prompt, response, *, ended):
    """Like a and end, dislike b, in the light of the prompt's length."""
    words = response.split()
    liked = words.count("a") - 0.5 * words.count("b")
    return {"words": liked + 0.1 * len(prompt.split()) * words.count("c"), "ending": 1.0 if ended else -0.25}


def text_reward(policy, judge=taste, *, name="taste", **weights) -> TextReward:
    return TextReward(name, judge, policy.decode, weights or {"words": 1.0, "ending": 0.5})


def small_world(policy=None, **parts) -> World:
    """Make a world around a random transformer with a random critic."""
    policy = policy or gpt2_policy()
    world = World.starting_from(
        policy,
        name="small",
        critic=Critic(gpt2_scalar(policy)),
        reward=text_reward(policy),
        gold=None,
        prompts=PROMPTS,
        max_new_tokens=6,
        defaults=DEFAULTS,
        about="a random transformer",
    )
    return world.replace(**parts)


def reference_apart(world: World, *, seed=7, **changes) -> World:
    """Give a world a reference with other weights, so that no KL is 0."""
    reference = gpt2_policy(seed=seed, dtype=world.policy.dtype, **changes)
    reference.model.requires_grad_(requires_grad=False)
    return world.replace(reference=reference)


def one_token_world(**parts) -> World:
    """Make a task of one token whose best answer is known: a is worth 1, everything else nothing."""
    policy = fake_policy("a", "b", "c")

    def is_a(prompt, response, *, ended):
        return {"a": float(response == "a")}

    world = World.starting_from(
        policy,
        name="one token",
        critic=ZeroCritic(),
        reward=text_reward(policy, is_a, name="is a", a=1.0),
        gold=None,
        prompts=("b",),
        max_new_tokens=1,
        defaults={"all": {"batch_size": 16, "micro_batch_size": 16, "lr": 0.1, "kl_coef": 0.0}},
        about="one token",
    )
    return world.replace(**parts)


def written(policy, *, rows=12, width=6, seed=0, temperature=1.0) -> Sequences:
    """Let a policy write to the three prompts, so that rows differ in prompt and in length."""
    return generate(
        policy,
        PROMPTS,
        max_new_tokens=width,
        samples_per_prompt=rows // len(PROMPTS),
        seed=seed,
        temperature=temperature,
    )


def random_rows(policy, *, rows, prompt=4, width=6, seed=0) -> Sequences:
    """Lay out random ids: prompts and responses of every length, some ended, some cut."""
    generator = torch.Generator().manual_seed(seed)

    def ids(low, high):
        size = int(torch.randint(low, high + 1, (), generator=generator))
        return torch.randint(0, policy.eos_id, (size,), generator=generator).tolist()

    prompts = [ids(1, prompt) for _ in range(rows)]
    responses = []
    for _ in range(rows):
        words = ids(0, width)
        ends = len(words) < width and bool(torch.rand((), generator=generator) < 0.5)
        responses.append([*words, policy.eos_id] if ends or not words else words)
    return sequences_from_ids(policy, [policy.decode(row) for row in prompts], responses, encoded=prompts)


def with_pads(sequences: Sequences, *, seed: int, vocabulary: int) -> Sequences:
    """Put random ids into every padded column."""
    noise = torch.randint(0, vocabulary, sequences.tokens.shape, generator=torch.Generator().manual_seed(seed))
    tokens = torch.where(sequences.attention_mask, sequences.tokens, noise)
    return dataclasses.replace(sequences, tokens=tokens)


def row_ids(sequences: Sequences, row: int) -> tuple[list[int], list[int]]:
    """Return the prompt ids and the response ids of one row."""
    prompt = sequences.tokens[row, : sequences.prompt_width][sequences.attention_mask[row, : sequences.prompt_width]]
    return prompt.tolist(), sequences.response_ids(row)


def unpadded(policy, sequences: Sequences, rows: list[int]) -> Sequences:
    """Return some rows of equal lengths by themselves, without any padding."""
    ids = [row_ids(sequences, row) for row in rows]
    texts = [sequences.prompts[row] for row in rows]
    made = sequences_from_ids(policy, texts, [response for _, response in ids], encoded=[prompt for prompt, _ in ids])
    assert made.attention_mask.all()
    return made


def state_of(model) -> dict[str, torch.Tensor]:
    """Return a copy of all weights of a model."""
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


def same_weights(first, second) -> bool:
    """Tell whether two sets of weights are equal bit for bit."""
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def run_state(trainer) -> dict[str, torch.Tensor]:
    """Return the weights of a run's policy and critic."""
    critic = list(trainer.world.critic.parameters())
    policy = state_of(trainer.world.policy.model)
    return policy | {f"critic.{i}": parameter.detach().clone() for i, parameter in enumerate(critic)}
