"""Learning from preferences: a reward model fitted to pairs, and policies trained on pairs without one."""

from rllab.preferences.dpo import (
    ImplicitReward,
    PreferenceConfig,
    PreferenceTrainer,
    fine_tune,
    train_dpo,
)
from rllab.preferences.reward_fit import FitConfig, RewardFit, fit_reward_model, scalar_model

__all__ = [
    "FitConfig",
    "ImplicitReward",
    "PreferenceConfig",
    "PreferenceTrainer",
    "RewardFit",
    "fine_tune",
    "fit_reward_model",
    "scalar_model",
    "train_dpo",
]
