"""The worlds that a panel offers, each by the name that tells it from the others on the screen."""

from __future__ import annotations

from collections.abc import Iterable

from rllab.widgets.engine.components import Component, Option, Set, select
from rllab.worlds import LOADERS, World, load_world


def called(world: World) -> str:
    """Name a world for the screen: one whose policy has learned, or whose reward is another, is not the original."""
    learned = world.policy.weights is not world.reference.weights
    return f"{world.title}, trained" if learned else world.title


class Worlds:
    """The worlds that a panel was given, and beside them those that ship, loaded when they are first chosen."""

    def __init__(self, *given: World, shipped: Iterable[str] = tuple(LOADERS)) -> None:
        self._known, self._shipped = list(given), tuple(shipped)

    def add(self, world: World) -> None:
        """Offer a world more; another of the same name gives way to it."""
        if not any(one is world for one in self._known):
            self._known = [*(one for one in self._known if called(one) != called(world)), world]

    def named(self, name: str) -> World:
        """Return the world with this name on the screen."""
        for world in self._known:
            if called(world) == name:
                return world
        world = load_world(name)
        self._known.append(world)
        return world

    def choice(self, present: World, on_set: Set, *, disabled: bool = False) -> Component:
        """Return the list of the worlds; the name of the chosen one is sent."""
        name = called(present)
        names = dict.fromkeys([*map(called, self._known), name, *self._shipped])
        return select("world", "World", [Option(one, one) for one in names], name, on_set, disabled=disabled)
