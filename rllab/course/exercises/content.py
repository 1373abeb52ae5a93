"""The exercises: texts from `data/exercises/*.json`, right answers computed from the lab's own equations.

No answer is stored: each is found by calling `rllab.maths`, by differentiating, enumerating, searching or trying.
"""

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

Row = Sequence[float]
Data = Mapping[str, Any]


# ---- Loading ----


def exercises(notebook: str = "") -> list[Exercise]:
    """Return the exercises of a notebook, or all of them, in their order.

    Args:
        notebook: Such as "04"; empty for all notebooks.
    """
    known = _load(data_dir() / "exercises").values()
    return [exercise for exercise in known if notebook in {"", exercise.notebook}]


def exercise_named(name: str) -> Exercise:
    """Return one exercise.

    Args:
        name: Its id, such as "04.backup".

    Raises:
        LabError: If there is no such exercise.
    """
    known = _load(data_dir() / "exercises")
    if name not in known:
        raise LabError.choice("exercise", name, known)
    return known[name]


@functools.cache
def _load(folder: Path) -> dict[str, Exercise]:
    """Load every file of the folder once; the given numbers appear in a question by name, so that both agree."""
    found: dict[str, Exercise] = {}
    for file in sorted(folder.glob("*.json")):
        content = json.loads(file.read_text("utf-8"))
        notebook = content["notebook"]
        for item in content["exercises"]:
            name, shown = (
                f"{notebook}.{item['name']}",
                {key: _shown(value) for key, value in item.get("given", {}).items()},
            )
            question, hints = item["question"].format(**shown), tuple(item["hints"])
            found[name] = Exercise(name, notebook, item["title"], question, hints, item["explanation"], _task(item))
    return found


def _shown(value: Any) -> str:
    """Format given numbers for a question."""
    return ", ".join(map(_shown, value)) if isinstance(value, list) else f"{value:g}".replace("-", "\u2212")


def _task(item: Data) -> Task:
    """Return what an exercise asks for, with its right answer computed."""
    match item["kind"]:
        case "choice":
            options = item["options"]
            right = SETS[item["truth"]]() if "truth" in item else frozenset(item["right"])
            texts = {name: option["text"] for name, option in options.items()}
            reasons = {name: option["reason"] for name, option in options.items() if "reason" in option}
            return Choice(texts, reasons, right, bool(item.get("many", False)))
        case "number":
            slips = tuple((read_numbers(values), reason) for values, reason in item["slips"].items())
            return Number(TRUTHS[item["truth"]], item["given"], tuple(item["entries"]), float(item["tolerance"]), slips)
        case "code":
            return Code(PROGRAMS[item["truth"]], item["signature"], float(item["tolerance"]), item["reasons"])
        case "board":
            places = tuple(Place(name, *words) for name, words in item["places"].items())
            if unknown := item["cards"].keys() - {place.id for place in places} - {TRAY}:
                raise LabError("place of a card", min(unknown), "name a place of the board, or the tray")
            cards = tuple(Card(name, text, home) for home, of in item["cards"].items() for name, text in of.items())
            pairs = tuple(Pair(*pair) for pair in item.get("pairs", ()))
            return Board(item["mode"], places, cards, item["wrong"], pairs)
        case "words":
            return Words()
        case kind:
            raise LabError.choice("kind", kind, ("choice", "number", "code", "board", "words"))


# ---- Numbers: what each exercise's given numbers lead to ----


def _row(values: Row) -> Tensor:
    """Return numbers as one row of a batch, (1, T) in float64."""
    return torch.tensor([list(values)], dtype=torch.float64)


def _all_of(values: Row) -> Tensor:
    """Return a mask under which all of a row counts, (1, T)."""
    return torch.ones(1, len(values), dtype=torch.bool)


def _one_group(function: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Row], Tensor]:
    """Return the advantages of one group as a function of its scores."""
    return lambda scores: function(_row(scores)[0], torch.zeros(len(scores), dtype=torch.long))


def _noise_to_signal(length: float) -> float:
    """Return tr Var(g) / |g|^2 of one sampled gradient with a mean baseline, by enumerating one position's four tokens.

    `length` independent positions, the uniform policy over four tokens, +1 for each target token, one score at the end.
    """
    pi = torch.full((4,), 0.25, dtype=torch.float64)
    reward = torch.tensor([1.0, 0, 0, 0], dtype=torch.float64)
    score = torch.eye(4, dtype=torch.float64) - pi  # (action, logit): gradient of log pi
    signal = (pi[:, None] * score * reward[:, None]).sum(0).square().sum()
    centred = reward - (pi * reward).sum()
    others = (length - 1) * (pi * centred.square()).sum()
    second = (pi * score.square().sum(1) * (centred.square() + others)).sum()
    return float((second - signal) / signal)


def _preference_slope(gap: float) -> Tensor:
    """Return the derivative of the Bradley-Terry loss in the gap, by autograd."""
    leaf = torch.tensor([gap], dtype=torch.float64, requires_grad=True)
    return torch.autograd.grad(bradley_terry_loss(leaf, torch.zeros(1)).sum(), leaf)[0]


def _best_of_kl(n: float, *, answers: int = 100_000) -> float:
    """Return KL(best of n || one sample) over equally likely answers that all score differently, by enumeration."""
    edges = torch.linspace(0, 1, answers + 1, dtype=torch.float64) ** n
    best = edges.diff()
    return float(torch.special.xlogy(best, best * answers).sum())


def _frontier_slope(beta: float) -> float:
    """Return dE[R] / dKL along the optima pi_ref exp(R / beta), by a small step in beta over random answers."""
    reward = torch.randn(64, dtype=torch.float64, generator=torch.Generator().manual_seed(0))

    def point(at: float) -> tuple[float, float]:
        logits = reward / at
        return float(logits.softmax(0) @ reward), float(math.log(64) - entropy(logits))

    (low, low_kl), (high, high_kl) = point(beta * 1.001), point(beta / 1.001)
    return (high - low) / (high_kl - low_kl)


def _peak(curve: Callable[[float], float], *, low: float = 1e-6, high: float = 1e3) -> float:
    """Return where a curve with a single hump is highest, by ternary search on a log scale."""
    a, b = math.log(low), math.log(high)
    for _ in range(200):
        left, right = a + (b - a) / 3, b - (b - a) / 3
        a, b = (left, b) if curve(math.exp(left)) < curve(math.exp(right)) else (a, right)
    return math.exp((a + b) / 2)


# Keys are those of the data; arguments are the numbers given there. Every response has ended and gamma is 1.
TRUTHS: Mapping[str, Callable[..., float | Tensor | list[float]]] = {
    "sweep": corridor_sweep,
    "sequence logprob": lambda prompt, response: masked_sum(
        _row([*prompt, *response]), _row([0] * len(prompt) + [1] * len(response))
    ),
    "entropy": lambda logits: entropy(_row(logits)),
    "preference": lambda gap: (-bradley_terry_loss(torch.tensor([gap], dtype=torch.float64), torch.zeros(1))).exp(),
    "preference slope": _preference_slope,
    "backup": lambda pi, rewards, following: _row(pi)[0] @ (_row(rewards) + _row(following))[0],
    "advantages": lambda pi, q: _row(q)[0] - _row(pi)[0] @ _row(q)[0],
    "td": lambda rewards, values: td_errors(_row(rewards), _row(values), _all_of(rewards), gamma=1.0)[0],
    "rloo": _one_group(leave_one_out),
    "cost": lambda short, long: _noise_to_signal(long) / _noise_to_signal(short),
    "gae": lambda rewards, values, lam: gae(_row(rewards), _row(values), _all_of(rewards), gamma=1.0, lam=lam)[0][0],
    "corners": lambda ratios, advantages, clip_eps: clipped_surrogate_loss(
        _row(ratios).log(), _row([0.0] * len(ratios)), _row(advantages), _all_of(ratios), clip_eps=clip_eps
    )[0],
    "token rewards": lambda score, logprobs, ref_logprobs, beta: token_rewards(
        torch.tensor([score], dtype=torch.float64),
        _row(logprobs),
        _row(ref_logprobs),
        _all_of(logprobs),
        kl_coef=beta,
    )[0],
    "best of n": _best_of_kl,
    "peaks": lambda alpha, beta: [
        _peak(lambda d: d * (alpha - beta * d)),
        _peak(lambda d: d * (alpha - beta * math.log(d))),
    ],
    "frontier": _frontier_slope,
    "grpo": _one_group(group_relative),
    "dpo": lambda policy, reference, beta: beta * ((policy[0] - reference[0]) - (policy[1] - reference[1])),
}


# ---- Functions that learners write: the right one, the usual slips, the laws it obeys, inputs to try it on ----


def _discount_sum(rewards: Row, gamma: float, *, start: int = 0) -> float:
    """Return the sum of gamma^(k + start) r_k."""
    return sum(gamma ** (k + start) * reward for k, reward in enumerate(rewards))


def _draw_rewards(generator: random.Random) -> Given:
    rewards = [round(generator.uniform(-2, 2), 2) for _ in range(generator.randint(2, 6))]
    return {"rewards": rewards, "gamma": generator.choice([0.0, 0.5, 0.9, 1.0])}


RETURN = Program(
    right=lambda rewards, gamma: discounted_returns(_row(rewards), _all_of(rewards), gamma=gamma)[0, 0],
    slips={
        "no discount": lambda rewards, gamma: sum(rewards),
        "discounts the first": lambda rewards, gamma: _discount_sum(rewards, gamma, start=1),
        "from the end": lambda rewards, gamma: _discount_sum(rewards[::-1], gamma),
        "last alone": lambda rewards, gamma: rewards[-1],
    },
    laws={
        "recursion": lambda G, rewards, gamma: (
            G(rewards, gamma),
            rewards[0] + gamma * numbers(G(rewards[1:], gamma))[0],
        )
    },
    draw=_draw_rewards,
)


def _score_gradient(logits: Row, action: int, reward: float) -> Tensor:
    """Return the REINFORCE gradient of one sample in the logits, by autograd."""
    leaf = torch.tensor(logits, dtype=torch.float64, requires_grad=True)
    logprob = leaf.log_softmax(0)[action]
    loss = policy_gradient_loss(logprob.reshape(1, 1), _row([reward]), _all_of([reward])).sum()
    return -torch.autograd.grad(loss, leaf)[0]


def _differences(logits: Row, action: int, reward: float) -> list[float]:
    """Return the slopes of reward log pi(action) in each logit, by central differences."""

    def gain(values: Tensor) -> Tensor:
        return reward * values.log_softmax(0)[action]

    at, step = torch.tensor(logits, dtype=torch.float64), 1e-5
    shifts = torch.eye(len(logits), dtype=torch.float64) * step
    return [float(gain(at + shift) - gain(at - shift)) / (2 * step) for shift in shifts]


def _draw_sample(generator: random.Random) -> Given:
    logits = [round(generator.uniform(-2, 2), 2) for _ in range(3)]
    return {"logits": logits, "action": generator.randrange(3), "reward": round(generator.uniform(-2, 2), 2)}


REINFORCE = Program(
    right=_score_gradient,
    slips={
        "chosen alone": lambda logits, action, reward: [reward * (a == action) for a in range(len(logits))],
        "downhill": lambda logits, action, reward: -_score_gradient(logits, action, reward),
        "of the probability": lambda logits, action, reward: (
            _row(logits)[0].softmax(0)[action] * _score_gradient(logits, action, reward)
        ),
        "no reward": lambda logits, action, reward: _score_gradient(logits, action, 1.0),
    },
    laws={
        "sums to zero": lambda g, logits, action, reward: (sum(numbers(g(logits, action, reward))), 0.0),
        "differences": lambda g, logits, action, reward: (
            g(logits, action, reward),
            _differences(logits, action, reward),
        ),
    },
    draw=_draw_sample,
)


def _shaping_terms(potentials: Row, gamma: float, *, terminal: float = 0.0, sign: float = 1.0) -> list[float]:
    """Return gamma Phi(s') - Phi(s) for each step; the right potential of a finished text is 0."""
    states = potentials[:-1]
    following = [*states[1:], terminal]
    return [sign * (gamma * after - before) for before, after in zip(states, following, strict=True)]


def _draw_potentials(generator: random.Random) -> Given:
    """Draw the potentials of the states from the prompt to the finished text, and a discount."""
    potentials = [round(generator.uniform(-1, 1), 2) for _ in range(generator.randint(3, 6))]
    return {"potentials": potentials, "gamma": generator.choice([0.9, 1.0])}


SHAPING = Program(
    right=_shaping_terms,
    slips={
        "keeps the last potential": lambda potentials, gamma: _shaping_terms(
            potentials, gamma, terminal=potentials[-1]
        ),
        "no discount": lambda potentials, gamma: _shaping_terms(potentials, 1.0),
        "turned round": lambda potentials, gamma: _shaping_terms(potentials, gamma, sign=-1.0),
    },
    laws={
        "telescopes": lambda F, potentials, gamma: (
            _discount_sum(numbers(F(potentials, gamma)), gamma),
            -potentials[0],
        )
    },
    draw=_draw_potentials,
)

PROGRAMS: Mapping[str, Program] = {"return": RETURN, "reinforce": REINFORCE, "shaping": SHAPING}


# ---- Choices: which options are right, found by trying each ----


def _policy_edits() -> frozenset[str]:
    """Return the edits that change the bars in one and the same state of a small policy."""
    table = torch.tensor([[0.5, 1.5, -1.0], [2.0, 0.0, 0.3]], dtype=torch.float64)  # a row of logits for each state

    def bars(logits: Tensor, *, temperature: float = 1.0) -> Tensor:
        return (logits[0] / temperature).softmax(0)

    edits = {
        "weights": bars(table + torch.tensor([0.4, 0.0, 0.0])),
        "temperature": bars(table, temperature=0.5),
        "prompt": bars(table),  # another prompt looks up another row; this one is as it was
        "seed": bars(table),  # the random draw comes after the bars
    }
    return frozenset(name for name, after in edits.items() if not torch.equal(after, bars(table)))


def _preference_invariances() -> frozenset[str]:
    """Return the changes of all scores that leave every preference probability as it is."""
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


def _biasing_baselines() -> frozenset[str]:
    """Return the baselines that change the expected gradient, by enumerating two samples of a three-armed bandit."""
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

    return frozenset(name for name, baseline in baselines.items() if not torch.allclose(expected(baseline), true))


def _lengthening_reducers() -> frozenset[str]:
    """Return the reducers under which a token of a long wrong answer is pushed down less than one of a short answer."""
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
    "policy edits": _policy_edits,
    "preference invariances": _preference_invariances,
    "biasing baselines": _biasing_baselines,
    "lengthening reducers": _lengthening_reducers,
}
