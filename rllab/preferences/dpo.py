"""Policies trained on pairs directly: DPO on both responses, supervised fine-tuning on the chosen ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace

import torch
from torch import Tensor

from rllab.core.config import Timing, check_number
from rllab.core.records import Scores, Sequences
from rllab.maths.divergence import entropy, selected_logprobs
from rllab.maths.losses import dpo_loss
from rllab.maths.masking import masked_sum
from rllab.policy.policy import Policy, choose_trainable
from rllab.preferences.pairs import Pair, PairBatch
from rllab.preferences.reward_fit import Lesson, Measure, PairLoop, PairRun, one_each
from rllab.reward.reward import per_token_scores
from rllab.worlds.world import World


@dataclass(frozen=True)
class PreferenceConfig:
    """Settings of a run on pairs; None stands for the world's own.

    Attributes:
        beta: Reward units per nat of KL.
        lr: Learning rate of Adam.
        batch_size: Pairs an update.
        micro_batch_size: Pairs a forward pass; changes memory, not the numbers.
        held_out: Share of the pairs that are only measured.
        max_grad_norm: Norm to which gradients are clipped.
    """

    beta: float = 0.1  # DPO: reward units per nat
    lr: float | None = None
    batch_size: int | None = None  # pairs per update
    micro_batch_size: int | None = None  # pairs per forward pass; never changes the result
    held_out: float = 0.1  # share of the pairs that is only measured
    max_grad_norm: float = 1.0

    def of(self, world: World) -> PreferenceConfig:
        """Return these settings with the world's own filled in, all checked.

        Args:
            world: The world that fills in what is None.

        Returns:
            Complete settings, all checked.
        """
        names = ("lr", "batch_size", "micro_batch_size")
        changes = {name: getattr(self, name) for name in names if getattr(self, name) is not None}
        settings = world.config("ppo", max_grad_norm=self.max_grad_norm, **changes)
        check_number("beta", self.beta, open_low=True)
        check_number("held_out", self.held_out, high=0.9)
        return replace(self, **{name: getattr(settings, name) for name in names})


@dataclass(frozen=True, eq=False)
class ImplicitReward:
    """The reward that a policy has learned if it is the optimum of reward minus beta KL: beta log(pi / pi_ref).

    A sum over tokens, so every prefix has a score: what DPO has come to like, token by token.

    Args:
        name: Name on curves and in panels.
        policy: The policy that is taken for an optimum.
        reference: Its reference.
        beta: Reward units per nat of KL.
        temperature: Temperature of both.
    """

    name: str
    policy: Policy
    reference: Policy
    beta: float  # reward units per nat
    temperature: float

    def score(self, sequences: Sequences, *, timing: Timing = "end") -> Scores:
        """Score each row: total, its one part and what is paid at each token.

        Args:
            sequences: The rows.
            timing: When the reward is paid: token, sentence or end.

        Returns:
            The scores; their unit is beta nats.
        """
        scores = self.prefix_scores(sequences)
        total = scores.gather(1, sequences.lengths[:, None].clamp(min=1) - 1)[:, 0]
        return Scores(total, {self.name: total}, per_token_scores(scores, sequences, timing=timing))

    def prefix_scores(self, sequences: Sequences) -> Tensor:
        """Score the text up to and with each token, (B, T); 0 on padding.

        Args:
            sequences: The rows.

        Returns:
            Score of the text up to and including each token, (B, T); 0 on padding.
        """
        with torch.no_grad():
            ours, theirs = (
                token_logprobs(policy, sequences, self.temperature) for policy in (self.policy, self.reference)
            )
        gain = torch.where(sequences.response_mask, ours - theirs, 0.0)
        return torch.where(sequences.response_mask, self.beta * gain.cumsum(dim=1), 0.0)


class PreferenceTrainer(PairRun):
    """A policy being trained on pairs (a Run): one update is one batch of pairs, and one epoch is all of them.

    `world` is the trainer's own, with a copy of the policy that learns; the reference stays the world's.

    Args:
        world: The world whose policy is copied.
        pairs: What is learned from.
        config: The settings.
        seed: Seed of the order of the pairs and of those held out.
        method: What is measured of a batch, the loss among it.
        counts: By what the sums of a batch are divided.
    """

    def __init__(
        self,
        world: World,
        pairs: Sequence[Pair],
        config: PreferenceConfig,
        *,
        seed: int,
        method: Callable[[World, PreferenceConfig], Measure],
        counts: Callable[[PairBatch], Tensor] = one_each,
    ) -> None:
        self.config, self.seed = config.of(world), seed
        self.world = world.replace(policy=world.policy.copy())
        settings = world.config("ppo")
        self._parameters = choose_trainable(self.world.policy.model, settings.trainable)
        self._optimizer = torch.optim.Adam(self._parameters, lr=self.config.lr or 0.0, eps=settings.adam_eps)
        lesson = Lesson(method(self.world, self.config), self._step, self._optimizer.zero_grad, counts)
        self._loop = PairLoop(
            world=self.world,
            lesson=lesson,
            seed=seed,
            settings=asdict(self.config),
            batch_size=self.config.batch_size or len(pairs),
            micro_batch_size=self.config.micro_batch_size or len(pairs),
            held_share=self.config.held_out,
        )
        self._loop.add(pairs)

    @property
    def reward(self) -> ImplicitReward:
        """Return the reward that the policy, as it is now, is the optimum of."""
        return _implicit(self.world, self.config)

    def _step(self) -> None:
        """Clip the gradient and take one step."""
        torch.nn.utils.clip_grad_norm_(self._parameters, self.config.max_grad_norm)
        with self.world.policy.lock:
            self._optimizer.step()
            self.world.policy.changed()


def train_dpo(
    world: World, pairs: Sequence[Pair], *, config: PreferenceConfig | None = None, seed: int = 0
) -> PreferenceTrainer:
    """Return a run that trains a copy of the world's policy on pairs by DPO (Rafailov et al. 2023); `run` it.

    Args:
        world: The world whose policy is copied.
        pairs: What is learned from.
        config: Settings; by default the world's own.
        seed: Seed of the order of the pairs.

    Returns:
        A run that has not begun; its `world` has the policy that learns.
    """
    return PreferenceTrainer(world, pairs, config or PreferenceConfig(), seed=seed, method=dpo)


def fine_tune(
    world: World, pairs: Sequence[Pair], *, config: PreferenceConfig | None = None, seed: int = 0
) -> PreferenceTrainer:
    """Return a run that fine-tunes a copy of the world's policy on the chosen responses (SFT); `run` it.

    Args:
        world: The world whose policy is copied.
        pairs: What is learned from.
        config: Settings; by default the world's own.
        seed: Seed of the order of the pairs.

    Returns:
        A run that has not begun; its `world` has the policy that learns.
    """
    return PreferenceTrainer(
        world, pairs, config or PreferenceConfig(), seed=seed, method=supervised, counts=_chosen_tokens
    )


def dpo(world: World, config: PreferenceConfig) -> Measure:
    """Return what DPO measures of pairs: its loss, and the implicit rewards beta log(pi / pi_ref)."""
    temperature = world.objective.temperature

    def logps(policy: Policy, side: Sequences) -> Tensor:
        return masked_sum(token_logprobs(policy, side, temperature), side.response_mask, dim=1)

    def measure(batch: PairBatch) -> dict[str, Tensor]:
        with torch.no_grad():
            ref_chosen, ref_rejected = (logps(world.reference, side) for side in (batch.chosen, batch.rejected))
        chosen, rejected = (logps(world.policy, side) for side in (batch.chosen, batch.rejected))
        for_chosen, for_rejected = config.beta * (chosen - ref_chosen), config.beta * (rejected - ref_rejected)
        return {
            "loss": dpo_loss(chosen, rejected, ref_chosen, ref_rejected, beta=config.beta),
            "rewards/chosen": for_chosen,
            "rewards/rejected": for_rejected,
            "rewards/margins": for_chosen - for_rejected,
            "rewards/accuracies": (for_chosen > for_rejected).double(),
            "logps/chosen": chosen,
            "logps/rejected": rejected,
        }

    return measure


def supervised(world: World, config: PreferenceConfig) -> Measure:
    """Return what supervised fine-tuning measures of the chosen responses, summed over their tokens."""
    del config  # has no setting for it

    def measure(batch: PairBatch) -> dict[str, Tensor]:
        rows = batch.chosen
        logits = world.policy.logits(rows, temperature=world.objective.temperature)  # (b, T, A)
        numbers = {
            "loss": -selected_logprobs(logits, rows.response_tokens),
            "entropy": entropy(logits),
            "mean_token_accuracy": (logits.argmax(dim=-1) == rows.response_tokens).double(),
        }
        return {name: masked_sum(values, rows.response_mask, dim=1) for name, values in numbers.items()}

    return measure


def token_logprobs(policy: Policy, sequences: Sequences, temperature: float) -> Tensor:
    """Return the log-prob of each response token, (B, T), in nats; of no meaning on padding."""
    return selected_logprobs(policy.logits(sequences, temperature=temperature), sequences.response_tokens)


def _implicit(world: World, config: PreferenceConfig) -> ImplicitReward:
    policy, reference = world.policy, world.reference
    return ImplicitReward("implicit reward", policy, reference, config.beta, world.objective.temperature)


def _chosen_tokens(batch: PairBatch) -> Tensor:
    return batch.chosen.lengths
