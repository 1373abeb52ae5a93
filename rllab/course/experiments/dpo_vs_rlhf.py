"""DPO, and reward model plus RL, on the same pairs. With many they agree; with few, what holds them back decides.

64 answers with known rewards, a reference that likes some more than others, and pairs drawn from it. RL is the exact
tilt pi_ref exp(r / beta) of the fitted rewards, so what differs is the objective alone. `held back` adds the same
pull towards zero reward to both: the two then agree, because a policy and its implicit reward are one thing.

With 1,000 pairs the reward model closes more of the gap here than the targets say (J 0.73 of 0.92 where they have 0.36
of 0.83), and DPO that nothing holds back does worse (J -1.6, at 5.4 nats): other tasks, the same order.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from rllab.core.jobs import NO_JOB, Job
from rllab.maths.losses import bradley_terry_loss, dpo_loss

ANSWERS, BETA, PULL = 64, 0.5, 1.0
ARMS = ("reward model, held back", "DPO", "DPO, held back")


@dataclass(frozen=True)
class Size:
    """How many pairs, and seeds."""

    pairs: tuple[int, ...]
    seeds: int


@dataclass(frozen=True)
class Outcome:
    """What one arm reached on one seed: J = E[r] - beta KL and its parts."""

    arm: str
    pairs: int
    seed: int
    J: float
    optimum: float  # J* = beta log Z
    start: float  # J of the reference
    kl: float  # nats

    @property
    def closed(self) -> float:
        """Return the share of the gap between reference and optimum that was closed."""
        return (self.J - self.start) / (self.optimum - self.start)


@dataclass(frozen=True)
class Result:
    """All arms on the same seeds, and how far the two that are held back are apart."""

    outcomes: tuple[Outcome, ...]
    apart: float  # largest difference of log-probs between `DPO, held back` and the reward model, in nats

    def closed(self, arm: str, pairs: int) -> float:
        """Return the share of the gap that an arm closed, on average over seeds."""
        chosen = [one.closed for one in self.outcomes if (one.arm, one.pairs) == (arm, pairs)]
        return sum(chosen) / len(chosen)

    def kl(self, arm: str, pairs: int) -> float:
        """Return how far an arm went from the reference, in nats, on average over seeds."""
        chosen = [one.kl for one in self.outcomes if (one.arm, one.pairs) == (arm, pairs)]
        return sum(chosen) / len(chosen)


FAST, WORKSHOP = Size((300, 20_000), 3), Size((100, 300, 1_000, 3_000, 20_000), 20)


def run(size: Size, *, job: Job = NO_JOB) -> Result:
    """Fit all arms to the same pairs."""
    outcomes, apart = [], 0.0
    for seed in range(size.seeds):
        for pairs in size.pairs:
            job.check()
            reward, ref = make_task(seed)
            chosen, rejected = draw_pairs(reward, ref, pairs, seed=seed)
            policies = fit_all(ref, chosen, rejected)
            measured = {arm: _measured(logps, reward, ref) for arm, logps in policies.items()}
            outcomes += [Outcome(arm, pairs, seed, *numbers) for arm, numbers in measured.items()]
            apart = max(apart, float((policies[ARMS[0]] - policies[ARMS[2]]).abs().max()))
        job.report(seed + 1, size.seeds, f"seed {seed}")
    return Result(tuple(outcomes), apart)


def make_task(seed: int) -> tuple[Tensor, Tensor]:
    """Draw the rewards of the answers and the reference's log-probs, (64,) each."""
    generator = torch.Generator().manual_seed(seed)
    reward, logits = torch.randn(2, ANSWERS, generator=generator, dtype=torch.float64)
    return reward, logits.log_softmax(dim=0)


def draw_pairs(reward: Tensor, ref: Tensor, count: int, *, seed: int) -> tuple[Tensor, Tensor]:
    """Draw pairs of different answers of the reference, labelled by Bradley-Terry; return winners and losers."""
    generator = torch.Generator().manual_seed(1000 + seed)
    first, second = torch.multinomial(ref.exp().expand(count, -1), 2, generator=generator).T
    likely = torch.sigmoid(reward[first] - reward[second])
    wins = torch.rand(count, generator=generator, dtype=torch.float64) < likely
    return torch.where(wins, first, second), torch.where(wins, second, first)


def fit_all(ref: Tensor, chosen: Tensor, rejected: Tensor) -> dict[str, Tensor]:
    """Return the log-probs of each arm's policy, (64,)."""

    def reward_loss(reward: Tensor) -> Tensor:
        return bradley_terry_loss(reward[chosen], reward[rejected]).sum() + PULL / 2 * reward.square().sum()

    def policy_loss(shift: Tensor, pull: float) -> Tensor:
        logps = (ref + shift).log_softmax(dim=0)
        implicit = BETA * shift  # up to a constant, which no difference sees
        fit = dpo_loss(logps[chosen], logps[rejected], ref[chosen], ref[rejected], beta=BETA).sum()
        return fit + pull / 2 * implicit.square().sum()

    return {
        ARMS[0]: (ref + _minimum(reward_loss) / BETA).log_softmax(dim=0),
        ARMS[1]: (ref + _minimum(lambda shift: policy_loss(shift, 0.0))).log_softmax(dim=0),
        ARMS[2]: (ref + _minimum(lambda shift: policy_loss(shift, PULL))).log_softmax(dim=0),
    }


def _minimum(loss: Callable[[Tensor], Tensor]) -> Tensor:
    """Return what minimises a smooth function of 64 numbers."""
    x = torch.zeros(ANSWERS, dtype=torch.float64, requires_grad=True)
    settings = {"max_iter": 300, "tolerance_grad": 1e-9, "tolerance_change": 0.0, "line_search_fn": "strong_wolfe"}
    optimizer = torch.optim.LBFGS([x], **settings)  # type: ignore[arg-type]  # settings of several types

    def closure() -> Tensor:
        optimizer.zero_grad()
        value = loss(x)
        value.backward()
        return value

    optimizer.step(closure)
    return x.detach()


def _measured(logps: Tensor, reward: Tensor, ref: Tensor) -> tuple[float, float, float, float]:
    """Return J of a policy, of the optimum and of the reference, and the policy's KL, all exactly."""
    probs = logps.exp()
    kl = float((probs * (logps - ref)).sum())
    best = BETA * float(torch.logsumexp(ref + reward / BETA, dim=0))
    return float((probs * reward).sum()) - BETA * kl, best, float((ref.exp() * reward).sum()), kl
