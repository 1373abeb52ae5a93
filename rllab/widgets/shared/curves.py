"""Curves of a run under a title whose terms explain themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rllab.plots.charts import Beside, Curve, training_curves
from rllab.trainer.signals import definitions
from rllab.widgets.engine.charts import chart
from rllab.widgets.engine.components import Component, Span, group, heading, term


@dataclass(frozen=True)
class Sheet:
    """One chart of a run: key, title, unit of the y axis, its curves, and whether it is folded away.

    The title names the first curve, and the other curves' labels follow it.
    """

    key: str
    title: str
    unit: str
    curves: tuple[Curve, ...]
    folded: bool = False

    def draw(
        self,
        history: Sequence[Mapping[str, float]],
        *,
        beside: Sequence[Beside] = (),
        also: Sequence[Curve] = (),
        least: float = 1e-2,
    ) -> Component:
        """Return the chart under its title.

        Args:
            history: The metrics of each update.
            beside: Other runs, drawn as dotted lines.
            also: Further curves of the history, which the title does not name.
            least: The smallest range of the y axis.
        """
        first, *others = self.curves
        title: list[Span | str] = [_explained(self.title, first.metric)]
        title += [part for curve in others for part in (", ", _explained(curve.label, curve.metric))]
        lines = [*self.curves, *also]
        drawn = training_curves(history, lines, y=self.unit, beside=beside, least=least)
        alt = f"{self.title} by update: {', '.join(curve.label for curve in lines)}"
        return group(f"{self.key}-group", heading(f"{self.key}-title", *title), chart(self.key, drawn, alt, height=180))


def _explained(words: str, metric: str) -> Span:
    """Return the name of a curve; on hover and on focus it explains the metric and how it should move."""
    about = definitions()[metric]
    return term(words, f"{about.definition} {about.formula}. {about.rule}")
