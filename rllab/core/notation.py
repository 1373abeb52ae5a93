"""The symbols of the lab, for plot labels, tables and the glossary on the screen.

Code counts columns from 0 and the screen counts steps from 1: `label` alone adds the 1.
"""

from dataclasses import dataclass
from typing import Final

from rllab.core.errors import LabError


@dataclass(frozen=True)
class Symbol:
    """One symbol of the field's notation.

    Args:
        symbol: How it is written.
        meaning: What it stands for.
        unit: Its unit; empty for a plain number.
    """

    symbol: str
    meaning: str
    unit: str


GLOSSARY: Final[dict[str, Symbol]] = {
    "prompt": Symbol("x", "prompt", "tokens"),
    "response": Symbol("y", "response, its end token included", "tokens"),
    "step": Symbol("t", "step: the t-th token of the response", "tokens"),
    "length": Symbol("T", "number of response tokens, the end token included", "tokens"),
    "state": Symbol("sₜ = (x, y<ₜ)", "prompt and the tokens so far", "tokens"),
    "action": Symbol("aₜ = yₜ", "the token that is written next", "token"),
    "policy": Symbol("π(a|s)", "probability of each next token", ""),
    "reference": Symbol("π_ref(a|s)", "the frozen policy that training started from", ""),
    "old_policy": Symbol("π_old(a|s)", "the policy that wrote this batch", ""),
    "temperature": Symbol("τ", "temperature: logits are divided by it", ""),
    "logprob": Symbol("log π(aₜ|sₜ)", "log-probability of the written token", "nats"),
    "ratio": Symbol("ρₜ", "π(aₜ|sₜ) / π_old(aₜ|sₜ)", ""),
    "entropy": Symbol("H(sₜ)", "entropy of the next token", "nats"),
    "kl": Symbol("KLₜ", "divergence from the reference at one token", "nats"),
    "kl_coef": Symbol("β", "price of divergence from the reference", "reward per nat"),
    "score": Symbol("R(x, y)", "score of the response", "reward"),
    "reward": Symbol("rₜ", "reward for the action at step t", "reward"),
    "return": Symbol("Gₜ", "sum of the rewards from step t on", "reward"),
    "value": Symbol("V(sₜ)", "expected return from a state", "reward"),
    "action_value": Symbol("Q(sₜ, a)", "expected return after writing a here", "reward"),
    "advantage": Symbol("Aₜ = Q − V", "how much better an action is than the usual", "reward"),
    "td_error": Symbol("δₜ", "rₜ + γV(sₜ₊₁) − V(sₜ)", "reward"),
    "gamma": Symbol("γ", "discount of the next step", ""),
    "lam": Symbol("λ", "how far GAE looks before it trusts the critic", ""),
    "objective": Symbol("J(π)", "expected return of a whole response", "reward"),
}


def label(t: int) -> str:
    """Format a column for the screen, where steps are counted from 1.

    Args:
        t: The column, counted from 0.

    Returns:
        The step number as text.
    """
    return str(t + 1)


def axis(name: str) -> str:
    """Format an axis title, such as `V(sₜ): expected return from a state [reward]`.

    Args:
        name: A name in `GLOSSARY`.

    Returns:
        Symbol, meaning and unit.

    Raises:
        LabError: If the glossary does not have the name.
    """
    if name not in GLOSSARY:
        raise LabError.choice("symbol", name, GLOSSARY)
    entry = GLOSSARY[name]
    unit = f" [{entry.unit}]" if entry.unit else ""
    return f"{entry.symbol}: {entry.meaning}{unit}"
