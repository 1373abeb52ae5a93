"""What the recipes of all worlds share: labelled pairs, and reward models with their zero and unit."""

from __future__ import annotations

import json
from pathlib import Path

from rllab.core.files import write_atomically
from rllab.preferences.selection import label_pairs
from rllab.reward.reward import RewardModel

__all__ = ["label_pairs", "save_reward_model"]


def save_reward_model(reward: RewardModel, folder: Path) -> None:
    """Save a reward model with its zero and unit, in the form that worlds load."""
    reward.model.save_pretrained(folder)
    write_atomically(folder / "unit.json", json.dumps({"shift": reward.shift, "scale": reward.scale}) + "\n")
