"""Models made from a grammar, for every world: tokenizer, transformer, pre-training, critic, reward model."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Punctuation, WhitespaceSplit
from tokenizers.pre_tokenizers import Sequence as InTurn
from torch import Tensor
from torch.nn import ModuleList
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedModel, PreTrainedTokenizerFast

from rllab.core.errors import LabError
from rllab.core.files import write_atomically
from rllab.core.jobs import NO_JOB, Job
from rllab.policy.generation import sequences_from_ids
from rllab.policy.networks import action_logits
from rllab.policy.policy import Policy
from rllab.preferences.pairs import Pair
from rllab.preferences.reward_fit import FitConfig, RewardFit, fit_reward_model, scalar_model
from rllab.reward.reward import Reward
from rllab.trainer.trainer import Trainer
from rllab.value.critic import Critic, ZeroCritic
from rllab.worlds.world import World

POOL = 64  # batches whose texts are sorted by length together, so that there is little padding


def word_tokenizer(vocabulary: Sequence[str], *, eos: str = "<eos>") -> PreTrainedTokenizerFast:
    """Return a tokenizer whose tokens are words and punctuation marks, with or without spaces between them.

    Args:
        vocabulary: The words, the end token first.
        eos: The end token, which also pads: masks come from lengths, not from token ids.
    """
    backend = Tokenizer(WordLevel({word: number for number, word in enumerate(vocabulary)}, unk_token=eos))
    backend.pre_tokenizer = InTurn([WhitespaceSplit(), Punctuation("isolated")])
    return PreTrainedTokenizerFast(tokenizer_object=backend, eos_token=eos, pad_token=eos)


def new_transformer(
    tokenizer: PreTrainedTokenizerFast, *, positions: int, width: int, layers: int, heads: int, spread: float = 0.02
) -> GPT2LMHeadModel:
    """Return an untrained GPT-2 type transformer without dropout.

    Args:
        tokenizer: Its tokens.
        positions: The longest text, in tokens.
        width: The size of a state.
        layers: The number of layers.
        heads: The number of heads.
        spread: The standard deviation of the initial weights.
    """
    config = GPT2Config(
        vocab_size=len(tokenizer),
        n_positions=positions,
        n_embd=width,
        n_layer=layers,
        n_head=heads,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        initializer_range=spread,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return GPT2LMHeadModel(config)


def new_world(policy: Policy, judge: Reward, *, name: str, prompts: Sequence[str], **parts: Any) -> World:
    """Return a world around a new policy: the critic is 0 everywhere, and the reward is for now the judge itself.

    Args:
        policy: The policy.
        judge: Reward and gold.
        name: The world's name.
        prompts: The prompts.
        **parts: Length limit and default settings.
    """
    world = World.starting_from(
        policy, name=name, critic=ZeroCritic(), reward=judge, gold=judge, prompts=prompts, about="being built", **parts
    )
    return world.replace(critic=Critic(scalar_model(world)))


def fit_and_save(
    world: World,
    pairs: Sequence[Pair],
    folder: Path,
    *,
    config: FitConfig | None = None,
    epochs: int,
    critic_updates: int,
    seed: int,
    job: Job = NO_JOB,
) -> RewardFit:
    """Fit a reward model and a critic, and save both in the form that worlds load.

    The critic is fitted to returns of the world's policy, which stays as it is (its learning rate is 0). A learner
    who opens the value lens before training then sees a critic at work, and the first advantages of a run are more
    than noise.

    Args:
        world: The world without either.
        pairs: The labels for the reward model.
        folder: Where they are saved, as `reward` and `critic`.
        config: How the reward model is fitted.
        epochs: Of the reward model.
        critic_updates: The number of updates of 256 responses for the critic.
        seed: Of both.
        job: Stops the work, and receives the progress.

    Returns:
        The fit of the reward model.

    Raises:
        LabError: If the world has no critic to fit.
    """
    fit = fit_reward_model(world, pairs, config=config, seed=seed)
    fit.run(epochs * fit.updates_per_epoch, job=job)
    reward = fit.reward
    reward.model.save_pretrained(folder / "reward")
    unit = {"shift": reward.shift, "scale": reward.scale}
    write_atomically(folder / "reward" / "unit.json", json.dumps(unit) + "\n")
    frozen = world.config(
        "ppo", lr=0.0, critic_lr=1e-3, lam=1.0, value_clip_eps=None, batch_size=256, micro_batch_size=64
    )
    trainer = Trainer(world.replace(reward=reward), "ppo", frozen, seed=seed)
    trainer.run(critic_updates, job=job)
    critic = trainer.world.critic
    if not isinstance(critic, Critic):
        raise LabError("world", world.name, "it has no critic to fit")
    critic.model.save_pretrained(folder / "critic")
    return fit


# ---- Pre-training of a small policy on texts: next-token prediction of responses ----


@dataclass(frozen=True)
class Text:
    """A prompt, which is read, and a whole response, which is learned."""

    prompt: str
    response: str


@dataclass(frozen=True)
class Schedule:
    """How to go through the texts: each once, with warm-up and a cosine down to a fiftieth."""

    rows: int = 8  # texts per step: many small steps are the fastest way to learn to copy from the prompt
    matrix_rate: float = 0.02  # of the blocks' matrices, by Muon
    learning_rate: float = 5e-3  # of all else, by AdamW
    warm_up: int = 100  # steps
    weight_decay: float = 0.01
    max_grad_norm: float = 1.0

    def factor(self, step: int, steps: int) -> float:
        """Return the factor of the learning rates at a step.

        Args:
            step: 0-based.
            steps: The number of steps in all.
        """
        falling = 0.02 + 0.49 * (1 + math.cos(math.pi * step / steps))
        return falling * min(1.0, (step + 1) / self.warm_up)


def pretrain(policy: Policy, texts: Sequence[Text], *, schedule: Schedule, seed: int, job: Job = NO_JOB) -> None:
    """Fit a policy to the responses of texts, each seen once.

    Args:
        policy: The policy, which is changed.
        texts: The texts.
        schedule: Learning rates and the size of a step.
        seed: Of the order of the texts.
        job: Stops the training, and receives the progress.
    """
    batches = in_batches(texts, size=schedule.rows, generator=random.Random(seed))
    optimizers, shown = _optimizers(policy.model, schedule), 0.0
    rates = [
        torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: schedule.factor(step, len(batches)))
        for optimizer in optimizers
    ]
    for step, batch in enumerate(batches):
        job.check()
        loss = token_losses(policy, batch).mean()
        policy.model.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(policy.model.parameters(), schedule.max_grad_norm)
        for optimizer, rate in zip(optimizers, rates, strict=True):
            optimizer.step()
            rate.step()
        shown = 0.98 * shown + 0.02 * loss.item() if step else loss.item()
        job.report(step + 1, len(batches), f"pre-training, loss {shown:.3f} nats per token")
    policy.changed()


def _optimizers(model: PreTrainedModel, schedule: Schedule) -> tuple[torch.optim.Optimizer, torch.optim.Optimizer]:
    """Return Muon for the blocks' matrices and AdamW for all else.

    Muon (Jordan 2024) makes every direction of a matrix's step equally long. Here it needs 100 seconds to reach
    what takes AdamW alone 200.
    """
    stacks = [stack for stack in model.modules() if isinstance(stack, ModuleList)]
    blocks = {id(parameter) for stack in stacks for parameter in stack.parameters()}
    matrices = [parameter for parameter in model.parameters() if id(parameter) in blocks and parameter.ndim == 2]
    chosen = {id(matrix) for matrix in matrices}
    others = [parameter for parameter in model.parameters() if id(parameter) not in chosen]
    adamw = torch.optim.AdamW(others, lr=schedule.learning_rate, betas=(0.9, 0.98), weight_decay=schedule.weight_decay)
    return torch.optim.Muon(matrices, lr=schedule.matrix_rate, weight_decay=0.0), adamw


def held_out_loss(policy: Policy, texts: Sequence[Text]) -> float:
    """Return the mean loss of the response tokens of texts, in nats per token.

    Args:
        policy: The policy.
        texts: Texts that it was not trained on.
    """
    with torch.no_grad():
        losses = [token_losses(policy, texts[start : start + 64]) for start in range(0, len(texts), 64)]
    return torch.cat(losses).mean().item()


def token_losses(policy: Policy, texts: Sequence[Text]) -> Tensor:
    """Return the negative log-prob of every response token, end tokens included, in one long row; nats.

    Args:
        policy: The policy.
        texts: The texts, in one batch.
    """
    ids = [policy.encode_response(text.response) for text in texts]
    sequences = sequences_from_ids(policy, [text.prompt for text in texts], ids)
    logits = action_logits(policy.model, sequences)
    mask = sequences.response_mask
    return torch.nn.functional.cross_entropy(logits[mask], sequences.response_tokens[mask], reduction="none")


def in_batches(texts: Sequence[Text], *, size: int, generator: random.Random) -> list[list[Text]]:
    """Return the texts in batches of similar length, in random order.

    Args:
        texts: The texts.
        size: Texts of a batch.
        generator: Of the order.
    """

    def lengths(text: Text) -> tuple[int, int]:  # the prompt's roughly, then the response's
        return len(text.prompt.split()) // 3, len(text.response.split())

    order = list(texts)
    generator.shuffle(order)
    batches: list[list[Text]] = []
    for start in range(0, len(order), size * POOL):
        pool = sorted(order[start : start + size * POOL], key=lengths)
        cut = [pool[first : first + size] for first in range(0, len(pool), size)]
        generator.shuffle(cut)
        batches += cut
    return batches
