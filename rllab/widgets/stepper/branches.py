"""The lines of the token stepper as a tree, and as a list for the keyboard."""

from __future__ import annotations

from collections.abc import Callable

from rllab.core.notation import label
from rllab.plots.trees import Strand, branch_tree, height_of
from rllab.widgets.engine.components import Component, Option, group, heading
from rllab.widgets.engine.marks import chart
from rllab.widgets.engine.text import visible
from rllab.worlds.branches import Lines


def line_options(lines: Lines) -> list[Option]:
    """Return the lines by number and by how they end."""
    endings = [" ".join(visible(step.token) for step in one.stepper.steps[-4:]) for one in lines.branches]
    return [
        Option(str(one.number), f"{label(one.number)}: \u2026 {ending}")
        for one, ending in zip(lines.branches, endings, strict=True)
    ]


def branch_picture(lines: Lines, selected: int, on_go: Callable[[int, int], object]) -> tuple[Component, ...]:
    """Draw the lines as a tree, once there is more than one; a click goes to a line and a state of it."""
    if len(lines) == 1:
        return ()
    lanes = lines.lanes()
    strands = [
        Strand(str(label(lane.number)), lane.above, lane.at, [visible(step.token) for step in lane.steps])
        for lane in lanes
    ]
    here = next(row for row, lane in enumerate(lanes) if lane.number == lines.here)

    def go(where: dict[str, int]) -> None:
        row, point = int(where["curve"]) - 1, int(where["point"])
        if not 0 <= row < len(lanes):
            return
        first = 0 if row == 0 else lanes[row].at + 1
        states = len(lanes[row].steps) + (row == 0)
        if 0 <= point < states:
            on_go(lanes[row].number, first + point)

    drawn = branch_tree(strands, here=here, selected=selected)
    words = "Your lines; what they have in common is drawn once. Click a dot to go there"
    picture = chart("branches", drawn, words, height=height_of(len(lanes)), on_set=go)
    return (group("tree", heading("tree-title", words), picture),)
