"""The lines of the token stepper as a tree, and as a list for the keyboard."""

from __future__ import annotations

from collections.abc import Callable

from rllab.core.notation import label
from rllab.plots.trees import Branch, branch_tree, height_of
from rllab.widgets.engine.charts import chart
from rllab.widgets.engine.components import Component, Option, group, heading
from rllab.widgets.engine.text import visible
from rllab.worlds.branches import BranchTree


def line_options(lines: BranchTree) -> list[Option]:
    """Return the lines by number and by how they end."""
    endings = [" ".join(visible(step.token) for step in one.stepper.steps[-4:]) for one in lines.branches]
    return [
        Option(str(one.number), f"{label(one.number)}: \u2026 {ending}")
        for one, ending in zip(lines.branches, endings, strict=True)
    ]


def branch_picture(lines: BranchTree, selected: int, on_go: Callable[[int, int], object]) -> tuple[Component, ...]:
    """Draw the lines as a tree, once there is more than one; a click goes to a line and a state of it."""
    if len(lines) == 1:
        return ()
    rows = lines.rows()
    drawn_branches = [
        Branch(str(label(row.number)), row.above, row.at, [visible(step.token) for step in row.steps]) for row in rows
    ]
    here = next(at for at, row in enumerate(rows) if row.number == lines.here)

    def go(where: dict[str, int]) -> None:
        at, point = int(where["curve"]) - 1, int(where["point"])
        if not 0 <= at < len(rows):
            return
        first = 0 if at == 0 else rows[at].at + 1
        states = len(rows[at].steps) + (at == 0)
        if 0 <= point < states:
            on_go(rows[at].number, first + point)

    drawn = branch_tree(drawn_branches, here=here, selected=selected)
    words = "Your lines; what they have in common is drawn once. Click a dot to go there"
    picture = chart("branches", drawn, words, height=height_of(len(rows)), on_set=go)
    return (group("tree", heading("tree-title", words), picture),)
