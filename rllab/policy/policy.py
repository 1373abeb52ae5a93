"""The policy: a causal language model with its tokenizer; all encoding and decoding."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Sequence
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from rllab.core.config import check_setting
from rllab.core.errors import LabError, choose_from
from rllab.policy.networks import action_logits, copy_sharing_frozen, without_dropout

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from rllab.core.config import Trainable
    from rllab.core.records import Sequences
    from rllab.policy.networks import Trunk

SENTENCE_ENDS = (".", "!", "?")
BROKEN = "\ufffd"  # what a decoder writes for bytes that do not form a character


class Policy:
    """π(a|s): the next-token distribution of a language model.

    `version` counts the changes of the weights. `weights` is an object that two policies share exactly as long
    as their weights are the same, so that tensors need not be compared. Code that changes or reads weights while a
    run may be under way holds `lock`.

    Args:
        model: A causal language model; its dropout is switched off.
        tokenizer: Its tokenizer.
        trunk: Frozen blocks that are run once for all networks that share them.
    """

    def __init__(
        self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, *, trunk: Trunk | None = None
    ) -> None:
        self.model = without_dropout(model)
        self.trunk = trunk
        self.tokenizer = tokenizer
        self.version = 0
        self.weights = object()
        self.lock = threading.RLock()

    @property
    def device(self) -> torch.device:
        """Return the device that the model computes on."""
        device: torch.device = self.model.device
        return device

    @property
    def dtype(self) -> torch.dtype:
        """Return the number type of the model's weights."""
        dtype: torch.dtype = self.model.dtype
        return dtype

    @property
    def eos_id(self) -> int:
        """Return the id of the token that ends a response."""
        eos: int = self.tokenizer.eos_token_id
        return eos

    @property
    def pad_id(self) -> int:
        """Return the id that fills empty columns; masks come from lengths, so it may equal any other id."""
        pad = self.tokenizer.pad_token_id
        return self.eos_id if pad is None else int(pad)

    @property
    def vocabulary(self) -> int:
        """Return the number of actions A."""
        return int(self.model.config.vocab_size)

    @property
    def context(self) -> int:
        """Return the largest number of prompt and response tokens together."""
        config = self.model.config
        if hasattr(config, "horizon"):
            return max(len(prompt) for prompt in config.prompts) + int(config.horizon)
        return int(getattr(config, "max_position_embeddings", self.tokenizer.model_max_length))

    @cached_property
    def is_word_level(self) -> bool:
        """Return whether tokens are whole words of a closed vocabulary."""
        backend = getattr(self.tokenizer, "backend_tokenizer", None)
        return backend is not None and type(backend.model).__name__ == "WordLevel"

    def encode(self, prompt: str) -> list[int]:
        """Turn a prompt into token ids, in the model's chat form if it has one.

        Args:
            prompt: The prompt.

        Returns:
            Its token ids.

        Raises:
            LabError: If the prompt is empty, has unknown words, or leaves no room for a response.
        """
        given: object = prompt
        if not isinstance(given, str) or not given.strip():
            raise LabError("prompt", given, "write at least one word")
        if self.is_word_level:
            self._check_words(prompt, field="prompt")
        if self.tokenizer.chat_template:
            chat = [{"role": "user", "content": prompt}]
            made: Any = self.tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_dict=False)
        else:
            # with the start token where the model has learned one; text that spells a special token stays text
            made = self.tokenizer.encode(prompt, split_special_tokens=True)
            made = made[:-1] if made[-1:] == [self.eos_id] else made
        ids = [int(token) for token in made]
        self._check_rows(prompt, ids)
        if len(ids) >= self.context:
            remedy = f"it has {len(ids)} tokens and the model reads at most {self.context}; shorten it"
            raise LabError("prompt", prompt, remedy)
        return ids

    def encode_response(self, text: str) -> list[int]:
        """Turn a whole response into token ids, the end token included.

        Args:
            text: The response.

        Returns:
            Its token ids.

        Raises:
            LabError: If it has words that a closed vocabulary does not have.
        """
        if self.is_word_level:
            self._check_words(text, field="response")
        made = self.tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True)
        return [int(token) for token in made] + [self.eos_id]

    def decode(self, ids: Sequence[int]) -> str:
        """Turn token ids into text, special tokens left out.

        Args:
            ids: Token ids.

        Returns:
            The text.
        """
        if self._words is not None:
            return " ".join(filter(None, [self._words[token] for token in ids]))
        text = self.tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return str(text)

    def token_text(self, token_id: int) -> str:
        """Return how one token reads: its text, its name where it is special, its bytes where it is a part.

        A character of UTF-8 may need several tokens; the bytes of a part are written as Python writes them.

        Args:
            token_id: The token's id.

        Returns:
            Text for the screen.
        """
        name = self.tokenizer.convert_ids_to_tokens(token_id)
        if token_id in self.tokenizer.all_special_ids or name is None:
            return str(name or f"<{token_id}>")  # a vocabulary may be padded with ids that no token has
        text = str(self.tokenizer.decode([token_id], clean_up_tokenization_spaces=False))
        letters = _byte_letters()
        if BROKEN in text and set(name) <= set(letters):
            text = bytes(letters[letter] for letter in name).decode("utf-8", "backslashreplace")
        return text

    def token_texts(self, ids: Sequence[int]) -> list[str]:
        """Return what each token adds to the text: joined they are the decoded whole.

        Tokens that leave a character open add nothing; the one that closes it adds the character.

        Args:
            ids: Token ids.

        Returns:
            One text for each token.
        """
        whole, ends = self.decode(ids), [0]
        for count in range(1, len(ids) + 1):
            text = self.decode(ids[:count])
            settled = whole.startswith(text) and not text.endswith(BROKEN)
            ends.append(max(ends[-1], len(text)) if settled else ends[-1])
        ends[-1] = len(whole)
        return [whole[start:end] for start, end in itertools.pairwise(ends)]

    def sentences(self, response_tokens: Tensor) -> Tensor:
        """Number the sentences: a token belongs to the sentence that it ends or continues.

        Args:
            response_tokens: Token ids, (B, T).

        Returns:
            Sentence numbers from 0, (B, T) long.
        """
        occur = torch.bincount(response_tokens.flatten(), minlength=self.vocabulary).nonzero()[:, 0].tolist()
        enders = [token for token in occur if self.token_text(token).rstrip().endswith(SENTENCE_ENDS)]
        if not enders:
            return torch.zeros_like(response_tokens)
        ends = torch.isin(response_tokens, torch.tensor(enders, device=response_tokens.device))
        before = torch.cat([torch.zeros_like(ends[:, :1]), ends[:, :-1]], dim=1)
        return before.long().cumsum(dim=1)

    def logits(self, sequences: Sequences, *, temperature: float) -> Tensor:
        """Return the temperature-scaled logits that chose each response token.

        Args:
            sequences: The rows to read.
            temperature: Divides the logits.

        Returns:
            Logits, (B, T, A).
        """
        return action_logits(self.model, sequences, trunk=self.trunk) / temperature

    def changed(self) -> None:
        """Mark the weights as changed."""
        self.version += 1
        self.weights = object()

    def copy(self) -> Policy:
        """Return an independent policy with the same weights; frozen parameters share memory."""
        with self.lock:
            twin = Policy(copy_sharing_frozen(self.model), self.tokenizer, trunk=self.trunk)
            twin.version, twin.weights = self.version, self.weights
        return twin

    @cached_property
    def _words(self) -> list[str] | None:
        """Return how each whole word reads, nothing for special tokens; None where text is more than joined words.

        The tokenizer itself says the same, but takes ten times as long, and judges read thousands of texts.
        """
        if not self.is_word_level or self.tokenizer.backend_tokenizer.decoder is not None:
            return None
        special, ids = set(self.tokenizer.all_special_ids), range(max(len(self.tokenizer), self.vocabulary))
        return ["" if token in special else str(self.tokenizer.convert_ids_to_tokens(token) or "") for token in ids]

    def _check_rows(self, prompt: str, ids: list[int]) -> None:
        """Raise LabError if the policy is a table without rows for the prompt."""
        rows = getattr(self.model.config, "prompts", None)
        if rows is not None and ids not in [list(row) for row in rows]:
            known = [self.decode(row) for row in rows]
            raise LabError.choice("prompt", prompt, known, reason="this policy is a table over its own prompts")

    def _check_words(self, text: str, *, field: str) -> None:
        """Raise LabError if the text has words that the closed vocabulary does not have."""
        known: dict[str, int] = self.tokenizer.get_vocab()
        special = set(self.tokenizer.all_special_tokens)
        for word, _ in self.tokenizer.backend_tokenizer.pre_tokenizer.pre_tokenize_str(text):
            if word not in known or word in special:
                words = [word for word in known if word not in special]
                remedy = f"this world has no word {word!r}; {choose_from(words, instead_of=word)}"
                raise LabError(field, text, remedy)


def choose_trainable(model: PreTrainedModel, choice: Trainable) -> list[nn.Parameter]:
    """Freeze all of a model but a chosen part.

    What was frozen may share its memory with other models, so it gets memory of its own before it is trained.

    Args:
        model: The model to change.
        choice: The part that learns; `last-blocks` is the last quarter of the blocks with the final norm.

    Returns:
        The parameters of that part.

    Raises:
        LabError: If the model has no such part.
    """
    check_setting("trainable", choice)
    if choice == "biases":
        wanted = [parameter for name, parameter in model.named_parameters() if name.endswith("bias")]
    elif choice == "head":
        head = model.get_output_embeddings()
        wanted = [] if head is None else list(head.parameters())
    else:
        wanted = _last_blocks(model) if choice == "last-blocks" else list(model.parameters())
    if not wanted:
        raise LabError("trainable", choice, "this model has no such part; choose all")
    chosen = {id(parameter) for parameter in wanted}
    for parameter in model.parameters():
        if id(parameter) in chosen and not parameter.requires_grad:
            parameter.data = parameter.data.clone()
        parameter.requires_grad_(id(parameter) in chosen)
    return wanted


def last_blocks(blocks: int) -> int:
    """Return how many blocks `last-blocks` means: a quarter, at least one.

    Args:
        blocks: Number of the model's blocks.

    Returns:
        Number of the last ones.
    """
    return max(1, blocks // 4)


@cache
def _byte_letters() -> dict[str, int]:
    """Return the letters that byte-level vocabularies write for the 256 bytes (GPT-2's table)."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in plain]
    return {chr(byte): byte for byte in plain} | {chr(256 + place): byte for place, byte in enumerate(others)}


def _last_blocks(model: PreTrainedModel) -> list[nn.Parameter]:
    """Return the parameters of the last blocks and of the final norm; none where there are no blocks."""
    stacks = [module for module in model.base_model.children() if isinstance(module, nn.ModuleList)]
    norms = [module for name, module in model.base_model.named_children() if "norm" in name or name.startswith("ln_f")]
    if not stacks:
        return []
    blocks = max(stacks, key=len)
    chosen: list[Any] = list(blocks)[-last_blocks(len(blocks)) :] + norms
    return [parameter for module in chosen for parameter in module.parameters()]
