"""A policy and a critic that are plain tables: one row of free numbers per state, no generalisation.

They are transformers models like any other (saved, loaded and generated from in the same way), so no other
code knows the difference. A state is a prompt of the table and the response tokens so far.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    DynamicCache,
    GenerationMixin,
    PreTrainedConfig,
    PreTrainedModel,
)
from transformers.modeling_outputs import BaseModelOutputWithPast, CausalLMOutputWithPast

from rllab.core.errors import LabError


class TabularConfig(PreTrainedConfig):
    """Shape of a table.

    Args:
        vocab_size: Number of tokens A.
        horizon: Longest response, in tokens.
        prompts: Token ids of each prompt that the table knows.
        width: Numbers in a row: A for a policy, 1 for a critic.
        common: transformers' own settings, such as token ids and dtype.
    """

    model_type = "rllab_tabular"

    def __init__(
        self,
        vocab_size: int = 8,
        horizon: int = 5,
        prompts: list[list[int]] | None = None,
        width: int = 8,
        **common: Any,
    ) -> None:
        self.vocab_size = vocab_size
        self.horizon = horizon
        self.prompts = prompts if prompts is not None else [[0]]
        self.width = width
        self.num_hidden_layers = 1  # the cache keeps one layer: the tokens read so far
        super().__init__(**common)

    @property
    def states_per_prompt(self) -> int:
        """Return the number of prefixes of fewer than `horizon` tokens, and one for the full ones."""
        return int(sum(self.vocab_size**length for length in range(self.horizon))) + 1


class TabularPreTrainedModel(PreTrainedModel):
    """What transformers needs to save, load and generate from a table."""

    config: TabularConfig
    config_class = TabularConfig
    base_model_prefix = "table"
    _supports_sdpa = True

    def _init_weights(self, module: nn.Module) -> None:
        """Start every table at zero: the uniform policy, the critic that predicts nothing."""
        if isinstance(module, nn.Embedding):
            nn.init.zeros_(module.weight)


class TabularModel(TabularPreTrainedModel):
    """The table itself: a row of `width` numbers for the state that ends at each column.

    Args:
        config: Its shape.
    """

    def __init__(self, config: TabularConfig) -> None:
        super().__init__(config)
        self.rows = nn.Embedding(len(config.prompts) * config.states_per_prompt + 1, config.width)
        self.post_init()

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        *,
        past_key_values: DynamicCache | None = None,
        use_cache: bool | None = None,
        **_: Any,  # transformers' generate passes settings that a table has no use for
    ) -> BaseModelOutputWithPast:
        """Return the rows of the states that end at the new columns.

        Args:
            input_ids: Token ids of the new columns, (B, L).
            attention_mask: Which tokens are real, in all columns so far; by default all.
            position_ids: Not read: a table counts from the mask itself.
            past_key_values: The columns read before.
            use_cache: Whether to make a cache where there is none.

        Returns:
            Rows as `last_hidden_state`, (B, L, width), and the cache.
        """
        del position_ids
        seen = input_ids
        if use_cache and past_key_values is None:
            past_key_values = DynamicCache()
        if past_key_values is not None:
            # The cache of a table is the text itself: tokens take the place of keys, (B, 1, L, 1).
            keys = input_ids[:, None, :, None]
            seen = past_key_values.update(keys, keys, 0)[0][:, 0, :, 0]
        mask = torch.ones_like(seen) if attention_mask is None else attention_mask[:, : seen.shape[1]]
        index = self._state_index(seen, mask.bool())[:, -input_ids.shape[1] :]
        return BaseModelOutputWithPast(last_hidden_state=self.rows(index), past_key_values=past_key_values)

    def _state_index(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """Number the state that ends at each column; row 0 is for texts that do not continue a prompt."""
        config, index = self.config, torch.zeros_like(tokens)
        position = mask.long().cumsum(dim=1) - 1
        start = mask.long().argmax(dim=1, keepdim=True)
        for number, prompt in enumerate(config.prompts):
            size = len(prompt)
            columns = (start + torch.arange(size, device=tokens.device)).clamp(max=tokens.shape[1] - 1)
            belongs = (tokens.gather(1, columns) == tokens.new_tensor(prompt)).all(dim=1, keepdim=True)
            code = _prefix_codes(tokens, position - size, vocabulary=config.vocab_size, horizon=config.horizon)
            here = belongs & (position >= size - 1) & mask
            index = torch.where(here, 1 + number * config.states_per_prompt + code, index)
        return index


class TabularForCausalLM(TabularPreTrainedModel, GenerationMixin):
    """A tabular policy: the row of a state holds its logits.

    Args:
        config: Its shape; the width is the number of tokens.

    Raises:
        LabError: If the width is another.
    """

    def __init__(self, config: TabularConfig) -> None:
        super().__init__(config)
        if config.width != config.vocab_size:
            raise LabError("width", config.width, f"a tabular policy needs one logit per token: {config.vocab_size}")
        self.table = TabularModel(config)
        self.post_init()

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        *,
        past_key_values: DynamicCache | None = None,
        use_cache: bool | None = None,
        logits_to_keep: int = 0,
        **_: Any,  # as above
    ) -> CausalLMOutputWithPast:
        """Return the logits of the states that end at the new columns.

        Args:
            input_ids: Token ids of the new columns, (B, L).
            attention_mask: Which tokens are real, in all columns so far; by default all.
            position_ids: Not read: a table counts from the mask itself.
            past_key_values: The columns read before.
            use_cache: Whether to make a cache where there is none.
            logits_to_keep: How many of the last columns to return; 0 for all.

        Returns:
            Logits, (B, L, A), and the cache.
        """
        output = self.table(
            input_ids, attention_mask, position_ids, past_key_values=past_key_values, use_cache=use_cache
        )
        logits = output.last_hidden_state[:, -logits_to_keep:] if logits_to_keep else output.last_hidden_state
        return CausalLMOutputWithPast(logits=logits, past_key_values=output.past_key_values)


class TabularForSequenceClassification(TabularPreTrainedModel):
    """A tabular critic or reward model: the row of a state holds one number.

    Args:
        config: Its shape; the width becomes 1.
    """

    def __init__(self, config: TabularConfig) -> None:
        config = copy.deepcopy(config)
        config.width = 1
        super().__init__(config)
        self.table = TabularModel(config)
        self.score = nn.Identity()
        self.post_init()


def _prefix_codes(tokens: Tensor, last: Tensor, *, vocabulary: int, horizon: int) -> Tensor:
    """Number the response prefix that ends at each column, shortest prefixes first, (B, L).

    `last` is the 0-based place of the column in the response, negative inside the prompt. Prefix a_0..a_k has
    the number (...((a_0 + 1) V + a_1 + 1) V ...) + a_k + 1, which counts all shorter prefixes before it.
    """
    codes = torch.zeros_like(tokens)
    running = torch.zeros_like(tokens[:, 0])
    for column in range(tokens.shape[1]):
        place = last[:, column]
        running = torch.where(place >= 0, running * vocabulary + tokens[:, column] + 1, torch.zeros_like(running))
        full = sum(vocabulary**length for length in range(horizon))
        codes[:, column] = torch.where(place >= horizon - 1, torch.full_like(running, full), running)
        running = running.clamp(max=full)  # texts longer than the table share its last row
    return codes


AutoConfig.register(TabularConfig.model_type, TabularConfig, exist_ok=True)
AutoModel.register(TabularConfig, TabularModel, exist_ok=True)
AutoModelForCausalLM.register(TabularConfig, TabularForCausalLM, exist_ok=True)
AutoModelForSequenceClassification.register(TabularConfig, TabularForSequenceClassification, exist_ok=True)
