"""Which options are right, found out by trying each: nothing here is a stored answer."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from rllab.maths.losses import REDUCERS, bradley_terry_loss, reduce


def policy_edits() -> frozenset[str]:
    """Find the edits that change the bars in one and the same state of a small policy."""
    table = torch.tensor([[0.5, 1.5, -1.0], [2.0, 0.0, 0.3]], dtype=torch.float64)  # a row of logits for each state

    def bars(logits: Tensor, *, temperature: float = 1.0) -> Tensor:
        return (logits[0] / temperature).softmax(0)

    edits = {
        "weights": bars(table + torch.tensor([0.4, 0.0, 0.0])),
        "temperature": bars(table, temperature=0.5),
        "prompt": bars(table),  # another prompt looks up another row; this one is as it was
        "seed": bars(table),  # the dice are thrown after the bars are there
    }
    return frozenset(name for name, after in edits.items() if not torch.equal(after, bars(table)))


def preference_invariances() -> frozenset[str]:
    """Find the changes of all scores that leave every preference probability as it is."""
    generator = torch.Generator().manual_seed(0)
    chosen, rejected, shift = torch.randn(3, 16, dtype=torch.float64, generator=generator)
    changes: Mapping[str, Callable[[Tensor], Tensor]] = {
        "shift": lambda scores: scores + 3.0,
        "shift by prompt": lambda scores: scores + shift,
        "scale": lambda scores: 2.0 * scores,
        "sign": lambda scores: -scores,
    }
    before = bradley_terry_loss(chosen, rejected)
    return frozenset(
        name
        for name, change in changes.items()
        if torch.allclose(bradley_terry_loss(change(chosen), change(rejected)), before)
    )


def biasing_baselines() -> frozenset[str]:
    """Find the baselines that turn the expected gradient, by enumerating two samples of a three-armed bandit."""
    pi = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
    reward = torch.tensor([1.0, -0.5, 2.0], dtype=torch.float64)
    score = torch.eye(3, dtype=torch.float64) - pi  # (action, logit)
    true = (pi[:, None] * score * reward[:, None]).sum(0)
    baselines: Mapping[str, Callable[[int, int], Tensor]] = {
        "constant": lambda _mine, _other: torch.tensor(5.0),
        "value": lambda _mine, _other: pi @ reward,
        "other sample": lambda _mine, other: reward[other],
        "own value": lambda mine, _other: 0.5 * reward[mine],
    }

    def expected(baseline: Callable[[int, int], Tensor]) -> Tensor:
        pairs = itertools.product(range(3), range(3))
        terms = [pi[a] * pi[b] * score[a] * (reward[a] - baseline(a, b)) for a, b in pairs]
        return torch.stack(terms).sum(0)

    return frozenset(name for name, one in baselines.items() if not torch.allclose(expected(one), true))


def lengthening_reducers() -> frozenset[str]:
    """Find the reducers under which a token of a long wrong answer is pushed down less than one of a short one."""
    mask = torch.zeros(2, 8, dtype=torch.bool)
    mask[0, :2], mask[1] = True, True
    found = set()
    for mode in REDUCERS:
        leaf = torch.ones(2, 8, dtype=torch.float64, requires_grad=True)
        total = reduce(leaf, mask, mode, denominator=16.0 if mode == "constant" else None)
        push = torch.autograd.grad(total, leaf)[0]
        if push[1, 0] < push[0, 0]:
            found.add(mode)
    return frozenset(found)


SETS: Mapping[str, Callable[[], frozenset[str]]] = {
    "policy edits": policy_edits,
    "preference invariances": preference_invariances,
    "biasing baselines": biasing_baselines,
    "lengthening reducers": lengthening_reducers,
}
