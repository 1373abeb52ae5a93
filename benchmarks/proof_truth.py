"""Exact trees and Monte-Carlo values are fast enough to be computed between two clicks."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch
from transformers import GPT2Config, GPT2LMHeadModel

from benchmarks.result import Result
from rllab.course.recipes.models import word_tokenizer
from rllab.policy.generation import generate
from rllab.policy.policy import Policy
from rllab.policy.tabular import TabularConfig, TabularForCausalLM
from rllab.reward.reward import TokenReward
from rllab.truth import exact, monte_carlo
from rllab.value.critic import ZeroCritic
from rllab.worlds import load_world
from rllab.worlds.machine import set_threads_once
from rllab.worlds.world import World

VOCABULARY, HORIZON, PROMPT = 12, 5, "w1 w2 w3"
LEAVES = 177_156
TABULAR, TRANSFORMER, MICRO, SAMPLING = 0.1, 8.0, 1.0, 2.0  # seconds at most
POSITIONS, CONTINUATIONS, RATIO = 24, 64, 15.0
REPEATS, SINGLES = 7, 12


def measure() -> Result:
    """Time trees of 177,156 leaves with their gradients, the tree of micro, and 24 x 64 continuations in tales."""
    set_threads_once()
    seconds = {
        "tabular": tree_seconds(_world(_table())),
        "transformer": tree_seconds(_world(_transformer())),
        "micro": micro_seconds(),
    }
    batched, single, length = sampling_seconds()
    ratio = single * POSITIONS * CONTINUATIONS / batched
    quick = seconds["tabular"] <= TABULAR and seconds["transformer"] <= TRANSFORMER and seconds["micro"] <= MICRO
    shown = ", ".join(f"{name} {spent:.3f} s" for name, spent in seconds.items())
    return Result(
        claim=f"{LEAVES:,} leaves with their gradient, micro's tree, and {POSITIONS} x {CONTINUATIONS} continuations",
        target=f"tabular {TABULAR} s, transformer {TRANSFORMER:g} s, micro {MICRO:g} s, sampling {SAMPLING:g} s and "
        f"{RATIO:g} times as fast as one by one",
        figure=f"{shown}; sampling {batched:.2f} s, {ratio:.0f} times as fast (mean length {length:.0f} tokens)",
        passed=quick and batched <= SAMPLING and ratio >= RATIO,
        details=seconds | {"sampling": batched, "one by one": single, "ratio": ratio, "tokens": length},
    )


def tree_seconds(world: World) -> float:
    """Time one tree of the largest size with its gradient."""
    leaves = len(exact(world, PROMPT).leaves)
    if leaves != LEAVES:
        raise ValueError(f"the tree has {leaves} leaves instead of {LEAVES}")
    return quickest(lambda: exact(world, PROMPT).gradient())


def micro_seconds() -> float:
    """Time the tree of the committed micro world, learned reward and gradient included."""
    world = load_world("micro")
    return quickest(lambda: exact(world, world.prompts[0]).gradient())


def sampling_seconds() -> tuple[float, float, float]:
    """Time all positions of a story at once, and one call per position and sample; also return the story's length."""
    world = load_world("tales")
    prompt, ids = _story(world)
    prefixes = [ids[:t] for t in range(POSITIONS)]
    short = world.replace(max_new_tokens=POSITIONS + 16)  # at most 40 tokens after the prompt
    batched = quickest(lambda: monte_carlo(short, prompt, prefixes, samples=CONTINUATIONS, seed=0))
    singles = []
    for place in range(0, POSITIONS, POSITIONS // SINGLES):
        began = time.perf_counter()
        monte_carlo(short, prompt, [prefixes[place]], samples=1, seed=place)
        singles.append(time.perf_counter() - began)
    return batched, statistics.fmean(singles), float(len(ids))


def _story(world: World) -> tuple[str, tuple[int, ...]]:
    """Return a prompt and a sufficiently long response to it."""
    rows = generate(world.policy, list(world.prompts)[:64], max_new_tokens=world.max_new_tokens, seed=0)
    row = next(row for row in range(len(rows)) if int(rows.lengths[row]) >= POSITIONS)
    return rows.prompts[row], tuple(rows.response_ids(row))


def _words() -> list[str]:
    return [f"w{number}" for number in range(VOCABULARY - 1)]


def _table() -> Policy:
    """Return a tabular policy with random logits."""
    tokenizer = word_tokenizer(["<eos>", *_words()])
    config = TabularConfig(
        vocab_size=VOCABULARY, horizon=HORIZON, prompts=[tokenizer.encode(PROMPT)], width=VOCABULARY, eos_token_id=0
    )
    model = TabularForCausalLM(config).double()
    torch.manual_seed(0)
    with torch.no_grad():
        model.table.rows.weight.normal_()
    return Policy(model, tokenizer)


def _transformer() -> Policy:
    """Return a random transformer of micro's size."""
    torch.manual_seed(0)
    config = GPT2Config(vocab_size=VOCABULARY, n_positions=16, n_embd=32, n_layer=2, n_head=2, eos_token_id=0)
    return Policy(GPT2LMHeadModel(config).double(), word_tokenizer(["<eos>", *_words()]))


def _world(policy: Policy) -> World:
    """Return a world whose reward is a sum over tokens."""
    worth = torch.linspace(-1, 1, VOCABULARY, dtype=torch.float64)
    return World.starting_from(
        policy,
        name="large tree",
        critic=ZeroCritic(),
        reward=TokenReward("worth of tokens", worth),
        gold=None,
        prompts=(PROMPT,),
        max_new_tokens=HORIZON,
        defaults={"all": {}},
        about="the largest tree that may be enumerated",
    )


def quickest(work: Callable[[], object]) -> float:
    """Return the shortest of several timings after a warm-up, because other programs can only slow the work down."""
    work()
    spent = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        work()
        spent.append(time.perf_counter() - began)
    return min(spent)
