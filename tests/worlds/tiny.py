"""A language model small enough for a test, in the format of a hub's models: tiny Llama, byte-level BPE, chat."""

from pathlib import Path

import torch
from tokenizers import Tokenizer
from tokenizers.decoders import ByteLevel as ByteDecoder
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel
from tokenizers.trainers import BpeTrainer
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

START, END, VOCABULARY, BLOCKS = "<|im_start|>", "<|im_end|>", 320, 12
CHAT = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
SENTENCES = (
    "The morning was bright and the soup was good.",
    "What happened at the market? A happy dog ran away with a sad old hat!",
    "Tell me about the weather today, the journey and the garden.",
)


def tiny_tokenizer() -> PreTrainedTokenizerFast:
    """Learn a few merges over bytes: any text can be written, and characters beyond ASCII need several tokens."""
    backend = Tokenizer(BPE())
    backend.pre_tokenizer, backend.decoder = ByteLevel(add_prefix_space=False), ByteDecoder()
    trainer = BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[START, END],
        initial_alphabet=sorted(ByteLevel.alphabet()),
        show_progress=False,
    )
    backend.train_from_iterator(SENTENCES, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, bos_token=START, eos_token=END, pad_token=END, chat_template=CHAT
    )


def tiny_config(blocks: int = BLOCKS) -> LlamaConfig:
    """Return the shape of a Llama with many thin blocks."""
    return LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=blocks,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=128,
        tie_word_embeddings=True,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=1,
    )


def tiny_model(*, seed: int = 0, blocks: int = BLOCKS) -> LlamaForCausalLM:
    """Return a random model whose logits are spread a little, so that some tokens are more likely than others."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = LlamaForCausalLM(tiny_config(blocks))
        with torch.no_grad():
            model.get_input_embeddings().weight.mul_(20)
    return model


def save_tiny(folder: Path, *, seed: int = 0) -> Path:
    """Write model and tokenizer as transformers does."""
    tiny_model(seed=seed).save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return folder
