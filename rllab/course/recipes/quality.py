"""How well a story policy writes: what is measured of its texts, and the card that goes with the models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rllab.core.errors import LabError
from rllab.core.records import Sequences
from rllab.policy.generation import generate
from rllab.reward.stories import StoryGrammar, sentences_of
from rllab.worlds.world import World


@dataclass(frozen=True)
class Quality:
    """What a set of responses is like, as shares and means."""

    parseable: float  # share of sentences, unfinished ones counted as wrong
    ended: float  # share of responses
    distinct: float  # share of responses
    length: float  # tokens, the end token included
    gold: float
    gold_sd: float


def write_stories(world: World, *, count: int, seed: int) -> Sequences:
    """Let the world's policy answer its prompts in turn."""
    prompts = [world.prompts[number % len(world.prompts)] for number in range(count)]
    return generate(world.policy, prompts, max_new_tokens=world.max_new_tokens, seed=seed)


def quality(world: World, sequences: Sequences, grammar: StoryGrammar) -> Quality:
    """Measure responses."""
    if world.gold is None:
        raise LabError("world", world.name, "it has no gold judge, so its texts cannot be measured")
    sentences = [one for response in sequences.responses for one in sentences_of(response.split())]
    gold = world.gold.score(sequences).total.double()
    return Quality(
        parseable=sum(grammar.parse(one) is not None for one in sentences) / max(1, len(sentences)),
        ended=sequences.ended.double().mean().item(),
        distinct=len(set(sequences.responses)) / len(sequences),
        length=sequences.lengths.double().mean().item(),
        gold=gold.mean().item(),
        gold_sd=gold.std().item(),
    )


def card(world: World, grammar: StoryGrammar, *, facts: Mapping[str, Any]) -> str:
    """Write the card of the models: how made, how good, and ten samples on prompts that were held out."""
    sequences = write_stories(world, count=256, seed=0)
    found = quality(world, sequences, grammar)
    pairs = zip(sequences.prompts[:10], sequences.responses[:10], strict=True)
    return CARD.format(
        parameters=sum(parameter.numel() for parameter in world.policy.model.parameters()),
        samples="\n".join(f"{prompt} | {response}" for prompt, response in pairs),
        found=found,
        **facts,
    )


CARD = """# Models of the story world

Made by `python -m rllab build tales` from `data/tales/grammar.json`. Licence: Apache-2.0, like the rest.

- `policy`: a GPT-2 type transformer with {parameters:,} parameters, float32, pre-trained on {stories:,} stories of
  the grammar, each seen once. Loss on held-out stories: {loss:.3f} nats per response token. On 256 responses to
  held-out prompts {found.parseable:.1%} of the sentences are of the grammar, {found.ended:.1%} of the responses end
  within the limit, {found.distinct:.1%} are distinct, the mean length is {found.length:.1f} tokens, gold is
  {found.gold:.2f} with a standard deviation of {found.gold_sd:.2f}.
- `reward`: the policy's trunk with one number per state, fitted by Bradley-Terry for {epochs} epochs to {pairs:,} pairs
  that three noisy judges labelled, two of whom like length (data/README.md). On held-out pairs: loss
  {pair_loss:.3f} nats, accuracy {pair_accuracy:.1%}. `unit.json` holds its zero and unit: mean and standard
  deviation over responses of the policy.
- `critic`: a trunk of its own, started as the policy's, fitted to {critic} batches of the policy's returns.

Samples of the policy on held-out prompts (prompt | response):

```
{samples}
```
"""
