"""The trainer: the loop of reinforcement learning, open at every stage.

`phases()` is the one loop. `update()` drains it once, `run(n)` drains it n times, a notebook steps through it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rllab.core.config import Config, check_count, is_whole
from rllab.core.errors import LabError, Stopped
from rllab.core.jobs import NO_JOB, Job
from rllab.core.records import UpdateRecord, detached
from rllab.maths.algorithms import get_algorithm
from rllab.policy.generation import generate
from rllab.reward.reward import Reward
from rllab.trainer.checkpoints import Checkpoint, read_checkpoint, write_checkpoint
from rllab.trainer.metrics import Stopwatch, batch_metrics, sample_rows
from rllab.trainer.snapshots import ActorCritic, RunLock, RunState, Snapshot, prune_snapshots
from rllab.trainer.stages import (
    STAGES,
    Context,
    Phase,
    Stages,
    adapted_kl_coef,
    choose_prompts,
    learn,
    out_of_memory,
    whole_batch,
)
from rllab.value.critic import ZeroCritic
from rllab.value.objective import Objective
from rllab.worlds.world import World, as_world


class Trainer:
    """One run of one algorithm in one world.

    The trainer copies policy and critic at once, so a second Trainer on `origin`, the world as it was passed in,
    starts from the same policy; `world` has the copies that learn. All randomness of update k comes from
    (seed, k): nothing else is needed to repeat it.

    Args:
        world: The world to train in; it stays as it is.
        algorithm: reinforce, a2c, ppo, rloo or grpo.
        config: The settings; by default those of `world.config(algorithm)`.
        seed: Seed of all random draws of this run.
        stages: The five stages of an update, each of which can be replaced.

    Raises:
        LabError: If the algorithm is unknown, or a setting is one that it does not read.
    """

    SNAPSHOT_BUDGET = 256 * 2**20  # bytes

    def __init__(
        self,
        world: World,
        algorithm: str = "ppo",
        config: Config | None = None,
        *,
        seed: int = 0,
        stages: Stages = STAGES,
    ) -> None:
        self.algorithm = get_algorithm(algorithm)
        base = as_world(world).config(algorithm)
        self.config = base if config is None else config
        self.algorithm.check(self.config, base)
        self.seed, self.stages = seed, stages
        critic = world.critic.copy() if self.algorithm.uses_critic else ZeroCritic()
        objective = Objective.of(self.config, reward=world.reward, reference=world.reference)
        self.origin = world
        self.world = world.replace(policy=world.policy.copy(), critic=critic, objective=objective)
        self.kl_coef = self.config.kl_coef
        self.history: list[UpdateRecord] = []
        self._actor_critic = ActorCritic(self.world.policy, critic, self.config)
        self._lock = RunLock()
        self._snapshots = [self.snapshot()]

    @property
    def index(self) -> int:
        """Return the number of completed updates."""
        return len(self.history)

    def phases(self, *, job: Job = NO_JOB) -> Generator[Phase, None, dict[str, float]]:
        """Run one update stage by stage.

        Nothing changes before the first optimizer step. A generator that is abandoned before its end, by an
        error, Stop or a closed loop, restores the state in which the update began.

        Args:
            job: Checked between stages and slices; stopping it abandons the update.

        Yields:
            Each stage as a `Phase`: its name, its epoch and the record that it made, detached.

        Returns:
            The metrics of the update, under the names of `trainer.metrics`.
        """
        with self._alone():
            return (yield from self._undoable(job))

    def update(self, *, job: Job = NO_JOB) -> dict[str, float]:
        """Run one update.

        Args:
            job: Stopping it raises Stopped and restores the state before the update.

        Returns:
            The metrics of the update.
        """
        with self._alone():
            return self._drained(job)

    def run(self, n: int, *, job: Job = NO_JOB) -> None:
        """Run n updates, fewer if the job is stopped; an unfinished update leaves no trace.

        Args:
            n: Number of updates.
            job: Receives the progress in updates.
        """
        check_count("updates", n)
        first = self.index
        with self._alone():
            for done in range(n):
                job.report(done, n, f"update {first + done + 1}")
                try:
                    self._drained(job)
                except Stopped:
                    return
        job.report(n, n, f"update {self.index}")

    def samples(self, prompts: Sequence[str], seed: int, *, job: Job = NO_JOB) -> list[dict[str, Any]]:
        """Sample one response to each prompt from the current policy, and score it.

        Args:
            prompts: The prompts, one response each.
            seed: Seed of the draws, so that two calls can be compared.
            job: Stopping it raises Stopped.

        Returns:
            One row a prompt: prompt, response, score, its parts and gold where the world has one.
        """
        sequences = generate(
            self.world.policy,
            prompts,
            max_new_tokens=self.config.max_new_tokens,
            temperature=self.config.temperature,
            seed=seed,
            job=job.quiet(),
        )
        return sample_rows(self.world, sequences, count=len(prompts))

    def configure(self, **changes: Any) -> None:
        """Change settings in the middle of a run, for instance kl_coef or lr; they apply from the next update.

        Args:
            changes: New values by name of the setting.

        Raises:
            LabError: If a setting is fixed when a run begins, unknown, or out of range.
        """
        fixed = {"trainable", "adam_eps"} & set(changes)
        if fixed:
            name = min(fixed)
            raise LabError(name, changes[name], "it is fixed when a run begins; make a new Trainer")
        config = self.config.replace(**changes)
        self.algorithm.check(config, self.world.config(self.algorithm.name))
        adapts = config.kl_target is not None and "kl_coef" not in changes
        self._set(config, kl_coef=self.kl_coef if adapts else config.kl_coef)

    def snapshot(self) -> Snapshot:
        """Return a copy of all state that an update changes."""
        return self._actor_critic.take(update=self.index, kl_coef=self.kl_coef)

    def restore(self, snapshot: Snapshot) -> None:
        """Return to a snapshot of this run; later history is dropped, the current settings stay.

        Args:
            snapshot: What `snapshot()` returned at the current or an earlier update.

        Raises:
            LabError: If the snapshot is later than the run.
        """
        if snapshot.update > self.index:
            remedy = f"this run has done {self.index} updates; take a snapshot of an earlier or the present state"
            raise LabError("snapshot of update", snapshot.update, remedy)
        with self._alone():
            self._return_to(snapshot)

    def rewind(self, k: int, *, job: Job = NO_JOB) -> None:
        """Return to the state after update k: the nearest snapshot, then the same updates again.

        History after k is dropped; `fork()` first to keep it. A rewind that is stopped leaves the run where it was.

        Args:
            k: Update to return to; 0 is the start.
            job: Stopping it abandons the rewind.

        Raises:
            LabError: If the run has not done update k, or was loaded after it.
        """
        if not is_whole(k, high=self.index):
            raise LabError("update", k, f"this run has done {self.index} updates; choose 0 to {self.index}")
        if k < (first := self._snapshots[0].update):
            raise LabError("update", k, f"this run was loaded after update {first}; choose {first} to {self.index}")
        with self._alone():
            state = self._state()
            try:
                self._replay(k, job)
            except BaseException as error:
                self._take_over(state)
                if not isinstance(error, Stopped):
                    raise

    def fork(self) -> Trainer:
        """Return an independent run with the same history, which goes its own way from here."""
        with self._alone():
            twin = Trainer(self.world, self.algorithm.name, self.config, seed=self.seed, stages=self.stages)
            twin.origin = self.origin
            twin._take_over(self._state())
        return twin

    def adopt(self, other: Trainer) -> None:
        """Copy state, history and settings from another run.

        Args:
            other: A run of the same world and algorithm that trains the same parameters.

        Raises:
            LabError: If the other run differs in one of these.
        """
        if other is self:
            return
        ours, theirs = (
            (trainer.algorithm.title, trainer.world.name, trainer.config.trainable) for trainer in (self, other)
        )
        if ours != theirs:
            remedy = f"this is a run of {ours[0]} on {ours[1]}, training {ours[2]}; adopt one alike"
            raise LabError("run", f"{theirs[0]} on {theirs[1]}, training {theirs[2]}", remedy)
        with self._alone(), other._alone():
            self.stages = other.stages
            self._take_over(other._state())

    def save(self, path: str | Path) -> None:
        """Save the run to a folder; transformers and TRL load the policy there as it is.

        Args:
            path: A new or empty folder, or one that this method has written before.

        Raises:
            LabError: If the folder holds something else, another process is saving there, or the disk is full.
        """
        with self._alone():
            moments = self._actor_critic.optimizer.state_dict()["state"]
            about = (self.world, self.algorithm.name, self.config, self.seed, self.kl_coef)
            write_checkpoint(Path(path), Checkpoint(*about, self.history, moments, self.stages.replaced))

    @classmethod
    def load(
        cls, path: str | Path, *, reward: Reward | None = None, gold: Reward | None = None, stages: Stages = STAGES
    ) -> Trainer:
        """Load a saved run, which continues bit for bit.

        Args:
            path: The folder that `save` wrote, or one of its numbered versions.
            reward: The reward, where it is a Python function, which no file can hold.
            gold: The gold reward, likewise.
            stages: The stages that were replaced when the run was saved.

        Returns:
            The run after its last saved update.

        Raises:
            LabError: If nothing was saved there, a file is damaged, or a Python function is missing.
        """
        kept = read_checkpoint(Path(path), reward=reward, gold=gold)
        if stages.replaced != kept.stages:
            remedy = "they are Python functions, which no file can hold; hand the same over as stages=Stages(...)"
            raise LabError("replaced stages", ", ".join(kept.stages) or "none", remedy)
        trainer = cls(kept.world, kept.algorithm, kept.config, seed=kept.seed, stages=stages)
        trainer._actor_critic.resume(kept.moments)
        trainer.history = list(kept.history)
        trainer._set(kept.config, kl_coef=kept.kl_coef)
        trainer._snapshots = [trainer.snapshot()]
        return trainer

    def hold(self) -> contextlib.AbstractContextManager[None]:
        """Reserve the run for this thread during several updates: what other threads start meanwhile is refused."""
        return self._lock.held(self.index + 1)

    def _alone(self) -> contextlib.AbstractContextManager[None]:
        """Reserve the run: a second start, a rewind or a save is refused meanwhile."""
        return self._lock.exclusive(self.index + 1)

    def _drained(self, job: Job) -> dict[str, float]:
        """Run one update to completion; report out-of-memory as a LabError."""
        loop = self._undoable(job)
        try:
            while True:
                next(loop)
        except StopIteration as end:
            metrics: dict[str, float] = end.value
            return metrics
        except (MemoryError, RuntimeError) as error:
            if not out_of_memory(error):
                raise
        # Raised out here: inside the handler it would keep the failed update's tensors alive by its traceback.
        remedy = "this update did not fit into memory and was undone; choose a smaller micro_batch_size"
        raise LabError("micro_batch_size", self.config.micro_batch_size, remedy)

    def _undoable(self, job: Job) -> Generator[Phase, None, dict[str, float]]:
        """Run one update; restore the state in which it began unless it completes."""
        before, done = self.snapshot(), False
        try:
            metrics = yield from self._phases(self._context(job))
            done = True
        finally:
            if not done:
                self._return_to(before)
        return metrics

    def _phases(self, context: Context) -> Generator[Phase, None, dict[str, float]]:
        """The loop itself."""
        world, seconds = self.world, Stopwatch()
        rows = self.stages.rollout(context, choose_prompts(context, world.prompts))
        seconds.lap("rollout")
        yield Phase("rollout", 0, detached(rows))
        scores = self.stages.score(context, rows)
        seconds.lap("score")
        yield Phase("score", 0, detached(scores))
        targets = self.stages.targets(context, rows, scores)
        seconds.lap("targets")
        yield Phase("targets", 0, detached(targets))
        self._actor_critic.begin(context.config)
        steps: list[dict[str, float]] = []
        for phase in learn(context, self.stages, whole_batch(context, rows, targets)):
            seconds.lap(phase.name)
            if isinstance(phase.record, Mapping):
                steps.append(dict(phase.record))
            yield phase
        metrics = batch_metrics(world, rows, scores, targets, steps)
        metrics |= {"kl_coef": context.kl_coef, "lr": context.config.lr}
        samples = sample_rows(world, rows, count=4, total=scores.total)
        self.history.append(UpdateRecord(context.index, asdict(context.config), metrics, seconds.laps, samples))
        self._set(self.config, kl_coef=adapted_kl_coef(self.kl_coef, metrics["objective/kl"], context.config))
        self._keep(self.snapshot())
        return metrics

    def _context(self, job: Job) -> Context:
        """Gather what the stages of the next update may look at."""
        return Context(
            policy=self.world.policy,
            reference=self.world.reference,
            critic=self.world.critic,
            objective=self.world.objective,
            algorithm=self.algorithm,
            config=self.config,
            kl_coef=self.kl_coef,
            optimizer=self._actor_critic.optimizer,
            parameters=self._actor_critic.parameters,
            seed=self.seed,
            index=self.index + 1,
            job=job,
        )

    def _set(self, config: Config, *, kl_coef: float) -> None:
        """Set the settings and the current KL coefficient, and the world's objective with them."""
        self.config, self.kl_coef = config, kl_coef
        settings = config.replace(kl_coef=kl_coef)
        objective = Objective.of(settings, reward=self.world.reward, reference=self.world.reference)
        self.world = self.world.replace(objective=objective)

    def _state(self) -> RunState:
        """Return all that decides how this run goes on and where it can go back to."""
        return RunState(tuple(self.history), tuple(self._snapshots), self.snapshot(), self.config, self.seed)

    def _take_over(self, state: RunState) -> None:
        """Copy the state of a run of the same shape."""
        self.history, self._snapshots, self.seed = list(state.history), list(state.snapshots), state.seed
        self._actor_critic.load(state.present)
        self._set(state.config, kl_coef=state.present.kl_coef)

    def _return_to(self, snapshot: Snapshot) -> None:
        """Write a snapshot's numbers into policy, critic and optimizer; the settings stay the present ones."""
        self._actor_critic.load(snapshot)
        del self.history[snapshot.update :]
        self._snapshots = [kept for kept in self._snapshots if kept.update <= snapshot.update]
        self._set(self.config, kl_coef=self.config.kl_coef if self.config.kl_target is None else snapshot.kl_coef)

    def _replay(self, k: int, job: Job) -> None:
        """Return to the nearest snapshot before k, and do the updates up to k again as they were done."""
        replayed, present = self.history[:k], self.config
        self._return_to(
            max(
                (snapshot for snapshot in self._snapshots if snapshot.update <= k), key=lambda snapshot: snapshot.update
            )
        )
        for record in replayed[self.index :]:
            self._set(Config(**record.config), kl_coef=record.metrics["kl_coef"])
            self._drained(job)
        self._set(present, kl_coef=present.kl_coef if present.kl_target is None else self.kl_coef)

    def _keep(self, snapshot: Snapshot) -> None:
        """Remember a snapshot within the memory budget."""
        self._snapshots = prune_snapshots([*self._snapshots, snapshot], budget=self.SNAPSHOT_BUDGET)
