"""Tokenizers of closed vocabularies: every token is a word or a punctuation mark."""

from __future__ import annotations

from collections.abc import Sequence

from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Punctuation, WhitespaceSplit
from tokenizers.pre_tokenizers import Sequence as InTurn
from transformers import PreTrainedTokenizerFast


def word_tokenizer(vocabulary: Sequence[str], *, eos: str = "<eos>") -> PreTrainedTokenizerFast:
    """Make a tokenizer whose tokens are words and punctuation marks, spaces between them or not.

    The vocabulary begins with the end token, which also pads: masks come from lengths, not from token ids.
    """
    backend = Tokenizer(WordLevel({word: number for number, word in enumerate(vocabulary)}, unk_token=eos))
    backend.pre_tokenizer = InTurn([WhitespaceSplit(), Punctuation("isolated")])
    return PreTrainedTokenizerFast(tokenizer_object=backend, eos_token=eos, pad_token=eos)
