"""The equations of the lab as pure tensor functions: torch in, torch out.

Nothing here knows a model, a tokenizer or a device. One file per idea:

    masking      which positions count, and sums over them
    divergence   log-probs, entropy and KL of next-token distributions
    returns      rewards per token, returns, TD errors, GAE
    advantages   baselines and scales that need the whole batch or a group
    losses       one loss per position or per pair, and the four reducers
    algorithms   the values made of them: REINFORCE, A2C, PPO, RLOO, GRPO

Letters in the shapes: B rows, T response width, A actions (the vocabulary). `t` counts columns from 0.
"""

from rllab.maths.advantages import group_relative, leave_one_out, whiten
from rllab.maths.algorithms import Algorithm, get_algorithm
from rllab.maths.divergence import categorical_kl, entropy, kl_k1, kl_k2, kl_k3
from rllab.maths.losses import (
    bradley_terry_loss,
    clipped_surrogate_loss,
    clipped_value_loss,
    course_clipped_loss,
    dpo_loss,
    policy_gradient_loss,
    reduce,
)
from rllab.maths.returns import discounted_returns, gae, td_errors, token_rewards

__all__ = [
    "Algorithm",
    "bradley_terry_loss",
    "categorical_kl",
    "clipped_surrogate_loss",
    "clipped_value_loss",
    "course_clipped_loss",
    "discounted_returns",
    "dpo_loss",
    "entropy",
    "gae",
    "get_algorithm",
    "group_relative",
    "kl_k1",
    "kl_k2",
    "kl_k3",
    "leave_one_out",
    "policy_gradient_loss",
    "reduce",
    "td_errors",
    "token_rewards",
    "whiten",
]
