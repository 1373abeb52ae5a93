"""Rewards, returns and advantages of RLax, torchrl, Stable-Baselines3, verl, OpenRLHF and scipy."""

import jax
import jax.numpy as jnp
import numpy as np
import rlax
import scipy.stats
import torch
from gymnasium import spaces
from inputs import GROUP, MASK, ROWS, WIDTH, logprobs, normal
from stable_baselines3.common.buffers import RolloutBuffer
from stubs import openrlhf_tensors, verl, verl_tensors
from torchrl.objectives.value import functional as torchrl

jax.config.update("jax_enable_x64", True)


def by_row(function, mask, *tensors):
    """Call a function of single trajectories on what counts in each row, and pad its results with 0."""
    padded = None
    for row, counts in enumerate(mask.bool()):
        results = function(row, *(x[row][counts] for x in tensors))
        if padded is None:
            padded = [torch.zeros_like(mask) for _ in results]
        for whole, part in zip(padded, results, strict=True):
            whole[row][counts] = torch.as_tensor(np.array(part), dtype=torch.float64)
    return padded


def followed_by(values, end):
    """Shift values by one step: V(s_{t+1}), with `end` after the last."""
    return torch.cat([values[1:], end.reshape(1)])


def rlax_gae(row_ends, *, gamma, lam):
    def one(row, rewards, values):
        path = jnp.array(torch.cat([values, row_ends[row].reshape(1)]).numpy())
        r, discount = jnp.array(rewards.numpy()), jnp.full(len(rewards), gamma)
        advantages = rlax.truncated_generalized_advantage_estimation(r, discount, lam, path)
        return advantages, rlax.lambda_returns(r, discount, path[1:], lam)

    return one


def torchrl_gae(row_ends, ended, *, gamma, lam):
    def one(row, rewards, values):
        done = torch.zeros(len(rewards), 1, dtype=torch.bool)
        done[-1] = True
        following = followed_by(values, row_ends[row])
        columns = [x.unsqueeze(-1) for x in (values, following, rewards)]
        result = torchrl.generalized_advantage_estimate(
            gamma, lam, *columns, done=done, terminated=done & bool(ended[row])
        )
        return [x.squeeze(-1) for x in result]

    return one


def sb3_gae(row_ends, ended, *, gamma, lam):
    def one(row, rewards, values):
        space = spaces.Box(-1, 1, (1,))
        buffer = RolloutBuffer(len(rewards), space, space, gae_lambda=lam, gamma=gamma)
        buffer.rewards, buffer.values = (x.float().numpy()[:, None] for x in (rewards, values))
        buffer.compute_returns_and_advantage(row_ends[row].float().reshape(1), np.array([bool(ended[row])]))
        return buffer.advantages[:, 0], buffer.returns[:, 0]

    return one


def gae():
    """Ended and cut rows, with a hole where a token was forced; verl knows no cut rows."""
    rewards, values = normal(ROWS, WIDTH, seed=1), normal(ROWS, WIDTH, seed=2)
    for name, ended, settings in (
        ("all rows ended", torch.ones(ROWS, dtype=torch.bool), {"gamma": 0.97, "lam": 0.9}),
        ("two rows cut", torch.tensor([True, False, False, True]), {"gamma": 0.9, "lam": 0.6}),
        ("undiscounted", torch.ones(ROWS, dtype=torch.bool), {"gamma": 1.0, "lam": 1.0}),
    ):
        bootstrap = torch.where(ended, 0.0, normal(ROWS, seed=3))
        outputs = {
            "rlax": by_row(rlax_gae(bootstrap, **settings), MASK, rewards, values),
            "torchrl": by_row(torchrl_gae(bootstrap, ended, **settings), MASK, rewards, values),
            "stable_baselines3": by_row(sb3_gae(bootstrap, ended, **settings), MASK, rewards, values),
        }
        oracles = {key: {"advantages": a, "returns": g} for key, (a, g) in outputs.items()}
        if bool(ended.all()):
            whitened, returns = verl.compute_gae_advantage_return(rewards, values, MASK, **settings)
            oracles["verl"] = {"whitened": whitened * MASK, "returns": returns * MASK}
        inputs = {"rewards": rewards, "values": values, "mask": MASK, "bootstrap": bootstrap}
        yield {"name": name, "inputs": inputs, "settings": settings, "oracles": oracles}


def discounted_returns():
    """Rewards alone, discounted."""
    rewards, gamma = normal(ROWS, WIDTH, seed=4), 0.9

    def by_rlax(_, r):
        r = jnp.array(r.numpy())
        return (rlax.discounted_returns(r, jnp.full(len(r), gamma), jnp.zeros(())),)

    def by_torchrl(_, r):
        done = torch.zeros(len(r), 1, dtype=torch.bool)
        done[-1] = True
        return (torchrl.reward2go(r.unsqueeze(-1), done, gamma).squeeze(-1),)

    oracles = {"rlax": by_row(by_rlax, MASK, rewards), "torchrl": by_row(by_torchrl, MASK, rewards)}
    yield {
        "name": "returns",
        "inputs": {"rewards": rewards, "mask": MASK},
        "settings": {"gamma": gamma},
        "oracles": {key: {"returns": value[0]} for key, value in oracles.items()},
    }


def td_errors():
    """One-step errors, cut rows among them."""
    rewards, values, gamma = normal(ROWS, WIDTH, seed=5), normal(ROWS, WIDTH, seed=6), 0.9
    bootstrap = normal(ROWS, seed=7) * torch.tensor([0, 1, 1, 0])

    def by_rlax(row, r, v):
        following = jnp.array(followed_by(v, bootstrap[row]).numpy())
        discount = jnp.full(len(r), gamma)
        return (jax.vmap(rlax.td_learning)(jnp.array(v.numpy()), jnp.array(r.numpy()), discount, following),)

    def by_torchrl(row, r, v):
        running = torch.zeros(len(r), 1, dtype=torch.bool)  # the value after the end stands in the inputs
        columns = [x.unsqueeze(-1) for x in (v, followed_by(v, bootstrap[row]), r)]
        return (torchrl.td0_advantage_estimate(gamma, *columns, done=running).squeeze(-1),)

    oracles = {key: by_row(by, MASK, rewards, values) for key, by in (("rlax", by_rlax), ("torchrl", by_torchrl))}
    yield {
        "name": "one-step errors",
        "inputs": {"rewards": rewards, "values": values, "mask": MASK, "bootstrap": bootstrap},
        "settings": {"gamma": gamma},
        "oracles": {key: {"deltas": value[0]} for key, value in oracles.items()},
    }


def token_rewards():
    """Score and KL penalty: one score per row (OpenRLHF) and one per token (verl)."""
    new, ref, settings = logprobs(8), logprobs(9), {"kl_coef": 0.3}
    per_row, per_token = normal(ROWS, seed=10), normal(ROWS, WIDTH, seed=11)
    inputs = {"logprobs": new, "ref_logprobs": ref, "mask": MASK}
    paid = openrlhf_tensors.compute_reward(per_row, 0.3, new - ref, action_mask=MASK.long())
    penalised = verl.compute_rewards(per_token, new, ref, 0.3)
    on_last = torch.zeros_like(MASK)
    on_last[torch.arange(ROWS), [4, 2, 0, 3]] = per_row
    also_paid = verl.compute_rewards(on_last, new, ref, 0.3)
    yield {
        "name": "one score per row",
        "inputs": {"scores": per_row, **inputs},
        "settings": settings,
        "oracles": {"openrlhf": {"rewards": paid * MASK}, "verl": {"rewards": also_paid * MASK}},
    }
    yield {
        "name": "one score per token",
        "inputs": {"scores": per_token, **inputs},
        "settings": settings,
        "oracles": {"verl": {"rewards": penalised * MASK}},
    }


def whiten():
    """Mean 0 and sample variance 1 over the mask."""
    x = 3 + 2 * normal(ROWS, WIDTH, seed=12)
    chosen = MASK.bool()
    by_scipy = torch.zeros_like(x)
    by_scipy[chosen] = torch.from_numpy(scipy.stats.zscore(x[chosen].numpy(), ddof=1))
    by_verl = verl_tensors.masked_whiten(x, MASK) * MASK
    oracles = {"scipy": {"whitened": by_scipy}, "verl": {"whitened": by_verl}}
    yield {"name": "whitened", "inputs": {"x": x, "mask": MASK}, "settings": {}, "oracles": oracles}


def groups():
    """Group baselines: of the mean, of the mean and spread, of the others. verl scales by the sample spread."""
    scores, names = normal(len(GROUP), seed=13), np.array(GROUP)
    level = torch.ones(len(GROUP), 1, dtype=torch.float64)
    call = {"response_mask": level, "index": names, "epsilon": 0.0}
    by_scipy = torch.zeros_like(scores)
    for name in set(GROUP):
        rows = torch.from_numpy(names == name)
        by_scipy[rows] = torch.from_numpy(scipy.stats.zscore(scores[rows].numpy(), ddof=0))
    scaled, centred = (
        verl.compute_grpo_outcome_advantage(scores[:, None] * level, norm_adv_by_std_in_grpo=flag, **call)[0]
        for flag in (True, False)
    )
    looped, vectorised = (
        function(scores[:, None] * level, **call)[0]
        for function in (verl.compute_rloo_outcome_advantage, verl.compute_rloo_vectorized_outcome_advantage)
    )
    yield {
        "name": "two groups",
        "inputs": {"scores": scores, "group": torch.tensor(GROUP)},
        "settings": {},
        "oracles": {
            "scipy": {"population_scaled": by_scipy},
            "verl": {"sample_scaled": scaled[:, 0], "centred": centred[:, 0], "leave_one_out": looped[:, 0]},
            "verl, vectorised": {"leave_one_out": vectorised[:, 0]},
        },
    }


RECIPES = {
    "gae": gae,
    "discounted_returns": discounted_returns,
    "td_errors": td_errors,
    "token_rewards": token_rewards,
    "whiten": whiten,
    "groups": groups,
}
