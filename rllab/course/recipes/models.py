"""A critic that knows the reference policy before any training: what its texts are worth on average."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Punctuation, WhitespaceSplit
from tokenizers.pre_tokenizers import Sequence as InTurn
from torch import Tensor
from torch.nn import ModuleList
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from rllab.core.errors import LabError
from rllab.core.files import write_atomically
from rllab.core.jobs import NO_JOB, Job
from rllab.policy.generation import sequences_from_ids
from rllab.policy.networks import action_logits
from rllab.policy.policy import Policy
from rllab.reward.reward import RewardModel
from rllab.trainer.trainer import Trainer
from rllab.value.critic import Critic
from rllab.worlds.world import World

# ---- A critic that knows the reference policy before any training: what its texts are worth on average ----


def fit_critic(world: World, *, updates: int, seed: int = 0, job: Job = NO_JOB) -> Critic:
    """Fit the world's critic to returns of its policy, which stays as it is (its learning rate is 0).

    A learner who opens the value lens before training then sees a critic at work, and the first advantages
    of a run are no mere noise.
    """
    frozen = world.config(
        "ppo", lr=0.0, critic_lr=1e-3, lam=1.0, value_clip_eps=None, batch_size=256, micro_batch_size=64
    )
    trainer = Trainer(world, "ppo", frozen, seed=seed)
    trainer.run(updates, job=job)
    critic = trainer.world.critic
    if not isinstance(critic, Critic):
        raise LabError("world", world.name, "it has no critic that could be fitted")
    return critic


# ---- What the recipes of all worlds share: labelled pairs, and reward models with their zero and unit ----


def save_reward_model(reward: RewardModel, folder: Path) -> None:
    """Save a reward model with its zero and unit, in the form that worlds load."""
    reward.model.save_pretrained(folder)
    write_atomically(folder / "unit.json", json.dumps({"shift": reward.shift, "scale": reward.scale}) + "\n")


# ---- Tokenizers of closed vocabularies: every token is a word or a punctuation mark ----


def word_tokenizer(vocabulary: Sequence[str], *, eos: str = "<eos>") -> PreTrainedTokenizerFast:
    """Make a tokenizer whose tokens are words and punctuation marks, spaces between them or not.

    The vocabulary begins with the end token, which also pads: masks come from lengths, not from token ids.
    """
    backend = Tokenizer(WordLevel({word: number for number, word in enumerate(vocabulary)}, unk_token=eos))
    backend.pre_tokenizer = InTurn([WhitespaceSplit(), Punctuation("isolated")])
    return PreTrainedTokenizerFast(tokenizer_object=backend, eos_token=eos, pad_token=eos)


# ---- Pre-training of a small policy on texts: next-token prediction of responses, nothing else ----

POOL = 64  # batches whose texts are sorted by length together, so that little is padding


@dataclass(frozen=True)
class Text:
    """A prompt, which is read, and a whole response, which is learned."""

    prompt: str
    response: str


@dataclass(frozen=True)
class Schedule:
    """How to go through the texts: each once, with warm-up and a cosine down to a fiftieth."""

    rows: int = 8  # texts per step: many small steps learn to copy from the prompt soonest
    matrix_rate: float = 0.02  # of the blocks' matrices, by Muon
    learning_rate: float = 5e-3  # of all else, by AdamW
    warm_up: int = 100  # steps
    weight_decay: float = 0.01
    max_grad_norm: float = 1.0

    def factor(self, step: int, steps: int) -> float:
        """Return what the learning rates are multiplied by at a 0-based step."""
        falling = 0.02 + 0.49 * (1 + math.cos(math.pi * step / steps))
        return falling * min(1.0, (step + 1) / self.warm_up)


def pretrain(policy: Policy, texts: Sequence[Text], *, schedule: Schedule, seed: int, job: Job = NO_JOB) -> None:
    """Fit a policy to the responses of texts, each seen once."""
    batches = in_batches(texts, size=schedule.rows, chance=random.Random(seed))
    optimizers, shown = _optimizers(policy.model, schedule), 0.0
    rates = [
        torch.optim.lr_scheduler.LambdaLR(one, lambda step: schedule.factor(step, len(batches))) for one in optimizers
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

    Muon (Jordan 2024) makes every direction of a matrix's step equally long. Here it reaches in 100 seconds
    what AdamW alone reaches in 200.
    """
    blocks = {
        id(parameter) for stack in model.modules() if isinstance(stack, ModuleList) for parameter in stack.parameters()
    }
    matrices = [parameter for parameter in model.parameters() if id(parameter) in blocks and parameter.ndim == 2]
    chosen = {id(matrix) for matrix in matrices}
    others = [parameter for parameter in model.parameters() if id(parameter) not in chosen]
    adamw = torch.optim.AdamW(others, lr=schedule.learning_rate, betas=(0.9, 0.98), weight_decay=schedule.weight_decay)
    return torch.optim.Muon(matrices, lr=schedule.matrix_rate, weight_decay=0.0), adamw


def held_out_loss(policy: Policy, texts: Sequence[Text]) -> float:
    """Return the mean loss of the response tokens of texts that were not trained on, in nats per token."""
    with torch.no_grad():
        losses = [token_losses(policy, texts[start : start + 64]) for start in range(0, len(texts), 64)]
    return torch.cat(losses).mean().item()


def token_losses(policy: Policy, texts: Sequence[Text]) -> Tensor:
    """Return the negative log-prob of every response token, end tokens included, in one long row; nats."""
    ids = [policy.encode_response(text.response) for text in texts]
    sequences = sequences_from_ids(policy, [text.prompt for text in texts], ids)
    logits = action_logits(policy.model, sequences)
    mask = sequences.response_mask
    return torch.nn.functional.cross_entropy(logits[mask], sequences.response_tokens[mask], reduction="none")


def in_batches(texts: Sequence[Text], *, size: int, chance: random.Random) -> list[list[Text]]:
    """Cut texts into batches of like length, in an order by chance."""
    order = list(texts)
    chance.shuffle(order)
    batches: list[list[Text]] = []
    for start in range(0, len(order), size * POOL):
        pool = sorted(order[start : start + size * POOL], key=_lengths)
        cut = [pool[first : first + size] for first in range(0, len(pool), size)]
        chance.shuffle(cut)
        batches += cut
    return batches


def _lengths(text: Text) -> tuple[int, int]:
    """Sort by the prompt's length roughly, then by the response's."""
    return len(text.prompt.split()) // 3, len(text.response.split())
