"""Unpack quantized weights (GGUF) into a model folder of 32-bit safetensors.

`python -m rllab.worlds.unpack FILE FOLDER` runs in a process of its own: it can be stopped at any moment, and
its memory goes back.
"""

from __future__ import annotations

import sys
from pathlib import Path


def unpack(source: Path, folder: Path) -> None:
    """Read weights and tokenizer from one file, and save them as transformers does."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    parent, name = source.parent, source.name
    tokenizer = AutoTokenizer.from_pretrained(parent, gguf_file=name, local_files_only=True)
    model = AutoModelForCausalLM.from_pretrained(
        parent,
        gguf_file=name,
        dtype=torch.float32,
        local_files_only=True,
        quantization_config=GgufConfig(dequantize=True),  # without it transformers cannot save the model
    )
    tokenizer.save_pretrained(folder)
    model.save_pretrained(folder)


if __name__ == "__main__":
    unpack(Path(sys.argv[1]), Path(sys.argv[2]))
