"""The rooms of the house, from the ground up: a room imports only rooms before it in this tuple.

A room is a folder directly in rllab/. Inside one room imports are free, as long as they make no circle.
"""

ROOMS = (
    "core",
    "maths",
    "policy",
    "reward",
    "value",
    "worlds",
    "trainer",
    "preferences",
    "truth",
    "plots",
    "course",
    "widgets",
    "cli",
    "__main__",
)
HEIGHT = {room: height for height, room in enumerate(ROOMS)}


def room(module: str) -> str | None:
    """Return the room of a module: rllab.maths.losses is in maths; None outside rllab or at its door."""
    parts = module.split(".")
    return parts[1] if parts[0] == "rllab" and len(parts) > 1 else None


def may_import(who: str, whom: str) -> bool:
    """Return whether one room may import another."""
    return who == whom or HEIGHT[whom] < HEIGHT[who]


# Inside the largest room: the engine knows no learning, `shared` no panel, and no panel another.
PANEL_FLOORS = ("engine", "shared")


def may_import_beside(who: str, whom: str) -> bool:
    """Return whether one part of the widgets may import another."""
    height = {part: at for at, part in enumerate(PANEL_FLOORS)}
    top = len(PANEL_FLOORS)
    return who == whom or height.get(whom, top) < height.get(who, top)
