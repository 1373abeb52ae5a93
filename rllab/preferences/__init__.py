"""Pairs of responses: written, labelled, and learned from: reward model, DPO, fine-tuning on what was chosen."""

from rllab.preferences.dpo import ImplicitReward, PreferenceConfig, PreferenceTrainer, fine_tune, train_dpo
from rllab.preferences.pairs import Pair, load_pairs, save_pairs
from rllab.preferences.reward_fit import FitConfig, RewardFit, fit_reward_model

__all__ = [
    "FitConfig",
    "ImplicitReward",
    "Pair",
    "PreferenceConfig",
    "PreferenceTrainer",
    "RewardFit",
    "fine_tune",
    "fit_reward_model",
    "load_pairs",
    "save_pairs",
    "train_dpo",
]
