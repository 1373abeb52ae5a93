"""The critic: a network of its own that predicts V(s_t) at every state."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Protocol, Self

import torch
from torch import Tensor, nn

from rllab.core.errors import LabError
from rllab.policy.networks import copy_sharing_frozen, state_scalars, without_dropout

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from rllab.core.records import Sequences
    from rllab.policy.networks import Trunk


class ValueFunction(Protocol):
    """What the lab asks of a critic."""

    def state_values(self, sequences: Sequences) -> Tensor:
        """Return V at the states s_0..s_T, in reward units.

        Args:
            sequences: The rows to read.

        Returns:
            Values, (B, T+1).
        """
        ...

    def parameters(self) -> Iterator[nn.Parameter]:
        """Return the parameters that an optimizer may change."""
        ...

    def copy(self) -> ValueFunction:
        """Return an independent critic with the same weights."""
        ...


class Critic:
    """A trunk of its own with one number per state; the head starts at zero, so V = 0 before training.

    The trunk is not shared with the policy: a critic that learns must not move the policy.

    Args:
        model: A one-label network; its dropout is switched off.
        trunk: Frozen blocks that are run once for all networks that share them.
    """

    def __init__(self, model: PreTrainedModel, *, trunk: Trunk | None = None) -> None:
        self.model = without_dropout(model)
        self.trunk = trunk

    @classmethod
    def for_policy(cls, trunk: PreTrainedModel, model: PreTrainedModel) -> Critic:
        """Return a critic whose trunk starts as another model's, with a zero head; a table is a head alone.

        Args:
            trunk: The model whose trunk is copied.
            model: A one-label network of the same shape, to be filled.

        Returns:
            The critic.
        """
        head = list(model.get_submodule("score").parameters())
        if head:
            model.base_model.load_state_dict(trunk.base_model.state_dict())
        for parameter in head or model.parameters():
            nn.init.zeros_(parameter)
        return cls(model)

    def state_values(self, sequences: Sequences) -> Tensor:
        """Return V at the states s_0..s_T, in reward units.

        Args:
            sequences: The rows to read.

        Returns:
            Values, (B, T+1).
        """
        return state_scalars(self.model, sequences, trunk=self.trunk)

    def check_knows(self, prompt: str, prompt_ids: Sequence[int], *, vocabulary: int) -> None:
        """Raise LabError if this critic belongs to another world: its numbers would mean nothing here.

        Args:
            prompt: A prompt of the world.
            prompt_ids: Its token ids.
            vocabulary: The world's number of tokens.

        Raises:
            LabError: If the critic has another vocabulary, or is a table without the prompt.
        """
        config = self.model.config
        if config.vocab_size != vocabulary:
            remedy = f"it belongs to another world: it knows {config.vocab_size} words, and here are {vocabulary}"
            raise LabError("critic", type(self.model).__name__, remedy)
        if list(prompt_ids) not in getattr(config, "prompts", [list(prompt_ids)]):
            remedy = f"it belongs to another world: it knows {len(config.prompts)} prompts, and not {prompt!r}"
            raise LabError("critic", type(self.model).__name__, remedy)

    def parameters(self) -> Iterator[nn.Parameter]:
        """Return the parameters that an optimizer may change: all that are not frozen."""
        return (parameter for parameter in self.model.parameters() if parameter.requires_grad)

    def copy(self) -> Critic:
        """Return an independent critic with the same weights; frozen parameters share memory."""
        return Critic(copy_sharing_frozen(self.model), trunk=self.trunk)


class NoParameters:
    """A critic that learns nothing."""

    def parameters(self) -> Iterator[nn.Parameter]:
        """Return nothing to change."""
        return iter(())

    def copy(self) -> Self:
        """Return this critic: nothing changes it."""
        return self


class ZeroCritic(NoParameters):
    """No critic: V = 0 everywhere."""

    def state_values(self, sequences: Sequences) -> Tensor:
        """Return zeros for the states s_0..s_T.

        Args:
            sequences: The rows.

        Returns:
            Zeros, (B, T+1).
        """
        rows, width = sequences.response_mask.shape
        return torch.zeros(rows, width + 1, device=sequences.tokens.device)
