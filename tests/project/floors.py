"""The floors of the house, from the ground up: a room may import from the floors below it.

A room is a module or a folder directly in rllab/. Inside one room imports are free; between rooms of
one floor there are none: two rooms that need each other stand on two floors, or are one.
"""

FLOORS: tuple[frozenset[str], ...] = tuple(
    map(
        frozenset,
        (
            {"errors"},
            {"records", "config", "notation", "paths"},
            {"maths"},
            {"networks"},
            {"policy", "value", "reward"},
            {"objective", "judges"},
            {"generation", "evaluation"},
            {"algorithms", "preferences"},
            {"worlds"},
            {"stages", "metrics", "snapshots", "checkpoints"},
            {"trainer", "stepper", "jobs", "preference_training"},
            {"opened_update", "label_store", "selection", "shaping", "agreement", "truth", "lines"},
            {"runs", "microscope", "checkup", "comparison", "observatory", "labelling", "scoring"}
            | {"classic", "estimates", "environment", "bench"},
            {"build", "clinic", "experiments", "exercises", "headless"},
            {"plots"},
            {"widgets"},
            {"server"},
            {"doctor"},
            {"rehearsal"},
            {"__main__"},
        ),
    )
)
TRAINER_FLOOR = next(height for height, rooms in enumerate(FLOORS) if "trainer" in rooms)
HEIGHT = {room: height for height, rooms in enumerate(FLOORS) for room in rooms}


def room(module: str) -> str | None:
    """Return the room of a module: rllab.maths.losses is in maths; None outside rllab or at its door."""
    parts = module.split(".")
    return parts[1] if parts[0] == "rllab" and len(parts) > 1 else None


def may_import(who: str, whom: str) -> bool:
    """Tell whether one room may import another."""
    return who == whom or HEIGHT[whom] < HEIGHT[who]


# Inside the largest room: the engine knows no learning, the pieces no panel, and no panel another.
PANEL_FLOORS = ("engine", "pieces")


def may_import_beside(who: str, whom: str) -> bool:
    """Tell whether one part of the widgets may import another."""
    height = {part: at for at, part in enumerate(PANEL_FLOORS)}
    top = len(PANEL_FLOORS)
    return who == whom or height.get(whom, top) < height.get(who, top)
