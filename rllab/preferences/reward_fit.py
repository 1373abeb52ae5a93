"""The loop that all learning from pairs shares: seeded batches, one optimizer step each."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from rllab.core.config import check_count, check_number, is_whole
from rllab.core.errors import LabError, Stopped
from rllab.core.jobs import NO_JOB, Job
from rllab.core.records import Sequences, UpdateRecord, without_padding
from rllab.maths.losses import bradley_terry_loss
from rllab.policy.generation import generate
from rllab.policy.networks import copy_sharing_frozen, end_features, state_scalars
from rllab.preferences.pairs import Pair, PairBatch, tokenize_pairs
from rllab.reward.reward import RewardModel
from rllab.trainer.metrics import sample_rows
from rllab.trainer.stages import derived_seed
from rllab.value.critic import Critic
from rllab.value.evaluation import slices
from rllab.worlds.world import World

# ---- The loop that all learning from pairs shares: seeded batches, one optimizer step each ----

Measure = Callable[[PairBatch], dict[str, Tensor]]


def one_each(batch: PairBatch) -> Tensor:
    """Count every pair once, (b,)."""
    return torch.ones(len(batch))


@dataclass(frozen=True, eq=False)
class Lesson:
    """What pairs teach: numbers of each pair, among them the loss, and how a step is taken with its gradient."""

    measure: Measure  # name -> (b,), each summed over the batch and divided by the sum of the counts
    step: Callable[[], None]  # takes the optimizer step and clears the gradient
    clear: Callable[[], None]  # clears the gradient alone
    counts: Callable[[PairBatch], Tensor] = one_each


@dataclass(eq=False)
class PairLoop:
    """Pairs being learned from: one update is one batch of them, and one epoch is all."""

    world: World
    lesson: Lesson
    seed: int
    settings: Mapping[str, Any]  # what the records say of the run
    batch_size: int  # pairs of an update
    micro_batch_size: int  # pairs of a pass
    held_share: float  # of the pairs, only measured
    pairs: list[Pair] = field(default_factory=list)
    held_out: list[Pair] = field(default_factory=list)
    history: list[UpdateRecord] = field(default_factory=list)

    def add(self, pairs: Sequence[Pair]) -> None:
        """Learn from these pairs too; a pair of equal texts says nothing and is left out."""
        telling = [pair for pair in pairs if pair.chosen != pair.rejected]
        total = len(self.pairs) + len(self.held_out) + len(telling)
        if total < 2:
            remedy = "give at least two that prefer one text to another, so that one can be held out; ties say nothing"
            raise LabError("pairs", total, remedy)
        held = max(1, round(self.held_share * total)) - len(self.held_out)
        order = torch.randperm(len(telling), generator=torch.Generator().manual_seed(self.seed)).tolist()
        kept = [telling[number] for number in order[max(0, held) :]]
        held_out = [telling[number] for number in order[: max(0, held)]]
        self._batch = self._tokens([*self.pairs, *kept])
        self._held = self._tokens([*self.held_out, *held_out])
        self.pairs += kept
        self.held_out += held_out
        self._first = len(self.history)  # epochs count from here

    @property
    def updates_per_epoch(self) -> int:
        """Return the number of updates that see every pair once."""
        return -(-len(self.pairs) // self.batch_size)

    def update(self, *, job: Job = NO_JOB) -> dict[str, float]:
        """Take one step on the next batch and return its metrics; what is stopped or fails changes nothing."""
        began = time.perf_counter()
        try:
            metrics = self._measure(self._batch, self._next_rows(), job, learn=True)
            if not all(map(math.isfinite, metrics.values())):
                remedy = "it left the range of numbers; lower the learning rate, or look at the pairs"
                raise LabError("loss", metrics["loss"], remedy)
            self.lesson.step()
        finally:
            self.lesson.clear()
        seconds = {"update": time.perf_counter() - began}
        self.history.append(UpdateRecord(len(self.history) + 1, self.settings, metrics, seconds, []))
        return metrics

    def run(self, n: int, *, job: Job = NO_JOB) -> None:
        """Run n updates, fewer if the job is stopped."""
        check_count("updates", n)
        for done in range(n):
            try:
                metrics = self.update(job=job)
            except Stopped:
                return
            job.report(done + 1, n, f"update {len(self.history)}, loss {metrics['loss']:.3f} nats")

    def evaluate(self, *, job: Job = NO_JOB) -> dict[str, float]:
        """Measure the pairs that are held out."""
        with torch.no_grad():
            return self._measure(self._held, range(len(self._held)), job, learn=False)

    def rows(self) -> Sequences:
        """Return all chosen responses that are learned from."""
        return self._batch.chosen

    def _measure(self, pairs: PairBatch, rows: Sequence[int], job: Job, *, learn: bool) -> dict[str, float]:
        """Average the numbers of some rows, a few at a time; their gradients add up to that of the whole."""
        total, sums = float(self.lesson.counts(pairs)[list(rows)].sum()), dict[str, float]()
        for part in slices(len(rows), size=self.micro_batch_size):
            job.check()
            numbers = self.lesson.measure(pairs.select(rows[part]))
            if learn:
                (numbers["loss"].sum() / total).backward()
            sums = {name: sums.get(name, 0.0) + float(values.detach().sum()) for name, values in numbers.items()}
        return {name: value / total for name, value in sums.items()}

    def _next_rows(self) -> list[int]:
        """Choose the pairs of the next update: every epoch has its own order."""
        epoch, place = divmod(len(self.history) - self._first, self.updates_per_epoch)
        generator = torch.Generator().manual_seed(derived_seed(self.seed, "pairs", epoch))
        order: list[int] = torch.randperm(len(self.pairs), generator=generator).tolist()
        return order[place * self.batch_size : (place + 1) * self.batch_size]

    def _tokens(self, pairs: Sequence[Pair]) -> PairBatch:
        return tokenize_pairs(self.world.policy, pairs, limit=self.world.max_new_tokens)


class PairRun:
    """What everyone who learns from pairs does in the same way (a Run); a subclass says what it learns."""

    world: World
    _loop: PairLoop

    @property
    def history(self) -> list[UpdateRecord]:
        """Return the updates done."""
        return self._loop.history

    @property
    def pairs(self) -> list[Pair]:
        """Return the pairs that are learned from."""
        return self._loop.pairs

    @property
    def held_out(self) -> list[Pair]:
        """Return the pairs that are only measured."""
        return self._loop.held_out

    @property
    def updates_per_epoch(self) -> int:
        """Return the number of updates that see every pair once."""
        return self._loop.updates_per_epoch

    def update(self, *, job: Job = NO_JOB) -> dict[str, float]:
        """Take one step on the next batch of pairs, and return its metrics."""
        return self._loop.update(job=job)

    def run(self, n: int, *, job: Job = NO_JOB) -> None:
        """Run n updates, fewer if the job is stopped."""
        self._loop.run(n, job=job)

    def evaluate(self, *, job: Job = NO_JOB) -> dict[str, float]:
        """Measure the same numbers on the pairs that were held out."""
        return self._loop.evaluate(job=job)

    def samples(self, prompts: Sequence[str], seed: int) -> list[dict[str, Any]]:
        """Sample one response to each prompt from the current policy, scored by the current reward."""
        sequences = generate(self.world.policy, prompts, max_new_tokens=self.world.max_new_tokens, seed=seed)
        return sample_rows(self._judged, sequences, count=len(prompts))

    @property
    def _judged(self) -> World:
        """Return the world whose reward scores the samples."""
        return self.world


# ---- A Bradley-Terry reward model fitted to pairs ----

if TYPE_CHECKING:
    from transformers import PreTrainedModel

ROWS = 128  # of one pass that only measures


@dataclass(frozen=True)
class FitConfig:
    """Settings of a reward-model fit.

    Attributes:
        lr: Learning rate of AdamW.
        weight_decay: Weight decay of AdamW.
        batch_size: Pairs an update.
        held_out: Share of the pairs that are only measured.
        unit_responses: Responses of the reference whose scores set zero and unit.
        trainable: all, head, or auto, which chooses by the size of the network.
    """

    lr: float = 1e-3
    weight_decay: float = 0.01
    batch_size: int = 64  # pairs per update
    held_out: float = 0.1  # share of the pairs that is only measured
    unit_responses: int = 256  # of the reference, that fix the zero and the unit of the scores; 0: the pairs' own
    trainable: Literal["auto", "all", "head"] = "auto"  # auto: a head alone where the world keeps its policy frozen

    def __post_init__(self) -> None:
        """Raise LabError for invalid settings."""
        check_number("lr", self.lr, open_low=True)
        check_number("weight_decay", self.weight_decay)
        check_count("batch_size", self.batch_size)
        check_number("held_out", self.held_out, high=0.9)
        if not is_whole(self.unit_responses):
            raise LabError("unit_responses", self.unit_responses, "give a whole number, 0 for the pairs' own responses")
        if self.trainable not in ("auto", "all", "head"):
            raise LabError.choice("trainable", self.trainable, ("auto", "all", "head"))


class RewardFit(PairRun):
    """A reward model being fitted (a Run): one update is one batch of pairs, and one epoch is all of them.

    The network starts as the policy's trunk with a zero head, so every pair starts at the loss ln 2. `add` new
    labels at any time: the fit goes on from where it is.

    Args:
        world: The world whose policy gives the trunk.
        pairs: What is learned from.
        config: The settings.
        seed: Seed of the order of the pairs and of those held out.
    """

    def __init__(self, world: World, pairs: Sequence[Pair], config: FitConfig, *, seed: int) -> None:
        self.world, self.config, self.seed = world, config, seed
        self._model = scalar_model(world)
        frozen = config.trainable == "head" or (config.trainable == "auto" and _is_frozen(world.policy.model))
        if frozen:
            _freeze_trunk(self._model, world.policy.model)
        self._scores = HeadScores(self._model) if frozen else partial(end_scores, self._model)
        learned = [parameter for parameter in self._model.parameters() if parameter.requires_grad]
        self._optimizer = torch.optim.AdamW(learned, lr=config.lr, weight_decay=config.weight_decay)
        self._loop = PairLoop(
            world=world,
            lesson=Lesson(self._measure, self._optimizer.step, self._optimizer.zero_grad),
            seed=seed,
            settings=asdict(config),
            batch_size=config.batch_size,
            micro_batch_size=1 if frozen else config.batch_size,  # reading one text of a large network takes a while
            held_share=config.held_out,
        )
        self._loop.add(pairs)

    @property
    def reward(self) -> RewardModel:
        """Return the model as it is now, with its zero and unit."""
        shift, scale = self._unit()
        return RewardModel("reward model", copy_sharing_frozen(self._model), shift=shift, scale=scale)

    def add(self, pairs: Sequence[Pair]) -> None:
        """Add new labels to learn from; the fit continues from where it is.

        Args:
            pairs: New labels; the same share of them is held out.
        """
        self._loop.add(pairs)

    @property
    def _judged(self) -> World:
        return self.world.replace(reward=self.reward)

    def _measure(self, batch: PairBatch) -> dict[str, Tensor]:
        """Return the loss of each pair, and whether and by how much the preferred response scores higher."""
        chosen, rejected = self._scores(batch.chosen), self._scores(batch.rejected)
        margin = (chosen - rejected).detach()
        return {"loss": bradley_terry_loss(chosen, rejected), "accuracy": (margin > 0).double(), "margin": margin}

    def _unit(self) -> tuple[float, float]:
        """Return mean and standard deviation of the scores of the reference policy's responses."""
        with torch.no_grad():
            rows = self._unit_rows()
            scores = torch.cat([self._scores(rows.select(part)) for part in slices(len(rows), size=ROWS)])
        return float(scores.mean()), max(float(scores.std()), 1e-6)

    def _unit_rows(self) -> Sequences:
        """Return the responses that fix the unit; those of the pairs where a fresh sample would take minutes."""
        world, count = self.world, self.config.unit_responses
        if isinstance(self._scores, HeadScores) or count == 0:
            return self._loop.rows()
        prompts = [world.prompts[number % len(world.prompts)] for number in range(count)]
        seed = derived_seed(self.seed, "unit")
        return generate(world.reference, prompts, max_new_tokens=world.max_new_tokens, seed=seed)


class HeadScores:
    """Scores of whole responses by a head on features that never change: each text is read once."""

    def __init__(self, model: PreTrainedModel) -> None:
        self._model = model
        self._read: dict[tuple[str, tuple[int, ...]], Tensor] = {}

    def __call__(self, sequences: Sequences) -> Tensor:
        """Return the score of each whole row, (B,)."""
        keys = [(prompt, tuple(sequences.response_ids(row))) for row, prompt in enumerate(sequences.prompts)]
        for row, key in enumerate(keys):
            if key not in self._read:
                self._read[key] = end_features(self._model, without_padding(sequences.select([row])))[0]
        scores: Tensor = self._model.get_submodule("score")(torch.stack([self._read[key] for key in keys]))
        return scores.squeeze(-1)


def fit_reward_model(
    world: World, pairs: Sequence[Pair], *, config: FitConfig | None = None, seed: int = 0
) -> RewardFit:
    """Return a run that fits a Bradley-Terry reward model to pairs; `run` it, then take its `reward`.

    Args:
        world: The world whose policy gives the trunk.
        pairs: What is learned from.
        config: The settings.
        seed: Seed of the order of the pairs and of those held out.

    Returns:
        A run that has not begun; after `run(n)` its `reward` is the model.
    """
    return RewardFit(world, pairs, config or FitConfig(), seed=seed)


def scalar_model(world: World) -> PreTrainedModel:
    """Make a one-label network that starts as the policy's trunk with a zero head."""
    from transformers import AutoModelForSequenceClassification

    policy = world.policy.model
    config = copy.deepcopy(policy.config)
    config.num_labels = 1
    with torch.random.fork_rng(devices=[]):  # the numbers it starts with are drawn, and then all overwritten
        model = AutoModelForSequenceClassification.from_config(config, dtype=policy.dtype)
    return Critic.for_policy(policy, torch.nn.Module.to(model, policy.device)).model


def end_scores(model: PreTrainedModel, sequences: Sequences) -> Tensor:
    """Return the score of each whole row, read at its last token, (B,)."""
    return state_scalars(model, sequences).gather(1, sequences.lengths[:, None])[:, 0]


def _is_frozen(model: PreTrainedModel) -> bool:
    return not any(parameter.requires_grad for parameter in model.parameters())


def _freeze_trunk(model: PreTrainedModel, policy: PreTrainedModel) -> None:
    """Freeze all of a one-label network but its head; what is frozen in the policy too lies in one memory."""
    for own, original in zip(model.base_model.parameters(), policy.base_model.parameters(), strict=True):
        own.requires_grad = False
        if not original.requires_grad:
            own.data = original.data
