"""The oracles: their packages loaded, and the stand-ins for objects that their trainers expect as `self`."""

from collections import defaultdict
from types import SimpleNamespace

import torch
from sources import definitions

verl_tensors = definitions(
    "verl",
    "utils/torch_functional.py",
    "clip_by_value",
    "entropy_from_logits",
    "gather_from_labels",
    "logprobs_from_logits_naive",
    "masked_mean",
    "masked_sum",
    "masked_var",
    "masked_whiten",
)
verl = definitions(
    "verl",
    "trainer/ppo/core_algos.py",
    "agg_loss",
    "compute_gae_advantage_return",
    "compute_grpo_outcome_advantage",
    "compute_policy_loss_reinforce",
    "compute_policy_loss_vanilla",
    "compute_rewards",
    "compute_rloo_outcome_advantage",
    "compute_rloo_vectorized_outcome_advantage",
    "compute_value_loss",
    "kl_penalty_forward",
    verl_F=verl_tensors,
    AlgoConfig=type("AlgoConfig", (), {}),
)
openrlhf_tensors = definitions(
    "openrlhf",
    "models/utils.py",
    "KL_IS_WEIGHT_CLIP",
    "compute_approx_kl",
    "compute_reward",
    "log_probs_from_logits",
    "_logsumexp_by_chunk",
    "masked_mean",
)
openrlhf = definitions(
    "openrlhf",
    "models/loss.py",
    "aggregate_loss",
    "DPOLoss",
    "PairWiseLoss",
    "PolicyLoss",
    "SFTLoss",
    "ValueLoss",
    masked_mean=openrlhf_tensors.masked_mean,
)


class VerlConfig:
    """The settings that verl's policy losses read; its dual clip is moved out of reach."""

    def __init__(self, *, low=0.2, high=0.2):
        self.clip_ratio, self.clip_ratio_low, self.clip_ratio_high = low, low, high
        self.global_batch_info = {}

    def get(self, name, default):
        """Give the bound of the dual clip, so far away that it never binds."""
        return 1e9 if name == "clip_ratio_c" else default


def same(x, **_):
    """Give back what came: what gathering means for a single process."""
    return x


def trainer(**settings):
    """Stand in for a TRL trainer in its first step: one process, nothing logged, plus `settings`."""
    metrics = {"train": defaultdict(list), "eval": defaultdict(list)}
    accelerator = SimpleNamespace(
        device=torch.device("cpu"), num_processes=1, gather=same, gather_for_metrics=same, reduce=same
    )
    common = {
        "accelerator": accelerator,
        "model": SimpleNamespace(training=False),
        "aux_loss_enabled": False,
        "_metrics": metrics,
        "_total_train_tokens": 0,
    }
    return SimpleNamespace(**common, **settings)
