"""What the candidates of a state are worth, in the best way that is known: exact, sampled here, or by the critic."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from rllab.core.jobs import Job
from rllab.plots.states import Outlook, Sampled
from rllab.plots.text import fixed
from rllab.truth.estimates import SURE, Candidates, candidates, difference, lookahead, of_tree
from rllab.truth.what_if import WhatIf
from rllab.value.critic import ZeroCritic
from rllab.value.objective import Estimate
from rllab.widgets.engine.components import Span
from rllab.widgets.shared.backup import worth, written
from rllab.widgets.shared.known import is_small, small_tree
from rllab.widgets.shared.line import Line
from rllab.widgets.shared.pace import with_time_left
from rllab.widgets.shared.what_if import SEED, UNCHOSEN, Pair, compare
from rllab.worlds.stepper import Stepper

UNKNOWN = Outlook("", (), ())
KEPT = 200  # states

Place = tuple[object, ...]  # a state of a policy under an objective


@dataclass
class CandidateValues:
    """What was asked about the states of a panel's lines; it is right for the policy and the critic of now alone."""

    samples: int
    pair: Pair = UNCHOSEN
    _known: dict[Place, Candidates] = field(default_factory=dict)
    _what_if: tuple[Place, WhatIf] | None = None

    def candidates(self, stepper: Stepper, t: int, tokens: tuple[int, ...]) -> Candidates | None:
        """Return Q of some tokens in a state; nothing where nobody knows or nothing can follow."""
        over = stepper.done and t == len(stepper.steps)
        if over or stepper.stale or stepper.temperature_at(t) != stepper.world.objective.temperature:
            return None
        found = self._known.get((*_place(stepper, t), tokens))
        if found is None:
            found = _at_once(stepper, t, tokens)
            if found is not None:
                self._keep((*_place(stepper, t), tokens), found)
        return found

    def outlook(self, stepper: Stepper, line: Line) -> Outlook:
        """Return V along a line, and Q of its tokens, as far as that costs nothing."""
        objective, tree = stepper.world.objective, None
        if is_small(stepper.world, stepper.prompt) and not stepper.stale:
            tree = small_tree(stepper.world, stepper.prompt)
        if tree is not None:
            kind, values = "exact", [tree.V(stepper.prefix_ids[:t]) for t in range(len(line.written) + 1)]
        elif not isinstance(stepper.world.critic, ZeroCritic):
            kind, values = "learned", [*line.values[:-1], 0.0 if line.end.done else line.values[-1]]
        else:
            return UNKNOWN
        q = [one.reward + objective.gamma * after for one, after in zip(line.written, values[1:], strict=True)]
        return Outlook(kind, tuple(values), tuple(q))

    def sample(self, stepper: Stepper, t: int, tokens: tuple[int, ...], job: Job) -> None:
        """Continue every candidate of a state, as a job."""
        place, prefix = (*_place(stepper, t), tokens), stepper.prefix_ids[:t]
        self._keep(
            place,
            candidates(
                stepper.world,
                stepper.prompt,
                prefix,
                tokens,
                "monte-carlo",
                samples=self.samples,
                seed=SEED,
                job=with_time_left(job),
            ),
        )

    def compare(self, stepper: Stepper, t: int, pair: Pair, job: Job) -> None:
        """Continue two tokens of a state with the same random numbers, as a job."""
        place = _place(stepper, t)
        self._what_if = place, compare(stepper, t, pair, samples=self.samples, job=job)

    def compared(self, stepper: Stepper, t: int) -> WhatIf | None:
        """Return the comparison that was made in a state."""
        return self._what_if[1] if self._what_if is not None and self._what_if[0] == _place(stepper, t) else None

    def choose(self, pair: Pair) -> None:
        """Choose two tokens to compare; what was found for others goes."""
        self.pair, self._what_if = pair, None

    def _keep(self, place: Place, found: Candidates) -> None:
        if len(self._known) >= KEPT:
            self._known.clear()
        self._known[place] = found


def worth_of(found: Candidates, token_id: int) -> tuple[Span, ...]:
    """Return Q and A as they stand beside a token's bar; as written, Q - A = V. An A that can be chance stays pale."""
    at = found.token_ids.index(token_id)
    return _spans(found, found.q[at], found.errors[at])


def worth_of_others(found: Candidates) -> tuple[Span, ...]:
    """Return Q and A of all other tokens together."""
    return _spans(found, found.others, difference(found.others, found.value).standard_error)


def _spans(found: Candidates, q: Estimate, error: float) -> tuple[Span, ...]:
    shown = written(q.mean)
    advantage = written(shown - written(found.value.mean))
    value, step = worth(shown, advantage)
    if q.kind != "monte-carlo":
        return value, step
    tone = step.tone if abs(q.mean - found.value.mean) > SURE * error else "dim"
    sampled = replace(value, text=f"{value.text} \u00b1 {fixed(q.standard_error)}")
    return sampled, replace(step, text=f"{step.text} \u00b1 {fixed(error)}", tone=tone)


def is_known_exactly(stepper: Stepper) -> bool:
    """Tell whether every value of a line is known exactly."""
    return is_small(stepper.world, stepper.prompt)


def sampled_value(found: Candidates | None) -> Sampled | None:
    """Return V of a state as a point of the picture, if it was sampled."""
    if found is None or found.value.kind != "monte-carlo":
        return None
    return Sampled(len(found.prefix), found.value.mean, found.value.standard_error)


def _at_once(stepper: Stepper, t: int, tokens: tuple[int, ...]) -> Candidates | None:
    """Return what is known without waiting."""
    world, prefix = stepper.world, stepper.prefix_ids[:t]
    tree = small_tree(world, stepper.prompt)
    if tree is not None:
        return of_tree(tree, prefix, tokens)
    return None if isinstance(world.critic, ZeroCritic) else lookahead(stepper, t, tokens)


def _place(stepper: Stepper, t: int) -> Place:
    world = stepper.world
    return (world.policy.weights, world.objective, world.critic, stepper.prompt, stepper.prefix_ids[:t])
