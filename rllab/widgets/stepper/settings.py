"""The folded settings of the token stepper: how tokens are drawn."""

from __future__ import annotations

from collections.abc import Callable

from rllab.core.errors import LabError
from rllab.plots.text import plain
from rllab.widgets.engine.components import Component, fold, number, row
from rllab.widgets.engine.fields import read_number, read_whole
from rllab.worlds.stepper import Stepper

SEEDS = 2**32


def sampling_fold(stepper: Stepper, on_seed: Callable[[int], None], *, disabled: bool) -> Component:
    """Return the fields for temperature, filters and seed; a new seed begins the line anew."""

    def field(key: str, name: str, value: str, on_set: Callable[[object], None]) -> Component:
        return number(key, name, value, on_set, disabled=disabled)

    fields = (
        field(
            "temperature",
            "temperature",
            plain(stepper.temperature),
            lambda value: _sample(stepper, temperature=read_number("temperature", value)),
        ),
        field(
            "top-k",
            "top-k (0: all)",
            str(stepper.top_k),
            lambda value: _sample(stepper, top_k=read_whole("top-k", value)),
        ),
        field(
            "top-p", "top-p", plain(stepper.top_p), lambda value: _sample(stepper, top_p=read_number("top-p", value))
        ),
        field("seed", "seed", str(stepper.seed), lambda value: on_seed(read_seed(value))),
    )
    return fold("sampling", "Sampling", row("sampling-fields", *fields))


def read_seed(value: object) -> int:
    """Read a seed of random numbers."""
    seed = read_whole("seed", value)
    if not 0 <= seed < SEEDS:
        raise LabError("seed", seed, f"choose a whole number from 0 to {SEEDS - 1}")
    return seed


def _sample(stepper: Stepper, **changes: float) -> None:
    """Change how tokens are drawn; what is not named stays."""
    now = {"temperature": stepper.temperature, "top_k": stepper.top_k, "top_p": stepper.top_p} | changes
    stepper.set_sampling(temperature=now["temperature"], top_k=int(now["top_k"]), top_p=now["top_p"])
