"""What if another token stood here: the choice of two, and what their continuations brought."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rllab.core.errors import LabError
from rllab.core.jobs import Job
from rllab.plots.states import two_histograms
from rllab.plots.text import MINUS, fixed
from rllab.truth.what_if import WhatIf, what_if
from rllab.widgets.engine.charts import chart, visible
from rllab.widgets.engine.components import Component, Option, read_whole, row, select
from rllab.widgets.shared.known import small_tree
from rllab.widgets.shared.pace import with_time_left
from rllab.worlds.stepper import Stepper

SHOWN = 50  # tokens to choose from
MOST = 1024  # continuations
SEED = 0  # of continuations: the same for all states, so that they can be compared
UNCHOSEN = (-1, -1)

Pair = tuple[int, int]


def chosen(stepper: Stepper, t: int, pair: Pair) -> Pair:
    """Return the two tokens to compare in a state: those of the pair that can be chosen there, else the likeliest."""
    ids = _choices(stepper, t)
    one, other = (token if token in ids else ids[at] for at, token in enumerate(pair))
    return one, other


def comparison(
    stepper: Stepper,
    t: int,
    pair: Pair,
    found: WhatIf | None,
    *,
    on_choose: Callable[[Pair], None],
    go: Sequence[Component],
) -> tuple[Component, ...]:
    """Return the two lists to choose from, what follows them in their row, and the two histograms if there are any."""
    policy, now = stepper.world.policy, chosen(stepper, t, pair)
    options = [Option(str(token), visible(policy.token_text(token))) for token in _choices(stepper, t)]
    lists = (
        select("first", "What if", options, str(now[0]), lambda one: on_choose((int(one), now[1])), show_label=True),
        select("second", "or", options, str(now[1]), lambda one: on_choose((now[0], int(one))), show_label=True),
    )
    parts = row("what-if", *lists, *go)
    if found is None:
        return (parts,)
    exact = _exactly(stepper, t, pair)
    drawn = two_histograms([visible(token) for token in found.tokens], [one.returns for one in found.q], exact=exact)
    words = "Returns after the two tokens, with the same random numbers; lines: the means"
    return (parts, chart("histograms", drawn, words + "; dotted: what is exact" * bool(exact)))


def compare(stepper: Stepper, t: int, pair: Pair, *, samples: int, job: Job) -> WhatIf:
    """Continue both tokens with the same random numbers."""
    world, prefix = stepper.world, stepper.prefix_ids[:t]
    return what_if(world, stepper.prompt, prefix, pair, samples=samples, seed=SEED, job=with_time_left(job))


def check_different(stepper: Stepper, pair: Pair) -> None:
    """Refuse to compare a token with itself."""
    if pair[0] == pair[1]:
        raise LabError("tokens", visible(stepper.world.policy.token_text(pair[0])), "choose two different ones")


def read_samples(value: object) -> int:
    """Read how many continuations are to be written."""
    samples = read_whole("continuations", value)
    if not 2 <= samples <= MOST:
        raise LabError("continuations", samples, f"choose from 2 to {MOST}")
    return samples


def what_if_words(stepper: Stepper, t: int, pair: Pair, found: WhatIf) -> tuple[str, ...]:
    """Return the comparison's own sentence, with a true minus sign, and the two exact values where they are known."""
    said = found.sentence.replace(" -", f" {MINUS}")
    exact = [fixed(one) for one in _exactly(stepper, t, pair)]
    return (said, f" Exactly (dotted), the two are worth {' and '.join(exact)}.") if exact else (said,)


def _exactly(stepper: Stepper, t: int, pair: Pair) -> list[float]:
    """Return what the two tokens are worth, where that is known exactly."""
    tree = small_tree(stepper.world, stepper.prompt)
    if tree is None:
        return []
    q = tree.Q(stepper.prefix_ids[:t])
    return [float(q[token]) for token in chosen(stepper, t, pair)]


def _choices(stepper: Stepper, t: int) -> tuple[int, ...]:
    return stepper.state_at(t).candidate_ids[:SHOWN]
