"""The frozen first blocks of a language model, which policy, reference and critic have in common.

Of a real model only the last blocks learn, so three networks read every text through the same frozen blocks,
again in every epoch. They are run once for each batch here; each network then goes on with its own blocks.
"""

from __future__ import annotations

import copy
import threading
from collections import OrderedDict
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor, nn

from rllab.policy.networks import position_ids

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from rllab.core.records import Sequences

KEPT_BYTES = 64 * 2**20
Module = TypeVar("Module", bound=nn.Module)
Key = tuple[object, ...]
Kept = tuple[tuple[Tensor, Tensor], dict[int, Tensor]]  # tokens and mask, then the hidden states by depth


class FrozenTrunk:
    """The first blocks of a Llama-type model, with their outputs for the last batches.

    What is kept belongs to one batch by the memory of its tokens and mask, which is held as long.

    Args:
        model: The model whose blocks they are.
        cuts: Depths at which networks leave the trunk: the policy after the last, a critic maybe earlier.
    """

    def __init__(self, model: PreTrainedModel, cuts: Sequence[int]) -> None:
        base: Any = model.base_model
        self._base = only_blocks(base, slice(0, max(cuts)))
        self._cuts = sorted(cuts)
        self._kept: OrderedDict[Key, Kept] = OrderedDict()
        self._lock = threading.Lock()

    def enter(self, model: PreTrainedModel, sequences: Sequences) -> tuple[PreTrainedModel, dict[str, Tensor]]:
        """Return what is left to run of a model, and the input that it starts from.

        Args:
            model: A model; one whose first blocks are not these, or are being trained, is to be run whole.
            sequences: The rows to read.

        Returns:
            The model without the shared blocks, and its inputs by name.
        """
        depth = max((cut for cut in self._cuts if self._is_shared_by(model.base_model, cut)), default=0)
        if not depth:
            return model, {"input_ids": sequences.tokens}
        return only_blocks(model, slice(depth, None)), {"inputs_embeds": self._hidden(sequences)[depth]}

    def _is_shared_by(self, base: Any, cut: int) -> bool:
        """Return whether a model's embedding and first blocks are frozen and use the same memory as these."""
        if base.config.num_hidden_layers < cut:
            return False
        theirs, ours = (_parameters(model, cut) for model in (base, self._base))
        return all(
            not one.requires_grad and one.data_ptr() == other.data_ptr()
            for one, other in zip(theirs, ours, strict=True)
        )

    def _hidden(self, sequences: Sequences) -> dict[int, Tensor]:
        """Return the hidden states (B, P+T, H) after each cut, computed now or kept from before."""
        rows = (sequences.tokens, sequences.attention_mask)
        key = tuple((row.data_ptr(), row.shape, row.stride()) for row in rows)
        with self._lock:
            if key not in self._kept:
                self._kept[key] = (rows, self._run(sequences))
                while len(self._kept) > 1 and self._bytes() > KEPT_BYTES:
                    self._kept.popitem(last=False)  # drop the oldest batches beyond the budget, never the newest
            self._kept.move_to_end(key)
            return self._kept[key][1]

    def _bytes(self) -> int:
        """Return how many bytes the kept hidden states take."""
        return sum(hidden.nbytes for _, made in self._kept.values() for hidden in made.values())

    def _run(self, sequences: Sequences) -> dict[int, Tensor]:
        """Run the blocks from cut to cut."""
        inputs, made = {"input_ids": sequences.tokens}, {}
        with torch.no_grad():
            for start, end in pairwise([0, *self._cuts]):
                part = only_blocks(self._base, slice(start, end))
                part.norm = nn.Identity()  # the model's own norm comes after its last block
                output = part(
                    **inputs,
                    attention_mask=sequences.attention_mask.long(),
                    position_ids=position_ids(sequences.attention_mask),
                    use_cache=False,
                )
                made[end] = output.last_hidden_state
                inputs = {"inputs_embeds": made[end]}
        return made


def only_blocks(model: PreTrainedModel, blocks: slice) -> PreTrainedModel:
    """Return a view of a Llama-type model with some of its blocks; its weights are the model's own.

    Args:
        model: The model.
        blocks: Which of its blocks stay.

    Returns:
        A model that shares everything else.
    """
    twin = _view(model)
    base: Any = twin if model.base_model is model else _view(model.base_model)
    kept = list(base.layers)[blocks]
    base.config = copy.copy(base.config)
    base.config.num_hidden_layers = len(kept)
    base.layers = nn.ModuleList(kept)
    if base is not twin:
        setattr(twin, model.base_model_prefix, base)
    return twin


def _view(module: Module) -> Module:
    """Return a module that shares everything with another but the list of its parts."""
    twin = copy.copy(module)
    vars(twin)["_modules"] = dict(vars(module)["_modules"])
    return twin


def _parameters(base: Any, cut: int) -> list[nn.Parameter]:
    """Return the parameters of the embedding and of the first blocks."""
    parts = [base.embed_tokens, *base.layers[:cut]]
    return [parameter for part in parts for parameter in part.parameters()]
