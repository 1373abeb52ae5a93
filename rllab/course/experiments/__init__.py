"""Experiments with known signatures: each module has sizes FAST and WORKSHOP, and `run(size) -> Result`.

FAST is what tests run, a few seconds; what WORKSHOP gave is kept in `data/runs/` (see `recorded`).
"""

NAMES = (
    "noise_by_length",
    "samples_by_length",
    "gae_lambda",
    "shaping",
    "baselines",
    "best_of_n_kl",
    "best_of_n_gold",
    "learned_reward",
    "kl_frontier",
    "kl_estimators",
    "length_bias",
    "entropy_bonus",
    "dpo_vs_rlhf",
    "ppo_clip",
    "temperature",
    "cliff",
    "critic_foresight",
    "ppo_details",
    "label_noise",
    "credit_or_objective",
)
