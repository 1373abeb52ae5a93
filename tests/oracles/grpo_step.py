"""Let TRL train a saved policy: run by benchmarks/proof_checkpoint.py in a separate environment.

    python grpo_step.py --out FILE POLICY_FOLDER TOKEN_IDS

It opens the folder with AutoModelForCausalLM, writes down the logits of some tokens, and takes one GRPO step.
"""

import argparse
import json
import tempfile
from pathlib import Path

import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import GRPOConfig, GRPOTrainer

GROUP = 4


def length(completions, **_):
    """Like longer answers: any reward that differs within a group will do."""
    return [float(len(completion)) for completion in completions]


def main():
    """Read the logits and take the step."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("policy", type=Path)
    parser.add_argument("ids", help="token ids with commas between")
    parser.add_argument("prompts", nargs="+")
    options = parser.parse_args()
    model = AutoModelForCausalLM.from_pretrained(options.policy, dtype="auto")
    tokenizer = AutoTokenizer.from_pretrained(options.policy)
    with torch.no_grad():
        logits = model(torch.tensor([[int(word) for word in options.ids.split(",")]])).logits[0, -1].tolist()
    before = torch.cat([parameter.detach().flatten().clone() for parameter in model.parameters()])
    with tempfile.TemporaryDirectory() as folder:
        settings = GRPOConfig(
            output_dir=folder,
            max_steps=1,
            per_device_train_batch_size=GROUP,
            num_generations=GROUP,
            max_completion_length=5,
            logging_steps=1,
            learning_rate=1e-3,
            use_cpu=True,
            bf16=False,
            report_to=[],
            save_strategy="no",
        )
        table = Dataset.from_list([{"prompt": prompt} for prompt in options.prompts])
        trainer = GRPOTrainer(
            model=model, reward_funcs=length, args=settings, train_dataset=table, processing_class=tokenizer
        )
        trainer.train()
        history = trainer.state.log_history
    after = torch.cat([parameter.detach().flatten() for parameter in trainer.model.parameters()])
    found = {
        "logits": logits,
        "steps": trainer.state.global_step,
        "loss": next(float(row["loss"]) for row in history if "loss" in row),
        "moved": float((after - before).abs().max()),
    }
    options.out.write_text(json.dumps(found, indent=1), "utf-8")


if __name__ == "__main__":
    main()
