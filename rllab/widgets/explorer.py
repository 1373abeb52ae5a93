"""The explorer: a function with sliders and a sentence, for what is computed at once: exact and tabular worlds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rllab.core.errors import LabError
from rllab.plots.drawing import Picture
from rllab.plots.text import significant
from rllab.widgets.engine.charts import chart
from rllab.widgets.engine.components import Component, Option, row, slider
from rllab.widgets.engine.panel import Panel, View

Stop = float | str


@dataclass(frozen=True)
class Setting:
    """One slider: the argument it sets, its label, its stops and the stop it starts at."""

    name: str
    label: str
    stops: Sequence[Stop]
    start: Stop

    def options(self) -> list[Option]:
        """Return the stops as the slider shows them."""
        shown = [stop if isinstance(stop, str) else significant(stop) for stop in self.stops]
        return [Option(str(at), words) for at, words in enumerate(shown)]


class ExplorerPanel(Panel):
    """Move sliders and see a figure and a sentence that follow.

    Args:
        title: The title of the panel.
        function: Takes the settings by name and returns a `Picture`. It is called at every move, so it has to answer
            within 200 ms: model runs belong behind a Run button.
        settings: The sliders.
        badge: The kind of its numbers; where it is empty, each picture names its own.

    Raises:
        LabError: A slider starts at none of its stops.
    """

    def __init__(
        self, title: str, function: Callable[..., Picture], settings: Sequence[Setting], *, badge: str = "exact"
    ) -> None:
        for setting in settings:
            if setting.start not in setting.stops:
                raise LabError(setting.name, setting.start, "start at one of the stops")
        self.title, self.function, self.settings, self.badge = title, function, tuple(settings), badge
        self.values: dict[str, Stop] = {setting.name: setting.start for setting in settings}
        self._pictures: dict[tuple[Stop, ...], Picture] = {}
        super().__init__()

    def view(self) -> View:
        """Return the sliders and the picture that belongs to them."""
        picture = self.picture
        sliders = [self._slider(at, setting) for at, setting in enumerate(self.settings)]
        return View(
            body=(row("settings", *sliders), chart("picture", picture.drawing, picture.alt)),
            reading=(picture.words,),
            badges=(self.badge,) if self.badge else picture.kinds,
        )

    @property
    def picture(self) -> Picture:
        """Return the picture of the present settings; each is drawn once."""
        key = tuple(self.values.values())
        if key not in self._pictures:
            self._pictures[key] = self.function(**self.values)
        return self._pictures[key]

    def _slider(self, number: int, setting: Setting) -> Component:
        at = list(setting.stops).index(self.values[setting.name])

        def choose(value: str) -> None:
            self.values = self.values | {setting.name: setting.stops[int(value)]}

        return slider(f"setting-{number}", setting.label, setting.options(), at, choose)
