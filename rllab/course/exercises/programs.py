"""The functions that learners write: the right one, the usual slips, the laws it keeps, inputs to try it on."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from rllab.course.exercises.truth import Given, Program, numbers
from rllab.course.exercises.truths import row, whole
from rllab.maths.losses import policy_gradient_loss
from rllab.maths.returns import discounted_returns

Row = Sequence[float]


def first_return(rewards: Row, gamma: float) -> Tensor:
    """Return G_1 = r_1 + gamma r_2 + gamma^2 r_3 ..."""
    return discounted_returns(row(rewards), whole(rewards), gamma=gamma)[0, 0]


def discount_sum(rewards: Row, gamma: float, *, start: int = 0) -> float:
    """Return sum of gamma^(k + start) r_k."""
    return sum(gamma ** (k + start) * reward for k, reward in enumerate(rewards))


def shaping_terms(potentials: Row, gamma: float, *, terminal: float = 0.0, sign: float = 1.0) -> list[float]:
    """Return gamma Phi(s') - Phi(s) for each step; the potential where the text is over is 0."""
    following = [*potentials[1:], terminal]
    return [sign * (gamma * after - before) for before, after in zip(potentials, following, strict=True)]


def score_gradient(logits: Row, action: int, reward: float) -> Tensor:
    """Return the REINFORCE gradient of one sample in the logits, by autograd."""
    leaf = torch.tensor(logits, dtype=torch.float64, requires_grad=True)
    logprob = leaf.log_softmax(0)[action]
    loss = policy_gradient_loss(logprob.reshape(1, 1), row([reward]), whole([reward])).sum()
    return -torch.autograd.grad(loss, leaf)[0]


def differences(logits: Row, action: int, reward: float) -> list[float]:
    """Return the slopes of reward log pi(action) that small steps in each logit show."""

    def gain(values: Tensor) -> Tensor:
        return reward * values.log_softmax(0)[action]

    at, step = torch.tensor(logits, dtype=torch.float64), 1e-5
    shifts = torch.eye(len(logits), dtype=torch.float64) * step
    return [float(gain(at + shift) - gain(at - shift)) / (2 * step) for shift in shifts]


def draw_return(chance: random.Random) -> Given:
    """Draw rewards and a discount."""
    rewards = [round(chance.uniform(-2, 2), 2) for _ in range(chance.randint(2, 6))]
    return {"rewards": rewards, "gamma": chance.choice([0.0, 0.5, 0.9, 1.0])}


def draw_gradient(chance: random.Random) -> Given:
    """Draw three logits, the token that was written and its reward."""
    logits = [round(chance.uniform(-2, 2), 2) for _ in range(3)]
    return {"logits": logits, "action": chance.randrange(3), "reward": round(chance.uniform(-2, 2), 2)}


def draw_potentials(chance: random.Random) -> Given:
    """Draw the potentials of the states from the prompt to the finished text, and a discount."""
    potentials = [round(chance.uniform(-1, 1), 2) for _ in range(chance.randint(3, 6))]
    return {"potentials": potentials, "gamma": chance.choice([0.9, 1.0])}


PROGRAMS: Mapping[str, Program] = {
    "return": Program(
        right=first_return,
        slips={
            "no discount": lambda rewards, gamma: sum(rewards),
            "discounts the first": lambda rewards, gamma: discount_sum(rewards, gamma, start=1),
            "from the end": lambda rewards, gamma: discount_sum(rewards[::-1], gamma),
            "last alone": lambda rewards, gamma: rewards[-1],
        },
        laws={
            "recursion": lambda G, rewards, gamma: (
                G(rewards, gamma),
                rewards[0] + gamma * numbers(G(rewards[1:], gamma))[0],
            )
        },
        draw=draw_return,
    ),
    "reinforce": Program(
        right=score_gradient,
        slips={
            "chosen alone": lambda logits, action, reward: [reward * (a == action) for a in range(len(logits))],
            "downhill": lambda logits, action, reward: -score_gradient(logits, action, reward),
            "of the probability": lambda logits, action, reward: (
                row(logits)[0].softmax(0)[action] * score_gradient(logits, action, reward)
            ),
            "no reward": lambda logits, action, reward: score_gradient(logits, action, 1.0),
        },
        laws={
            "sums to zero": lambda g, logits, action, reward: (sum(numbers(g(logits, action, reward))), 0.0),
            "differences": lambda g, logits, action, reward: (
                g(logits, action, reward),
                differences(logits, action, reward),
            ),
        },
        draw=draw_gradient,
    ),
    "shaping": Program(
        right=lambda potentials, gamma: shaping_terms(potentials[:-1], gamma),
        slips={
            "keeps the last potential": lambda potentials, gamma: shaping_terms(
                potentials[:-1], gamma, terminal=potentials[-1]
            ),
            "no discount": lambda potentials, gamma: shaping_terms(potentials[:-1], 1.0),
            "turned round": lambda potentials, gamma: shaping_terms(potentials[:-1], gamma, sign=-1.0),
        },
        laws={
            "telescopes": lambda F, potentials, gamma: (
                discount_sum(numbers(F(potentials, gamma)), gamma),
                -potentials[0],
            )
        },
        draw=draw_potentials,
    ),
}
