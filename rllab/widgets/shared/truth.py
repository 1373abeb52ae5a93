"""What panels show of the truth: small trees, read at once; one state's backup; two tokens and what follows them.

A tree is read once as long as its policy does not change. Numbers are rounded so that they add up as they are
shown.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from rllab.core.errors import LabError
from rllab.core.jobs import Job
from rllab.plots.states import two_histograms
from rllab.plots.text import MINUS, apportioned, fixed, plain, probability
from rllab.plots.trees import CandidateAction
from rllab.truth import Tree, exact
from rllab.truth.enumeration import check_size, count_leaves
from rllab.truth.tree import Edge, edges
from rllab.truth.what_if import WhatIf, what_if
from rllab.value.objective import Objective
from rllab.widgets.engine.charts import Bar, Column, chart, table, visible
from rllab.widgets.engine.components import Component, Option, Span, read_whole, row, select, signed
from rllab.worlds import World
from rllab.worlds.responses import horizon_of
from rllab.worlds.stepper import Stepper

# Trees that are small enough to be read without waiting.

AT_ONCE = 30_000  # leaves: read in about a second, so no Stop is needed
KEPT = 6  # trees
FIRST_LOOK = (3, 4)  # tokens of each state, and depth, in a world too large to be read whole


@dataclass(frozen=True)
class Cut:
    """The part of a tree that is read: the most likely tokens of each state (0: all of them), to a horizon."""

    top_k: int
    horizon: int
    longest: int  # no response is longer than this

    @property
    def is_whole(self) -> bool:
        """Return whether nothing is cut away."""
        return self.top_k == 0 and self.horizon >= self.longest

    @property
    def words(self) -> str:
        """Return the kind of truth, and what the cut means."""
        if self.is_whole:
            return "exact: every response is read"
        ends = f"a text longer than {self.horizon} tokens ends there"
        if not self.top_k:
            return f"exact under horizon {self.horizon}: {ends}"
        kept = f"only the {self.top_k} most likely tokens of a state are followed, as if \u03c0 knew no others"
        return f"exact under top-k {self.top_k}, horizon {self.horizon}: {kept}; {ends}"


def first_look(world: World, prompt: str) -> Cut:
    """Return the part to begin with: the whole if it can be read, else what takes about a second."""
    ids = world.policy.encode(prompt)
    (top_k, horizon), longest = FIRST_LOOK, horizon_of(world, ids)
    try:
        check_size(world.policy, ids, horizon=longest, top_k=0)
    except LabError:
        return Cut(top_k, min(horizon, longest), longest)
    return Cut(0, longest, longest)


def is_small(world: World, prompt: str) -> bool:
    """Return whether every response to a prompt can be read at once."""
    horizon = horizon_of(world, world.policy.encode(prompt))
    return count_leaves(world.policy.vocabulary, horizon=horizon) <= AT_ONCE


def small_tree(world: World, prompt: str) -> Tree | None:
    """Return the exact tree of a prompt of a small world; None where it would take long."""
    if not is_small(world, prompt):
        return None
    return _tree(world, prompt, world.objective, world.policy.weights, world.reference.weights)


@lru_cache(maxsize=KEPT)
def _tree(world: World, prompt: str, objective: Objective, policy: object, reference: object) -> Tree:
    """Read a tree; the identities of the weights make sure that it is read again after training."""
    del policy, reference
    return exact(world, prompt, objective=objective)


# One state: Bellman's equation, term by term.

PLACES = 2
ACTIONS = 8  # actions with their own row
OTHERS = -1  # the token id of all others together

Name = Callable[[int], str]


@dataclass(frozen=True)
class Backup:
    """The actions of a state, most likely first, all beyond the eighth as one, with their numbers as shown.

    As shown, q = reward + kl_cost + next_value in every row, value = sum of shares, and advantage = q - value.
    """

    value: float
    edges: tuple[Edge, ...]
    q: tuple[float, ...]
    advantages: tuple[float, ...]
    shares: tuple[float, ...]  # pi Q
    over: bool = False

    def bars(self, name: Name) -> list[Bar]:
        """Return the bars of the actions that can be chosen."""
        return [
            Bar(
                label=name(edge.token_id),
                width=edge.prob,
                number=probability(edge.prob),
                value=edge.token_id,
                extra=worth(q, advantage),
                name=f"go to {name(edge.token_id)}: policy {probability(edge.prob)}, Q {fixed(q, signed=True)}, "
                f"A {fixed(advantage, signed=True)}",
            )
            for edge, q, advantage in zip(self.edges, self.q, self.advantages, strict=True)
            if edge.token_id != OTHERS
        ]


def read_backup(tree: Tree, prefix: Sequence[int]) -> Backup:
    """Return what is shown of the state after a prefix."""
    value = written(tree.V(prefix))  # raises LabError for a prefix that leaves the tree
    if len(prefix) >= len(tree.levels) or (len(prefix) > 0 and prefix[-1] == tree.policy.eos_id):
        return Backup(0.0, (), (), (), (), over=True)
    found = edges(tree, prefix)
    shown = tuple(found if len(found) <= ACTIONS + 1 else [*found[:ACTIONS], _together(found[ACTIONS:])])
    q = tuple(written(edge.q) for edge in shown)
    shares = apportioned([edge.prob * edge.q for edge in shown], value)
    return Backup(value, shown, q, tuple(written(estimate - value) for estimate in q), tuple(shares))


def written(number: float) -> float:
    """Return a number as it is shown: sums of such numbers hold on the screen."""
    return round(number, PLACES) + 0.0


def worth(q: float, advantage: float) -> tuple[Span, ...]:
    """Return Q and A as they are shown next to a bar."""
    return (Span(f"Q {fixed(q, signed=True)}"), signed(advantage, before="A "))


def candidate_actions(backup: Backup, name: Name, *, taken: int | None) -> list[CandidateAction]:
    """Return the actions of a state for the picture of the tree; the path continues at `taken`."""
    return [
        CandidateAction(
            name(edge.token_id) if edge.token_id != OTHERS else "others", edge.prob, q, a, edge.token_id == taken
        )
        for edge, q, a in zip(backup.edges, backup.q, backup.advantages, strict=True)
    ]


def backup_table(key: str, backup: Backup, name: Name, *, gamma: float) -> Component:
    """Return the backup of one state, term by term, with the sums in its last row."""
    next_value = "V\u2032" if gamma == 1 else f"{plain(gamma)} \u00d7 V\u2032"
    titles = ("\u03c0", "r", f"{MINUS} \u03b2 KL", f"+ {next_value}", "= Q", "\u03c0 \u00d7 Q", "A = Q \u2212 V")
    rows = [_row(backup, at, name) for at in range(len(backup.edges))]
    mean = sum(edge.prob * (edge.q - backup.value) for edge in backup.edges)
    sums = ("sum", fixed(sum(edge.prob for edge in backup.edges)), "", "", "", "")
    value = Span(f"V {fixed(backup.value, signed=True)}", bold=True)
    advantage = f"\u03a3 \u03c0A = {fixed(mean if abs(mean) >= 0.5 * 10.0**-PLACES else 0.0)}"
    heads = [Column("token"), *(Column(title, numeric=True) for title in titles)]
    return table(key, "The backup of this state", heads, [*rows, (*sums, value, advantage)])


def _row(backup: Backup, at: int, name: Name) -> list[Span | str]:
    edge, q, advantage = backup.edges[at], backup.q[at], backup.advantages[at]
    reward, kl_cost, next_value = apportioned([edge.reward, -edge.kl_cost, edge.next_value], q)
    text = name(edge.token_id) if edge.token_id != OTHERS else "all others"
    terms = [fixed(term, signed=True) for term in (reward, kl_cost, next_value)]
    share = fixed(backup.shares[at], signed=True)
    head = (text, probability(edge.prob))
    return [*head, *terms, fixed(q, signed=True), share, signed(advantage)]


def _together(rest: Sequence[Edge]) -> Edge:
    """Return several actions as one, weighted by their probabilities."""
    prob = sum(edge.prob for edge in rest)
    shares = [edge.prob / prob if prob > 0 else 1 / len(rest) for edge in rest]

    def mean(numbers: Sequence[float]) -> float:
        return sum(share * number for share, number in zip(shares, numbers, strict=True))

    return Edge(
        OTHERS,
        prob,
        mean([edge.reward for edge in rest]),
        mean([edge.kl_cost for edge in rest]),
        mean([edge.next_value for edge in rest]),
        all(edge.over for edge in rest),
        mean([edge.q for edge in rest]),
    )


# Two tokens in one state, and what their continuations brought.

CHOICES = 50  # tokens to choose from
MOST = 1024  # continuations
SEED = 0  # of continuations: the same for all states, so that they can be compared
UNCHOSEN = (-1, -1)

Pair = tuple[int, int]


def chosen(stepper: Stepper, t: int, pair: Pair) -> Pair:
    """Return the two tokens to compare in a state: those of the pair that can be chosen there, else the most likely."""
    ids = _choices(stepper, t)
    first, second = (token if token in ids else ids[at] for at, token in enumerate(pair))
    return first, second


def comparison(
    stepper: Stepper,
    t: int,
    pair: Pair,
    found: WhatIf | None,
    *,
    on_choose: Callable[[Pair], None],
    go: Sequence[Component],
) -> tuple[Component, ...]:
    """Return two lists to choose from, what follows them in their row (`go`), and the histograms if there are any."""
    policy, now = stepper.world.policy, chosen(stepper, t, pair)
    options = [Option(str(token), visible(policy.token_text(token))) for token in _choices(stepper, t)]
    lists = (
        select(
            "first", "What if", options, str(now[0]), lambda token: on_choose((int(token), now[1])), show_label=True
        ),
        select("second", "or", options, str(now[1]), lambda token: on_choose((now[0], int(token))), show_label=True),
    )
    parts = row("what-if", *lists, *go)
    if found is None:
        return (parts,)
    exact = _exactly(stepper, t, pair)
    drawn = two_histograms(
        [visible(token) for token in found.tokens], [estimate.returns for estimate in found.q], exact=exact
    )
    words = "Returns after the two tokens, with the same random numbers; lines: the means"
    return (parts, chart("histograms", drawn, words + "; dotted: what is exact" * bool(exact)))


def compare(stepper: Stepper, t: int, pair: Pair, *, samples: int, job: Job) -> WhatIf:
    """Continue both tokens with the same random numbers."""
    world, prefix = stepper.world, stepper.prefix_ids[:t]
    return what_if(world, stepper.prompt, prefix, pair, samples=samples, seed=SEED, job=job)


def check_different(stepper: Stepper, pair: Pair) -> None:
    """Raise LabError if a token would be compared with itself."""
    if pair[0] == pair[1]:
        raise LabError("tokens", visible(stepper.world.policy.token_text(pair[0])), "choose two different ones")


def read_samples(value: object) -> int:
    """Return how many continuations to sample, as typed into a box."""
    return read_whole("continuations", value, low=2, high=MOST)


def what_if_words(stepper: Stepper, t: int, pair: Pair, found: WhatIf) -> tuple[str, ...]:
    """Return the sentence of the comparison, and the two exact values where they are known."""
    said = found.sentence.replace(" -", f" {MINUS}")
    exact = [fixed(q) for q in _exactly(stepper, t, pair)]
    return (said, f" Exactly (dotted), the two are worth {' and '.join(exact)}.") if exact else (said,)


def _exactly(stepper: Stepper, t: int, pair: Pair) -> list[float]:
    """Return what the two tokens are worth, where that is known exactly."""
    tree = small_tree(stepper.world, stepper.prompt)
    if tree is None:
        return []
    q = tree.Q(stepper.prefix_ids[:t])
    return [float(q[token]) for token in chosen(stepper, t, pair)]


def _choices(stepper: Stepper, t: int) -> tuple[int, ...]:
    return stepper.state_at(t).candidate_ids[:CHOICES]
