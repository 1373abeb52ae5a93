"""DPO on labels of gold: how much of the way to the exact optimum it goes, and how it loses ground again after that."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from benchmarks.result import Result
from rllab.policy import Policy
from rllab.preference_training import PreferenceConfig, train_dpo
from rllab.preferences import Pair
from rllab.selection import label_pairs
from rllab.truth import exact
from rllab.worlds import World, load_world

LABELS, BETA, SHARE, SEED = 20_000, 0.5, 0.97, 0
JUDGE: Mapping[str, tuple[float, float]] = {"gold itself": (1.0, 0.0)}  # prefers by sigma(gold gap): Bradley-Terry
TABLE = PreferenceConfig(beta=BETA, lr=0.02, batch_size=512, micro_batch_size=512)
TRANSFORMER = PreferenceConfig(beta=BETA, lr=1e-3, batch_size=256, micro_batch_size=256)
TABLE_EPOCHS, TRANSFORMER_EPOCHS = 16, 10
CLAIM = (
    f"DPO (beta {BETA:g}) on {LABELS:,} Bradley-Terry labels on gold, all prompts of micro-tabular together, "
    "closes the gap between reference and exact optimum, and loses ground where it goes on; the transformer beside it"
)
TARGET = f"the table's best held-out epoch closes at least {SHARE:.0%} of (J - J_ref)/(J* - J_ref), the last one less"


@dataclass(frozen=True)
class Epoch:
    """Where a run stood after an epoch."""

    held_out: float  # loss on pairs kept aside, nats
    closed: float  # share of the gap, by enumeration


def measure() -> Result:
    """Label with the reference's responses, and train a table and a transformer on the same kind of labels."""
    table = curve("micro-tabular", TABLE, TABLE_EPOCHS)
    transformer = curve("micro", TRANSFORMER, TRANSFORMER_EPOCHS)
    best, most = best_held_out(table), max(table, key=lambda epoch: epoch.closed)
    return Result(
        claim=CLAIM,
        target=TARGET,
        figure=f"table: {told(table)}, at most {most.closed:.1%} on the way; transformer: {told(transformer)}",
        passed=best.closed >= SHARE and table[-1].closed < most.closed,
        details={"table": [asdict(one) for one in table], "transformer": [asdict(one) for one in transformer]},
    )


def curve(name: str, config: PreferenceConfig, epochs: int) -> list[Epoch]:
    """Train on labels of one world, and read its policy exactly after each epoch."""
    world = of_gold(load_world(name))
    pairs: Sequence[Pair] = label_pairs(world, JUDGE, count=LABELS, seed=SEED, cut=True)
    low, high = worth(world, world.reference), optimum(world)
    run, found = train_dpo(world, pairs, config=config, seed=SEED), []
    for number in range(epochs):
        run.run(run.updates_per_epoch)
        closed = (worth(world, run.world.policy) - low) / (high - low)
        found.append(Epoch(run.evaluate()["loss"], closed))
        print(f"{name}, epoch {number + 1}: held-out loss {found[-1].held_out:.4f}, closed {closed:.1%}", flush=True)
    return found


def of_gold(world: World) -> World:
    """Return the world with gold as its reward and beta as the price of KL: what the labels are about."""
    if world.gold is None:
        raise ValueError(f"{world.name} has no gold judge")
    ours = world.replace(reward=world.gold)
    return ours.replace(objective=dataclasses.replace(ours.objective, kl_coef=BETA))


def worth(world: World, policy: Policy) -> float:
    """Return J = E[gold] - beta KL of a policy, averaged over the prompts, by enumeration."""
    return sum(exact(world, prompt, policy=policy).J for prompt in world.prompts) / len(world.prompts)


def optimum(world: World) -> float:
    """Return J*, the most that any policy can reach, averaged over the prompts."""
    return sum(exact(world, prompt).optimum(BETA).J for prompt in world.prompts) / len(world.prompts)


def best_held_out(epochs: Sequence[Epoch]) -> Epoch:
    """Return the epoch that somebody who knows nothing but the labels would choose."""
    return min(epochs, key=lambda epoch: epoch.held_out)


def told(epochs: Sequence[Epoch]) -> str:
    """Say in one line how a run went."""
    best = best_held_out(epochs)
    when = epochs.index(best) + 1
    return f"{best.closed:.1%} closed at the best held-out epoch ({when}), {epochs[-1].closed:.1%} after {len(epochs)}"
