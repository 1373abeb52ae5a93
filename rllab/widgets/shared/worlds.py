"""What panels on a world have in common: the choice of the world, its size, the stale notice."""

from __future__ import annotations

from rllab.core.errors import LabError
from rllab.widgets.engine.components import Component, Option, finding, select
from rllab.widgets.engine.panel import Panel
from rllab.worlds import NAMES, World, load_world

LARGE = 10_000_000  # parameters: from here on a batch takes long, so fewer samples are asked for at a time
SAMPLES, FEWER_SAMPLES = 64, 8  # continuations to begin with


def called(world: World) -> str:
    """Return the name of a world on the screen; a world whose policy has learned is not the original."""
    learned = world.policy.weights is not world.reference.weights
    return f"{world.title}, trained" if learned else world.title


def is_large(world: World) -> bool:
    """Return whether a world's policy is so large that an update takes seconds on a processor."""
    return world.policy.model.num_parameters() > LARGE


def usual_samples(world: World) -> int:
    """Return how many continuations of a state to begin with."""
    return FEWER_SAMPLES if is_large(world) else SAMPLES


def stale_notice(what: str, remedy: str, *, stale: bool) -> tuple[Component, ...]:
    """Return the notice that what is on the screen is older than the policy; nothing where it is not.

    Args:
        what: What happened before that, such as "this line was begun".
        remedy: What to do, such as "Reset starts a new line with the current policy".
        stale: Whether the policy has learned since.
    """
    return (finding("stale", f"The policy has learned since {what}. {remedy}."),) if stale else ()


class WorldPanel(Panel):
    """A panel on one of several worlds: the one it was given, those that ship, and those offered to it later.

    A subclass implements `enter` and puts `world_choice` among its components. Like a `Panel` it sets its own
    attributes first and calls `super().__init__(world)` last.

    Args:
        world: The first world.
    """

    def __init__(self, world: World) -> None:
        self._known = [world]
        super().__init__()

    def enter(self, world: World) -> None:
        """Begin anew in a world; raise before anything is changed.

        Args:
            world: The world that was chosen.
        """
        raise NotImplementedError

    def choose_world(self, name: str) -> None:
        """Begin anew in another world.

        Args:
            name: A world that the panel offers, as it is called on the screen.

        Raises:
            LabError: Long work is still running in the present world, or no world has this name.
        """
        self.check_idle(name)
        world = next((known for known in self._known if called(known) == name), None) or load_world(name)
        self.enter(world)
        self.offer(world)

    def offer(self, world: World) -> None:
        """Add a world to the choice; another one of the same name gives way to it.

        Args:
            world: The world.
        """
        if not any(known is world for known in self._known):
            self._known = [*(known for known in self._known if called(known) != called(world)), world]

    def world_choice(self, present: World) -> Component:
        """Return the list of the worlds; it is switched off while long work runs.

        Args:
            present: The world that the panel shows.
        """
        name = called(present)
        names = dict.fromkeys([*map(called, self._known), name, *NAMES])
        options = [Option(offered, offered) for offered in names]
        return select("world", "World", options, name, self.choose_world, disabled=self.busy)

    def check_idle(self, name: str) -> None:
        """Raise LabError while long work runs: it needs the present world.

        Args:
            name: The world that was asked for.
        """
        if self.busy:
            raise LabError("world", name, f"the present world is busy ({self.doing}); stop that first, or wait")
