"""Log-probs, divergences and losses of the same oracles, TRL, transformers and choix."""

import warnings
from types import SimpleNamespace

import choix
import jax
import jax.numpy as jnp
import numpy as np
import rlax
import torch
from inputs import MASK, ROWS, VOCABULARY, WIDTH, logprobs, normal, tokens
from stubs import VerlConfig, openrlhf, openrlhf_tensors, trainer, verl, verl_tensors
from torch.distributions import Categorical, kl_divergence
from transformers.loss.loss_utils import ForCausalLMLoss
from trl.trainer.dpo_trainer import DPOTrainer
from trl.trainer.grpo_trainer import GRPOTrainer
from trl.trainer.reward_trainer import RewardTrainer
from trl.trainer.utils import entropy_from_logits, selective_log_softmax

LOW, HIGH = 0.2, 0.28
VERL_MODES = ("token-mean", "seq-mean-token-mean", "seq-mean-token-sum")


def with_gradient(function, x, *rest, **settings):
    """Give the value of a scalar function of x and the rest, and its gradient with respect to x."""
    leaf = x.clone().requires_grad_()
    value = function(leaf, *rest, **settings)
    return {"loss": value.detach(), "gradient": torch.autograd.grad(value, leaf)[0]}


def to_jax(x):
    return jnp.array(x.numpy())


def divergence():
    """Log-probs of tokens, entropy and KL of whole distributions."""
    logits, ref = (2 * normal(ROWS, WIDTH, VOCABULARY, seed=seed) for seed in (20, 21))
    chosen = tokens(22)
    policy, reference = Categorical(logits=logits), Categorical(logits=ref)
    softmax = rlax.softmax()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it will be renamed some day
        rlax_kl = rlax.categorical_kl_divergence(to_jax(logits), to_jax(ref))
    oracles = {
        "torch.distributions": {
            "logprobs": policy.log_prob(chosen),
            "entropy": policy.entropy(),
            "kl": kl_divergence(policy, reference),
        },
        "rlax": {
            "logprobs": softmax.logprob(to_jax(chosen), to_jax(logits)),
            "entropy": softmax.entropy(to_jax(logits)),
            "kl": rlax_kl,
        },
        "trl": {
            "logprobs": selective_log_softmax(logits, chosen),
            "entropy": entropy_from_logits(logits),
        },
        "verl": {
            "logprobs": verl_tensors.logprobs_from_logits_naive(logits, chosen),
            "entropy": verl_tensors.entropy_from_logits(logits),
        },
        "openrlhf": {"logprobs": openrlhf_tensors.log_probs_from_logits(logits, chosen)},
    }
    inputs = {"logits": logits, "ref_logits": ref, "tokens": chosen}
    yield {"name": "distributions", "inputs": inputs, "settings": {}, "oracles": oracles}


def kl_estimators():
    """The three estimators, and the gradient of each as a loss."""
    new, ref, oracles = logprobs(23), logprobs(24), {}
    for oracle, estimate in (
        ("verl", verl.kl_penalty_forward),
        ("openrlhf", lambda x, y, name: openrlhf_tensors.compute_approx_kl(x, y, kl_estimator=name)),
    ):
        values = {name: estimate(new, ref, name) for name in ("k1", "k2", "k3")}
        slopes = {f"{name}_gradient": slope(estimate, new, ref, name) for name in values}
        oracles[oracle] = values | slopes
    yield {
        "name": "estimators",
        "inputs": {"logprobs": new, "ref_logprobs": ref},
        "settings": {},
        "oracles": oracles,
    }


def slope(function, x, *rest):
    """Give the gradient of each value with respect to its own x."""
    return with_gradient(lambda *given: function(*given).sum(), x, *rest)["gradient"]


def policy_gradient():
    """REINFORCE from the logits on (RLax divides by all positions), and from log-probs on (verl)."""
    logits, chosen, advantages = normal(ROWS, WIDTH, VOCABULARY, seed=25), tokens(26), normal(ROWS, WIDTH, seed=27)
    flat = [to_jax(x.flatten()) for x in (chosen, advantages, MASK)]

    def loss(z):
        return rlax.policy_gradient_loss(z.reshape(-1, VOCABULARY), *flat)

    by_rlax = {"loss": loss(to_jax(logits)), "gradient": jax.grad(loss)(to_jax(logits))}

    def verl_loss(z):
        new = verl_tensors.logprobs_from_logits_naive(z, chosen)
        return verl.compute_policy_loss_reinforce(
            new.detach(), new, advantages, MASK, loss_agg_mode="seq-mean-token-sum", config=VerlConfig()
        )[0]

    inputs = {"logits": logits, "tokens": chosen, "advantages": advantages, "mask": MASK}
    for name, mode, constant, oracle in (
        ("over all positions", "constant", ROWS * WIDTH, {"rlax": by_rlax}),
        ("over rows", "seq-mean-token-sum", None, {"verl": with_gradient(verl_loss, logits)}),
    ):
        settings = {"mode": mode, "denominator": constant}
        yield {"name": name, "inputs": inputs, "settings": settings, "oracles": oracle}


def supervised():
    """The loss of supervised fine-tuning: minus the mean log-prob of the response's tokens."""
    logits, chosen = normal(ROWS, WIDTH, VOCABULARY, seed=28), tokens(29)
    labels = torch.where(MASK.bool(), chosen, -100)
    by_transformers = with_gradient(lambda z: ForCausalLMLoss(z, labels, VOCABULARY, shift_labels=labels), logits)
    by_openrlhf = with_gradient(
        lambda z: openrlhf.SFTLoss()(openrlhf_tensors.log_probs_from_logits(z, chosen), MASK), logits
    )
    yield {
        "name": "response tokens",
        "inputs": {"logits": logits, "tokens": chosen, "mask": MASK},
        "settings": {"mode": "token-mean"},
        "oracles": {"transformers": by_transformers, "openrlhf": by_openrlhf},
    }


def clip_inputs():
    old = logprobs(30)
    return {
        "logprobs": old + normal(ROWS, WIDTH, seed=31, scale=0.4),
        "old_logprobs": old,
        "advantages": normal(ROWS, WIDTH, seed=32),
        "mask": MASK,
    }


def clipped_surrogate():
    """PPO's clipped loss: RLax symmetric and over all positions, verl and OpenRLHF with two bounds."""
    given = clip_inputs()
    new, old, advantages = given["logprobs"], given["old_logprobs"], given["advantages"]
    chosen, rest = MASK.bool(), [to_jax(x[MASK.bool()]) for x in (old, advantages)]

    def rlax_loss(z):
        return rlax.clipped_surrogate_pg_loss(jnp.exp(z - rest[0]), rest[1], LOW)

    gradient = torch.zeros_like(new)
    gradient[chosen] = torch.from_numpy(np.array(jax.grad(rlax_loss)(to_jax(new[chosen]))))
    by_rlax = {"loss": rlax_loss(to_jax(new[chosen])), "gradient": gradient}
    yield {
        "name": "one bound",
        "inputs": given,
        "settings": {"mode": "token-mean", "clip_eps": LOW, "clip_eps_high": None},
        "oracles": {"rlax": by_rlax},
    }
    for mode in VERL_MODES:
        oracles = {"verl": with_gradient(verl_clip, new, given, mode=mode)}
        if mode != "seq-mean-token-sum":
            oracles["openrlhf"] = with_gradient(openrlhf_clip, new, given, mode=mode)
        settings = {"mode": mode, "clip_eps": LOW, "clip_eps_high": HIGH}
        yield {"name": f"two bounds, {mode}", "inputs": given, "settings": settings, "oracles": oracles}


def verl_clip(new, given, *, mode):
    config = VerlConfig(low=LOW, high=HIGH)
    return verl.compute_policy_loss_vanilla(
        given["old_logprobs"], new, given["advantages"], MASK, loss_agg_mode=mode, config=config
    )[0]


def openrlhf_clip(new, given, *, mode):
    module = openrlhf.PolicyLoss(LOW, HIGH, token_level_loss=mode == "token-mean")
    return module(new, given["old_logprobs"], given["advantages"], MASK)[0]


def grpo():
    """TRL's GRPO loss: clip, k3 as a loss, and its normalisers."""
    given, ref, beta, longest = clip_inputs(), logprobs(33), 0.04, 9
    for loss_type, mode, denominator in (
        ("grpo", "seq-mean-token-mean", None),
        ("bnpo", "token-mean", None),
        ("dapo", "token-mean", None),
        ("dr_grpo", "constant", ROWS * longest),
        ("luspo", "seq-mean-token-sum", None),
    ):
        options = {"loss_type": loss_type, "beta": beta, "longest": longest}
        oracle = with_gradient(trl_grpo, given["logprobs"], given, ref, **options)
        settings = {"mode": mode, "denominator": denominator, "beta": beta, "clip_eps": LOW, "clip_eps_high": HIGH}
        inputs = {**given, "ref_logprobs": ref}
        yield {"name": loss_type, "inputs": inputs, "settings": settings, "oracles": {"trl": oracle}}


def trl_grpo(new, given, ref, *, loss_type, beta, longest):
    stub = trainer(
        args=SimpleNamespace(delta=None, use_bias_correction_kl=False),
        beta=beta,
        epsilon_low=LOW,
        epsilon_high=HIGH,
        importance_sampling_level="token",
        loss_type=loss_type,
        max_completion_length=longest,
        off_policy_mask_threshold=None,
        top_entropy_quantile=1.0,
        use_vllm=False,
        current_gradient_accumulation_steps=1,
        _entropy_bonus_enabled=False,
        _get_per_token_logps_and_entropies=lambda *_, **__: (new, torch.zeros_like(new), None),
    )
    empty = torch.zeros(ROWS, 0, dtype=torch.long)
    inputs = {
        "prompt_ids": empty,
        "prompt_mask": empty,
        "completion_ids": torch.zeros(ROWS, WIDTH, dtype=torch.long),
        "completion_mask": MASK,
        "advantages": given["advantages"],
        "old_per_token_logps": given["old_logprobs"],
        "ref_per_token_logps": ref,
        "num_items_in_batch": MASK.sum(),
    }
    return GRPOTrainer._compute_loss(stub, None, inputs)


def clipped_value():
    """The critic's clipped loss."""
    old = normal(ROWS, WIDTH, seed=34)
    values, targets = old + normal(ROWS, WIDTH, seed=35, scale=0.4), old + normal(ROWS, WIDTH, seed=36)
    module = openrlhf.ValueLoss(LOW)
    oracles = {
        "verl": with_gradient(lambda v: verl.compute_value_loss(v, targets, old, MASK, LOW)[0], values),
        "openrlhf": with_gradient(lambda v: module(v, old, targets, MASK), values),
    }
    yield {
        "name": "clipped",
        "inputs": {"values": values, "old_values": old, "returns": targets, "mask": MASK},
        "settings": {"mode": "token-mean", "clip_eps": LOW},
        "oracles": oracles,
    }


def preferences():
    """Bradley-Terry and DPO on pairs, averaged over the pairs."""
    scores, ref, beta = normal(2, 5, seed=37), normal(2, 5, seed=38), 0.3
    yield {
        "name": "bradley-terry",
        "inputs": {"logps": scores},
        "settings": {},
        "oracles": {
            "openrlhf": with_gradient(lambda x: openrlhf.PairWiseLoss()(x[0], x[1]), scores),
            "trl": with_gradient(trl_bradley_terry, scores),
        },
    }
    module = openrlhf.DPOLoss(beta)
    yield {
        "name": "dpo",
        "inputs": {"logps": scores, "ref_logps": ref},
        "settings": {"beta": beta},
        "oracles": {
            "openrlhf": with_gradient(lambda x: module(x[0], x[1], ref[0], ref[1])[0], scores),
            "trl": with_gradient(lambda x: trl_dpo(x, ref, beta=beta), scores),
        },
    }


def trl_bradley_terry(scores):
    stub = trainer(args=SimpleNamespace(center_rewards_coefficient=None))
    return RewardTrainer.compute_loss(stub, lambda **_: SimpleNamespace(logits=scores.reshape(-1, 1)), {})


def trl_dpo(logps, ref, *, beta):
    rows = torch.ones(logps.numel(), 2, dtype=torch.long)  # a prompt token and a response token
    column = torch.zeros(logps.numel(), 1, dtype=torch.float64)
    output = SimpleNamespace(log_probs=logps.reshape(-1, 1), entropy=column, mean_logits=column, is_top1=column.bool())
    stub = trainer(
        beta=beta,
        f_divergence_type="reverse_kl",
        ld_alpha=None,
        loss_types=["sigmoid"],
        loss_weights=[1.0],
        precompute_ref_logps=True,
        use_weighting=False,
    )
    inputs = {
        "input_ids": rows,
        "attention_mask": rows,
        "completion_mask": torch.tensor([0, 1]).expand_as(rows),
        "ref_chosen_logps": ref[0],
        "ref_rejected_logps": ref[1],
    }
    return DPOTrainer._compute_loss(stub, lambda **_: output, inputs, False)


def strengths():
    """Strengths of five items from 300 comparisons: the fit that minimises the Bradley-Terry loss."""
    random = np.random.default_rng(39)
    truth, pairs = random.normal(size=5), []
    for _ in range(300):
        first, second = random.choice(5, size=2, replace=False)
        wins = random.random() < 1 / (1 + np.exp(truth[second] - truth[first]))
        pairs.append((int(first), int(second)) if wins else (int(second), int(first)))
    fitted = choix.ilsr_pairwise(5, pairs, alpha=0.0, tol=1e-12)
    yield {
        "name": "five items",
        "inputs": {"pairs": torch.tensor(pairs)},
        "settings": {},
        "oracles": {"choix": {"strengths": fitted - fitted.mean()}},
    }


def reducers():
    """The reducers on one tensor, and the global counts of a slice of a larger batch."""
    x = normal(ROWS, WIDTH, seed=40)
    mask = MASK.clone()
    mask[2] = 0  # a row with nothing in it
    for mode in VERL_MODES:
        oracles = {"verl": with_gradient(verl.agg_loss, x, mask, mode)}
        if mode != "seq-mean-token-sum":
            options = {"token_level_loss": mode == "token-mean"}
            oracles["openrlhf"] = with_gradient(openrlhf.aggregate_loss, x, mask, **options)
        settings = {"mode": mode, "denominator": None}
        yield {"name": mode, "inputs": {"x": x, "mask": mask}, "settings": settings, "oracles": oracles}
        whole = 40 if mode == "token-mean" else 16
        key = "batch_num_tokens" if mode == "token-mean" else "global_batch_size"
        part = with_gradient(verl.agg_loss, x, mask, mode, **{key: whole})
        settings = {"mode": mode, "denominator": whole}
        yield {
            "name": f"{mode} of a slice",
            "inputs": {"x": x, "mask": mask},
            "settings": settings,
            "oracles": {"verl": part},
        }


RECIPES = {
    "divergence": divergence,
    "kl_estimators": kl_estimators,
    "policy_gradient": policy_gradient,
    "supervised": supervised,
    "clipped_surrogate": clipped_surrogate,
    "grpo": grpo,
    "clipped_value": clipped_value,
    "preferences": preferences,
    "strengths": strengths,
    "reducers": reducers,
}
