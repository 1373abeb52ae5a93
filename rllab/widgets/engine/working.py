"""A panel with several buttons that start long work; the one that did becomes the button that stops it."""

from __future__ import annotations

from rllab.core.jobs import Progress, Work
from rllab.widgets.engine.components import Component, Press, button, progress
from rllab.widgets.engine.panel import Panel


class WorkingPanel(Panel):
    """A panel of which one long work at a time runs, started by one of its buttons."""

    _working: str = ""  # the button that started the last long work

    def work(self, key: str, name: str, work: Work) -> None:
        """Run long work that the button `key` has started."""
        self._working = key
        self.start_job(name, work)

    def work_button(self, key: str, label: str, start: Press, *, disabled: bool = False) -> Component:
        """Return a button that starts long work, and ends it while that runs."""
        if self.busy and self._working == key and self.job is not None:
            return button(key, "Stop", self.job.stop)
        return button(key, label, start, disabled=disabled or self.busy)

    def work_progress(self, key: str, *buttons: str) -> Component:
        """Return how far the work of some buttons is."""
        doing = self.busy and self._working in buttons and self.job is not None
        at = self.job.progress if doing and self.job is not None else Progress()
        return progress(key, "Progress", at.done, at.total or 1, at.text)
