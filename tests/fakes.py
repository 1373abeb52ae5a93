"""Models and tokenizers whose every number is known, for tests without weights.

    policy = fake_policy("a", "b", "c")                     uniform over a b c <eos>
    policy = fake_policy("a", "b", "c", after=table)        logits after token i are table[i]
    policy = fake_policy("a", "b", "c", at=table)           logits at the i-th real token are table[i]

The two tables add up, and both are parameters, so a fake policy can be trained. `at` makes the model
sensitive to wrong position ids, as a GPT-2 type model is.
"""

from collections.abc import Iterator

import torch
from tokenizers import Tokenizer
from tokenizers.decoders import ByteLevel as ByteDecoder
from tokenizers.models import BPE, WordLevel
from tokenizers.pre_tokenizers import ByteLevel, WhitespaceSplit
from torch import Tensor, nn
from transformers import (
    DynamicCache,
    GenerationMixin,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)
from transformers.modeling_outputs import CausalLMOutputWithPast

from rllab.core.records import Sequences
from rllab.policy.policy import Policy

EOS, PAD = "<eos>", "<pad>"


class FakeConfig(PreTrainedConfig):
    model_type = "rllab_fake"

    def __init__(self, vocab_size=4, max_position_embeddings=64, **common):
        self.vocab_size = vocab_size
        self.max_position_embeddings = max_position_embeddings
        self.num_hidden_layers = 1
        super().__init__(**common)


class FakeLM(PreTrainedModel, GenerationMixin):
    """A language model that is two tables: logits = after[token read] + at[its position]."""

    config: FakeConfig
    config_class = FakeConfig
    _supports_sdpa = True

    def __init__(self, config):
        super().__init__(config)
        self.after = nn.Embedding(config.vocab_size, config.vocab_size)
        self.at = nn.Embedding(config.max_position_embeddings, config.vocab_size)
        self.calls = 0  # forward passes, for tests that count work
        self.post_init()

    def _init_weights(self, module):
        if isinstance(module, nn.Embedding):
            nn.init.zeros_(module.weight)

    def forward(  # transformers calls it with more than a table needs
        self,
        input_ids,
        attention_mask=None,
        position_ids=None,
        *,
        past_key_values=None,
        use_cache=None,
        logits_to_keep=0,
        **_,
    ):
        self.calls += 1
        if use_cache and past_key_values is None:
            past_key_values = DynamicCache()
        past = 0
        if past_key_values is not None:
            past = past_key_values.get_seq_length()
            keys = input_ids[:, None, :, None]  # the cache holds the text, so its length is right
            past_key_values.update(keys, keys, 0)
        if position_ids is None:
            position_ids = torch.arange(past, past + input_ids.shape[1]).expand_as(input_ids)
        logits = self.after(input_ids) + self.at(position_ids)  # (B, L, A)
        kept = logits[:, -logits_to_keep:] if logits_to_keep else logits
        return CausalLMOutputWithPast(logits=kept, past_key_values=past_key_values)


class FixedCritic:
    """A critic with the same values in every row: V(s_t) = values[t]."""

    def __init__(self, values: Tensor) -> None:
        self.values = nn.Parameter(values.clone())

    def state_values(self, sequences: Sequences) -> Tensor:
        rows, width = sequences.response_mask.shape
        return self.values[: width + 1].expand(rows, -1)

    def parameters(self) -> Iterator[nn.Parameter]:
        return iter([self.values])

    def copy(self) -> "FixedCritic":
        return FixedCritic(self.values.detach())


def word_tokenizer(*words: str, pad_is_eos: bool = False) -> PreTrainedTokenizerFast:
    """Number the words from 0, then the end token, then (unless it is the end token) padding."""
    special = (EOS,) if pad_is_eos else (EOS, PAD)
    backend = Tokenizer(WordLevel({word: i for i, word in enumerate((*words, *special))}))
    backend.pre_tokenizer = WhitespaceSplit()
    pad = EOS if pad_is_eos else PAD
    return PreTrainedTokenizerFast(tokenizer_object=backend, eos_token=EOS, pad_token=pad)


def byte_tokenizer() -> PreTrainedTokenizerFast:
    """Make each byte of UTF-8 a token, so that one character may take several; 256 ends the text."""
    vocabulary = {letter: i for i, letter in enumerate(sorted(ByteLevel.alphabet()))}
    backend = Tokenizer(BPE(vocabulary, merges=[]))
    backend.pre_tokenizer, backend.decoder = ByteLevel(add_prefix_space=False), ByteDecoder()
    return PreTrainedTokenizerFast(tokenizer_object=backend, eos_token=EOS)


def fake_model(
    vocabulary: int, *, after: Tensor | None = None, at: Tensor | None = None, dtype: torch.dtype = torch.float64
) -> FakeLM:
    """Make the model from its tables; a table left out is zero, and `at` may have fewer rows than positions."""
    model = FakeLM(FakeConfig(vocab_size=vocabulary)).to(dtype)
    with torch.no_grad():
        if after is not None:
            model.after.weight.copy_(after)
        if at is not None:
            model.at.weight[: len(at)] = at.to(dtype)
    return model


def fake_policy(
    *words: str,
    after: Tensor | None = None,
    at: Tensor | None = None,
    dtype: torch.dtype = torch.float64,
    pad_is_eos: bool = True,
) -> Policy:
    """Make a policy over the words and the end token, which is padding as well unless `pad_is_eos` is off."""
    tokenizer = word_tokenizer(*words, pad_is_eos=pad_is_eos)
    return Policy(fake_model(len(tokenizer), after=after, at=at, dtype=dtype), tokenizer)
