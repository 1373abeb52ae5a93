"""Tokens on the screen: their names, chips with a number under each, and the list of prompts to choose from."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from rllab.plots.text import fixed
from rllab.policy.policy import Policy
from rllab.widgets.engine.charts import Chip, tint, visible
from rllab.widgets.engine.components import Component, Option, Set, select
from rllab.worlds import World

LEAST_SCALE = 0.1  # nats or reward units: smaller numbers stay pale even if they are the largest


def token_names(policy: Policy, token_ids: Iterable[int]) -> list[str]:
    """Return tokens as they are written on the screen.

    Args:
        policy: The policy whose tokens they are.
        token_ids: The tokens.
    """
    return [visible(policy.token_text(token)) for token in token_ids]


def number_chips(names: Sequence[str], numbers: Sequence[float], *, forced: Sequence[bool] = ()) -> list[Chip]:
    """Return a chip for each token with a signed number under it, tinted by its size.

    Args:
        names: The tokens as they are written on the screen.
        numbers: A number for each; NaN becomes a dash.
        forced: Whether the learner wrote the token, for each; empty for none.
    """
    scale = max([LEAST_SCALE, *(abs(number) for number in numbers if math.isfinite(number))])
    return [
        Chip(
            name,
            number=fixed(number, signed=True) if math.isfinite(number) else "\u2013",
            tint=tint(number, scale),
            forced=bool(forced) and forced[at],
        )
        for at, (name, number) in enumerate(zip(names, numbers, strict=True))
    ]


def prompt_choice(world: World, prompt: str, on_set: Set, *, disabled: bool) -> Component:
    """Return the list of a world's prompts.

    Args:
        world: The world.
        prompt: The present prompt; it is offered even where the world has no such prompt.
        on_set: Receives the chosen one.
        disabled: Whether it is switched off.
    """
    prompts = [Option(offered, offered) for offered in dict.fromkeys([prompt, *world.prompts])]
    return select("prompt", "Prompt", prompts, prompt, on_set, show_label=True, disabled=disabled)
