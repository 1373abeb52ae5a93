"""Let TRL take one step on unchanged files of pairs: run by benchmarks/proof_trl.py in a separate environment.

    python trl_step.py --out FILE PAIRS.jsonl ...

The models are small and random, the tokenizer knows bytes alone, so that nothing is downloaded and any text is read.
"""

import argparse
import json
import tempfile
from pathlib import Path

import torch
from datasets import load_dataset
from tokenizers import Tokenizer
from tokenizers.decoders import ByteLevel as ByteDecoder
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel
from transformers import GPT2Config, GPT2ForSequenceClassification, GPT2LMHeadModel, PreTrainedTokenizerFast
from trl import DPOConfig, DPOTrainer, RewardConfig, RewardTrainer

PAIRS, END = 8, "<eos>"


def byte_tokenizer():
    """Make a tokenizer of 256 bytes and an end."""
    letters = sorted(ByteLevel.alphabet())
    backend = Tokenizer(BPE({letter: at for at, letter in enumerate([*letters, END])}, merges=[]))
    backend.pre_tokenizer, backend.decoder = ByteLevel(add_prefix_space=False), ByteDecoder()
    return PreTrainedTokenizerFast(tokenizer_object=backend, eos_token=END, pad_token=END)


def small(kind, tokenizer, **settings):
    """Make a small random GPT-2."""
    torch.manual_seed(0)
    end = tokenizer.eos_token_id
    sizes = {"vocab_size": len(tokenizer), "n_positions": 1024, "n_embd": 32, "n_layer": 1, "n_head": 2}
    return kind(GPT2Config(**sizes, eos_token_id=end, bos_token_id=end, pad_token_id=end, **settings))


def step(trainer_class, config_class, model, tokenizer, file):
    """Take one step and return the loss and how far the parameters moved."""
    with tempfile.TemporaryDirectory() as folder:
        table = load_dataset("json", data_files=str(file), split="train", cache_dir=folder)
        table = table.select(range(min(PAIRS, len(table))))
        settings = config_class(
            output_dir=folder,
            max_steps=1,
            per_device_train_batch_size=len(table),
            logging_steps=1,
            report_to=[],
            use_cpu=True,
            bf16=False,
            learning_rate=1e-3,
            save_strategy="no",
            max_length=1024,
        )
        model.save_pretrained(Path(folder) / "start")  # where DPOTrainer finds the reference
        model = type(model).from_pretrained(Path(folder) / "start")
        before = torch.cat([parameter.detach().flatten().clone() for parameter in model.parameters()])
        trainer = trainer_class(model=model, args=settings, train_dataset=table, processing_class=tokenizer)
        trainer.train()
        after = torch.cat([parameter.detach().flatten() for parameter in trainer.model.parameters()])
        loss = next(row["loss"] for row in trainer.state.log_history if "loss" in row)
        return {"pairs": len(table), "loss": float(loss), "moved": float((after - before).abs().max())}


def main():
    """Take a step of both trainers on every file."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("files", nargs="+", type=Path)
    options = parser.parse_args()
    tokenizer, found = byte_tokenizer(), {}
    for file in options.files:
        model = small(GPT2ForSequenceClassification, tokenizer, num_labels=1)
        reward = step(RewardTrainer, RewardConfig, model, tokenizer, file)
        dpo = step(DPOTrainer, DPOConfig, small(GPT2LMHeadModel, tokenizer), tokenizer, file)
        found[str(file)] = {"RewardTrainer": reward, "DPOTrainer": dpo}
    options.out.write_text(json.dumps(found, indent=1), "utf-8")


if __name__ == "__main__":
    main()
