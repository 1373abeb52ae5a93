"""One state of an exact tree as it is written on the screen: Bellman's equation, whose numbers add up as written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rllab.plots.text import MINUS, apportioned, fixed, plain, probability
from rllab.plots.trees import CandidateAction
from rllab.truth import Tree
from rllab.truth.tree import Edge, edges
from rllab.widgets.engine.charts import Bar, Column, table
from rllab.widgets.engine.components import Component, Span

PLACES = 2
SHOWN = 8  # actions with a row of their own
OTHERS = -1  # the token id of all others together

Name = Callable[[int], str]


@dataclass(frozen=True)
class Backup:
    """The actions of a state, likeliest first, all beyond the eighth as one, with their numbers as written.

    As written, q = reward + kl_cost + next_value in every row, value = sum of shares, and advantage = q - value.
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
    """Return what stands on the screen for the state after a prefix."""
    if _is_over(tree, prefix):
        return Backup(0.0, (), (), (), (), over=True)
    found = edges(tree, prefix)
    shown = tuple(found if len(found) <= SHOWN + 1 else [*found[:SHOWN], _together(found[SHOWN:])])
    value = written(tree.V(prefix))
    q = tuple(written(edge.q) for edge in shown)
    shares = apportioned([edge.prob * edge.q for edge in shown], value)
    return Backup(value, shown, q, tuple(written(one - value) for one in q), tuple(shares))


def written(number: float) -> float:
    """Return a number as it is written: sums of such numbers hold on the screen."""
    return round(number, PLACES) + 0.0


def worth(q: float, advantage: float) -> tuple[Span, ...]:
    """Return Q and A as they stand beside a bar."""
    tone = "up" if advantage > 0 else "down" if advantage < 0 else "dim"
    return (Span(f"Q {fixed(q, signed=True)}"), Span(f"A {fixed(advantage, signed=True)}", tone=tone))


def candidate_actions(backup: Backup, name: Name, *, taken: int | None) -> list[CandidateAction]:
    """Return the actions of a state for the picture of the tree; the path goes on at `taken`."""
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
    terms = [fixed(one, signed=True) for one in (reward, kl_cost, next_value)]
    tone = "up" if advantage > 0 else "down" if advantage < 0 else ""
    share = fixed(backup.shares[at], signed=True)
    head = (text, probability(edge.prob))
    return [*head, *terms, fixed(q, signed=True), share, Span(fixed(advantage, signed=True), tone=tone)]


def _together(rest: Sequence[Edge]) -> Edge:
    """Return several actions as one, each as often as it is written among them."""
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


def _is_over(tree: Tree, prefix: Sequence[int]) -> bool:
    tree.V(prefix)  # refuses a prefix that leaves the tree
    return len(prefix) >= len(tree.levels) or (len(prefix) > 0 and prefix[-1] == tree.policy.eos_id)
