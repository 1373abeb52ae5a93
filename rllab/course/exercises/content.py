"""The exercises as data: words in `data/exercises/*.json`, what is right computed by `truths`."""

from __future__ import annotations

import functools
import itertools
import json
import math
import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rllab.core.errors import LabError
from rllab.core.files import data_dir
from rllab.course.exercises.boards import TRAY, Board, Card, Pair, Place
from rllab.course.exercises.grading import (
    Choice,
    Code,
    Exercise,
    Given,
    Number,
    Program,
    Task,
    Words,
    numbers,
    read_numbers,
)
from rllab.course.tabular.maze import corridor_sweep
from rllab.maths.advantages import group_relative, leave_one_out
from rllab.maths.divergence import entropy
from rllab.maths.losses import REDUCERS, bradley_terry_loss, clipped_surrogate_loss, policy_gradient_loss, reduce
from rllab.maths.masking import masked_sum
from rllab.maths.returns import discounted_returns, gae, td_errors, token_rewards

# ---- What is right in every exercise that can be computed, from the lab's own equations ----

Row = Sequence[float]


def row(values: Row) -> Tensor:
    """Return numbers as one row of a batch, (1, T) in float64."""
    return torch.tensor([list(values)], dtype=torch.float64)


def whole(values: Row) -> Tensor:
    """Return a mask under which all of a row counts, (1, T)."""
    return torch.ones(1, len(values), dtype=torch.bool)


# Returns and credit


def td_row(rewards: Row, values: Row) -> Tensor:
    """Return the TD errors of a response that ended, undiscounted."""
    return td_errors(row(rewards), row(values), whole(rewards), gamma=1.0)[0]


def gae_row(rewards: Row, values: Row, lam: float) -> Tensor:
    """Return GAE of a response that ended, undiscounted."""
    return gae(row(rewards), row(values), whole(rewards), gamma=1.0, lam=lam)[0][0]


def noise_to_signal(length: float) -> float:
    """Return tr Var(g) / |g|^2 of one sampled gradient with a mean baseline, by enumerating one position's four tokens.

    `length` independent positions, the uniform policy over four tokens, +1 for each target token, one score at the end.
    """
    pi = torch.full((4,), 0.25, dtype=torch.float64)
    pay = torch.tensor([1.0, 0, 0, 0], dtype=torch.float64)
    score = torch.eye(4, dtype=torch.float64) - pi  # (action, logit): gradient of log pi
    signal = (pi[:, None] * score * pay[:, None]).sum(0).square().sum()
    centred = pay - (pi * pay).sum()
    others = (length - 1) * (pi * centred.square()).sum()
    second = (pi * score.square().sum(1) * (centred.square() + others)).sum()
    return float((second - signal) / signal)


# Preferences and distributions


def preference(gap: float) -> Tensor:
    """Return the Bradley-Terry probability of the response that scores higher by `gap`."""
    return (-bradley_terry_loss(torch.tensor([gap], dtype=torch.float64), torch.zeros(1))).exp()


def preference_slope(gap: float) -> Tensor:
    """Return the derivative of the Bradley-Terry loss in the gap, by autograd."""
    leaf = torch.tensor([gap], dtype=torch.float64, requires_grad=True)
    return torch.autograd.grad(bradley_terry_loss(leaf, torch.zeros(1)).sum(), leaf)[0]


def dpo_margin(policy: Row, reference: Row, beta: float) -> float:
    """Return the difference of the implicit rewards beta log(pi / pi_ref) of chosen and rejected."""
    return beta * ((policy[0] - reference[0]) - (policy[1] - reference[1]))


def best_of_kl(n: float, *, answers: int = 100_000) -> float:
    """Return KL(best of n || one) over equally likely answers that all score differently, by enumeration."""
    edges = torch.linspace(0, 1, answers + 1, dtype=torch.float64) ** n
    best = edges.diff()
    return float(torch.special.xlogy(best, best * answers).sum())


def frontier_slope(beta: float) -> float:
    """Return dE[R] / dKL along the optima pi_ref exp(R / beta), by a small step in beta over random answers."""
    reward = torch.randn(64, dtype=torch.float64, generator=torch.Generator().manual_seed(0))

    def point(at: float) -> tuple[float, float]:
        logits = reward / at
        pi = logits.softmax(0)
        return float(pi @ reward), float(math.log(64) - entropy(logits))

    (low, low_kl), (high, high_kl) = point(beta * 1.001), point(beta / 1.001)
    return (high - low) / (high_kl - low_kl)


def peak(curve: Callable[[float], float], *, low: float = 1e-6, high: float = 1e3) -> float:
    """Return where a curve with one hump is highest, by narrowing it down on a log scale."""
    a, b = math.log(low), math.log(high)
    for _ in range(200):
        left, right = a + (b - a) / 3, b - (b - a) / 3
        a, b = (left, b) if curve(math.exp(left)) < curve(math.exp(right)) else (a, right)
    return math.exp((a + b) / 2)


def gold_peaks(alpha: float, beta: float) -> list[float]:
    """Return the distance d at which gold is highest, in the best-of-n form and in the RL form."""
    return [peak(lambda d: d * (alpha - beta * d)), peak(lambda d: d * (alpha - beta * math.log(d)))]


# Groups, gradients, losses


def grouped(scores: Row, function: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """Return the advantages of one group."""
    return function(row(scores)[0], torch.zeros(len(scores), dtype=torch.long))


def corners(ratios: Row, advantages: Row, clip_eps: float) -> Tensor:
    """Return PPO's loss at some ratios and advantages."""
    old = row([0.0] * len(ratios))
    return clipped_surrogate_loss(row(ratios).log(), old, row(advantages), whole(ratios), clip_eps=clip_eps)[0]


def paid_tokens(score: float, logprobs: Row, ref_logprobs: Row, beta: float) -> Tensor:
    """Return the reward of each token: the score at the end, minus beta KL everywhere."""
    scores = torch.tensor([score], dtype=torch.float64)
    return token_rewards(scores, row(logprobs), row(ref_logprobs), whole(logprobs), kl_coef=beta)[0]


TRUTHS: Mapping[str, Callable[..., float | Tensor | list[float]]] = {
    "sweep": corridor_sweep,
    "sequence logprob": lambda prompt, response: masked_sum(
        row([*prompt, *response]), row([0] * len(prompt) + [1] * len(response))
    ),
    "entropy": lambda logits: entropy(row(logits)),
    "preference": preference,
    "preference slope": preference_slope,
    "backup": lambda pi, rewards, following: row(pi)[0] @ (row(rewards) + row(following))[0],
    "advantages": lambda pi, q: row(q)[0] - row(pi)[0] @ row(q)[0],
    "td": td_row,
    "rloo": lambda scores: grouped(scores, leave_one_out),
    "cost": lambda short, long: noise_to_signal(long) / noise_to_signal(short),
    "gae": gae_row,
    "corners": corners,
    "token rewards": paid_tokens,
    "best of n": best_of_kl,
    "peaks": gold_peaks,
    "frontier": frontier_slope,
    "grpo": lambda scores: grouped(scores, group_relative),
    "dpo": dpo_margin,
}


# ---- The functions that learners write: the right one, the usual slips, the laws it keeps, inputs to try  ----


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


# ---- Which options are right, found out by trying each: nothing here is a stored answer ----


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


# ---- The exercises as data: words in `data/exercises/*.json`, what is right computed by `truths` ----

Data = Mapping[str, Any]


def exercises(notebook: str = "") -> list[Exercise]:
    """Return the exercises of a notebook, or all of them, in their order."""
    return [one for one in _all(data_dir() / "exercises").values() if notebook in {"", one.notebook}]


def exercise_named(name: str) -> Exercise:
    """Return one exercise."""
    known = _all(data_dir() / "exercises")
    if name not in known:
        raise LabError.choice("exercise", name, known)
    return known[name]


@functools.cache
def _all(folder: Path) -> dict[str, Exercise]:
    """Read every file of the folder once."""
    found: dict[str, Exercise] = {}
    for file in sorted(folder.glob("*.json")):
        content = json.loads(file.read_text("utf-8"))
        for item in content["exercises"]:
            name = f"{content['notebook']}.{item['name']}"
            found[name] = _exercise(name, content["notebook"], item)
    return found


def _exercise(name: str, notebook: str, item: Data) -> Exercise:
    """Make one exercise; the given numbers appear in the question by name, so that both always agree."""
    shown = {key: _shown(value) for key, value in item.get("given", {}).items()}
    question = item["question"].format(**shown)
    hints = tuple(item["hints"])
    return Exercise(name, notebook, item["title"], question, hints, item["explanation"], TASKS[item["kind"]](item))


def _choice(item: Data) -> Choice:
    options = item["options"]
    right = SETS[item["truth"]]() if "truth" in item else frozenset(item["right"])
    texts = {name: option["text"] for name, option in options.items()}
    reasons = {name: option["reason"] for name, option in options.items() if "reason" in option}
    return Choice(texts, reasons, right, bool(item.get("many", False)))


def _number(item: Data) -> Number:
    slips = tuple((read_numbers(values), reason) for values, reason in item["slips"].items())
    return Number(TRUTHS[item["truth"]], item["given"], tuple(item["entries"]), float(item["tolerance"]), slips)


def _code(item: Data) -> Code:
    return Code(PROGRAMS[item["truth"]], item["signature"], float(item["tolerance"]), item["reasons"])


def _board(item: Data) -> Board:
    places = tuple(Place(name, *words) for name, words in item["places"].items())
    homes = {name: place for place, cards in item["cards"].items() for name in cards}
    texts = {name: text for cards in item["cards"].values() for name, text in cards.items()}
    cards = tuple(Card(name, text, homes[name]) for name, text in texts.items())
    pairs = tuple(Pair(*pair) for pair in item.get("pairs", ()))
    if unknown := set(homes.values()) - {place.id for place in places} - {TRAY}:
        raise LabError("place of a card", min(unknown), "name a place of the board, or the tray")
    return Board(item["mode"], places, cards, item["wrong"], pairs)


def _shown(value: Any) -> str:
    """Write given numbers as a question shows them."""
    if isinstance(value, list):
        return ", ".join(map(_shown, value))
    return f"{value:g}".replace("-", "\u2212")


TASKS: Mapping[str, Callable[[Data], Task]] = {
    "choice": _choice,
    "number": _number,
    "code": _code,
    "board": _board,
    "words": lambda _: Words(),
}
