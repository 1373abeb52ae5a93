"""Play an order of the loop's cards with a real trainer: each card takes what was made before it and makes a record.

The first card that asks for a record nobody has made ends the play, and the run is as it was before.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass

from rllab.core.errors import LabError
from rllab.core.jobs import NO_JOB, Job
from rllab.core.records import Rollout, Scores, State, Targets
from rllab.trainer.stages import Phase
from rllab.trainer.trainer import Trainer
from rllab.worlds.stepper import Stepper

Made = State | Rollout | Scores | Targets | Mapping[str, float]


@dataclass(frozen=True)
class Part:
    """What a card asks for and what it makes, as records of the lab."""

    asks: str
    makes: str


@dataclass(frozen=True)
class Played:
    """One card as it was played: what it made, in words, or why it could not be played."""

    card: str
    words: str
    stopped: bool = False


PARTS: Mapping[str, Part] = {
    "state": Part("", "State"),
    "action": Part("State", "Rollout"),
    "score": Part("Rollout", "Scores"),
    "value": Part("Scores", "Targets"),
    "update": Part("Targets", "UpdateRecord"),
    "label": Part("Pair", "Preference"),
    "imitate": Part("Demonstration", "Loss"),
    "copy": Part("FinishedRun", "Reference"),
}
MEANINGS: Mapping[str, str] = {
    "State": "a state to act in",
    "Rollout": "a text that was written, with its log-probabilities",
    "Scores": "scores of what was written",
    "Targets": "advantages and returns",
    "Pair": "two finished answers laid side by side for a person; a step of this loop makes no such pair",
    "Demonstration": "an answer that somebody else wrote; this loop has none",
    "FinishedRun": "a run that is over; the reference stays fixed while it lasts",
}


def play(cards: Sequence[str], trainer: Trainer, *, job: Job = NO_JOB) -> list[Played]:
    """Play the cards in their order on one update of a trainer; an order that ends early leaves no trace."""
    made = {""}
    played: list[Played] = []
    phases = trainer.phases(job=job)
    try:
        for card in cards:
            part = _part(card)
            if part.asks not in made:
                words = f"This card asks for {part.asks}: {MEANINGS[part.asks]}. No card before it has made one."
                return [*played, Played(card, words, stopped=True)]
            played.append(Played(card, _make(card, trainer, phases)))
            made.add(part.makes)
    finally:
        phases.close()
    return played


def _part(card: str) -> Part:
    if card not in PARTS:
        raise LabError("card", card, f"the cards of this loop are {', '.join(PARTS)}")
    return PARTS[card]


def _make(card: str, trainer: Trainer, phases: Generator[Phase, None, dict[str, float]]) -> str:
    """Do what a card says, and tell what it has made."""
    if card == "state":
        state = Stepper(trainer.world).state
        return (
            f"State: “{trainer.world.prompts[0]}” and {len(state.prefix_ids)} tokens; {len(state.probs)} could follow."
        )
    if card == "update":
        return _finish(trainer, phases)
    record = next(phases).record
    if isinstance(record, Rollout):
        return f"Rollout: {len(record)} responses, such as “{record.responses[0]}”."
    if isinstance(record, Scores):
        return f"Scores: {float(record.total.mean()):.2f} on average, {float(record.total[0]):.2f} for the first."
    if isinstance(record, Targets):
        spread = float(record.advantages[record.loss_mask].std())
        return f"Targets: an advantage for each of {int(record.loss_mask.sum())} tokens, spread {spread:.2f}."
    raise LabError("card", card, "it came out of turn")


def _finish(trainer: Trainer, phases: Generator[Phase, None, dict[str, float]]) -> str:
    """Take all optimizer steps of the update."""
    before = trainer.world.policy.version
    for _ in phases:
        pass
    steps = trainer.world.policy.version - before
    return f"UpdateRecord: {steps} optimiser steps; the policy is a new one, and the next state meets it."
