"""What rllab computes from the inputs of each golden file: quantity -> output name -> tensor."""

import torch
from torch import Tensor

from rllab.maths.advantages import group_relative, leave_one_out, whiten
from rllab.maths.divergence import categorical_kl, entropy, kl_k1, kl_k2, kl_k3, selected_logprobs
from rllab.maths.losses import (
    bradley_terry_loss,
    clipped_surrogate_loss,
    clipped_value_loss,
    dpo_loss,
    policy_gradient_loss,
    reduce,
)
from rllab.maths.returns import discounted_returns, gae, td_errors, token_rewards


def with_gradient(loss, x):
    leaf = x.clone().requires_grad_()
    value = loss(leaf)
    return {"loss": value.detach(), "gradient": torch.autograd.grad(value.sum(), leaf)[0]}


def our_gae(given, settings):
    settings = settings | {"bootstrap": given["bootstrap"]}
    advantages, returns = gae(given["rewards"], given["values"], given["mask"], **settings)
    return {"advantages": advantages, "returns": returns, "whitened": whiten(advantages, given["mask"])}


def our_returns(given, settings):
    return {"returns": discounted_returns(**given, **settings)}


def our_td_errors(given, settings):
    return {"deltas": td_errors(**given, **settings)}


def our_rewards(given, settings):
    return {"rewards": token_rewards(**given, **settings)}


def our_whitening(given, _):
    return {"whitened": whiten(**given)}


def our_groups(given, _):
    scaled = group_relative(**given)
    sizes = torch.bincount(given["group"])[given["group"]].double()
    return {
        "population_scaled": scaled,
        "sample_scaled": scaled * ((sizes - 1) / sizes).sqrt(),  # verl divides by the sample deviation
        "centred": group_relative(**given, scale=False),
        "leave_one_out": leave_one_out(**given),
    }


def our_divergence(given, _):
    logits, ref_logits = given["logits"], given["ref_logits"]
    return {
        "logprobs": selected_logprobs(logits, given["tokens"]),
        "entropy": entropy(logits),
        "kl": categorical_kl(logits, ref_logits),
    }


def our_estimators(given, _):
    named = {"k1": kl_k1, "k2": kl_k2, "k3": kl_k3}
    ref = given["ref_logprobs"]
    both = {name: with_gradient(lambda x, f=f: f(x, ref), given["logprobs"]) for name, f in named.items()}
    values = {name: result["loss"] for name, result in both.items()}
    return values | {f"{name}_gradient": result["gradient"] for name, result in both.items()}


def our_policy_gradient(given, settings):
    def loss(logits):
        logprobs = selected_logprobs(logits, given["tokens"])
        return reduce(policy_gradient_loss(logprobs, given["advantages"], given["mask"]), given["mask"], **settings)

    return with_gradient(loss, given["logits"])


def our_supervised_loss(given, settings):
    ones = torch.ones_like(given["mask"])
    return our_policy_gradient(given | {"advantages": ones}, settings)


def clipped(logprobs, given, settings):
    bounds = {name: settings[name] for name in ("clip_eps", "clip_eps_high")}
    old, advantages, mask = (given[name] for name in ("old_logprobs", "advantages", "mask"))
    return clipped_surrogate_loss(logprobs, old, advantages, mask, **bounds)


def our_clipped_surrogate(given, settings):
    mask, mode = given["mask"], settings["mode"]
    return with_gradient(lambda x: reduce(clipped(x, given, settings), mask, mode), given["logprobs"])


def our_grpo(given, settings):
    mask, mode = given["mask"], settings["mode"]

    def loss(x):
        terms = clipped(x, given, settings) + settings["beta"] * kl_k3(x, given["ref_logprobs"])
        return reduce(terms, mask, mode, denominator=settings["denominator"])

    return with_gradient(loss, given["logprobs"])


def our_clipped_value(given, settings):
    old, targets, mask = (given[name] for name in ("old_values", "returns", "mask"))

    def loss(x):
        terms = clipped_value_loss(x, old, targets, mask, clip_eps=settings["clip_eps"])
        return reduce(terms, mask, settings["mode"])

    return with_gradient(loss, given["values"])


def our_preferences(given, settings):
    if "beta" in settings:
        return with_gradient(lambda x: dpo_loss(*x, *given["ref_logps"], **settings).mean(), given["logps"])
    return with_gradient(lambda x: bradley_terry_loss(*x).mean(), given["logps"])


def our_strengths(given, _):
    strengths = torch.zeros(5, dtype=torch.float64, requires_grad=True)
    winners, losers = given["pairs"].T
    settings = {"max_iter": 200, "tolerance_grad": 1e-13, "tolerance_change": 0.0, "line_search_fn": "strong_wolfe"}
    optimizer = torch.optim.LBFGS([strengths], **settings)

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = bradley_terry_loss(strengths[winners], strengths[losers]).mean()
        loss.backward()
        return loss

    optimizer.step(closure)
    return {"strengths": (strengths - strengths.mean()).detach()}


def our_reducers(given, settings):
    return with_gradient(lambda x: reduce(x, given["mask"], **settings), given["x"])


OURS = {
    "gae": our_gae,
    "discounted_returns": our_returns,
    "td_errors": our_td_errors,
    "token_rewards": our_rewards,
    "whiten": our_whitening,
    "groups": our_groups,
    "divergence": our_divergence,
    "kl_estimators": our_estimators,
    "policy_gradient": our_policy_gradient,
    "supervised": our_supervised_loss,
    "clipped_surrogate": our_clipped_surrogate,
    "grpo": our_grpo,
    "clipped_value": our_clipped_value,
    "preferences": our_preferences,
    "strengths": our_strengths,
    "reducers": our_reducers,
}
