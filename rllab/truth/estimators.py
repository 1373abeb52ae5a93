"""Estimators of the policy gradient, and of KL, held against the exact ones."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from rllab.core.config import Config, check_count, is_whole
from rllab.core.errors import LabError
from rllab.core.jobs import NO_JOB, Job
from rllab.core.records import Rollout, Scores, Sequences, take_rows
from rllab.maths.algorithms import get_algorithm
from rllab.maths.masking import masked_sum
from rllab.reward.reward import TokenReward
from rllab.trainer.stages import KL_ESTIMATORS, STAGES, Context, whole_batch
from rllab.trainer.trainer import Trainer
from rllab.truth import ExactCritic, Tree, exact
from rllab.truth.optimum import flat, trainable
from rllab.value.critic import NoParameters, ValueFunction, ZeroCritic
from rllab.value.evaluation import evaluate, slices
from rllab.worlds.world import World

# ---- The estimators that are compared: an algorithm, the settings that make it, and whose V it looks at ----

ChooseCritic = Callable[[World, Sequence[Tree]], ValueFunction]


class Expected(NoParameters):
    """A baseline and no more: the expected return of the prompt in every state of it."""

    def __init__(self, trees: Sequence[Tree]) -> None:
        self.trees = trees

    def state_values(self, sequences: Sequences) -> Tensor:
        """Return J of each row's prompt at all its states, (B, T+1)."""
        expected = {tree.prompt: tree.J for tree in self.trees}
        column = torch.tensor([expected[prompt] for prompt in sequences.prompts], dtype=torch.float64)
        return column[:, None].expand(-1, sequences.response_mask.shape[1] + 1).to(sequences.tokens.device)


def learned(world: World, _trees: Sequence[Tree]) -> ValueFunction:
    """Return V of the world's critic."""
    return world.critic


def true(_world: World, trees: Sequence[Tree]) -> ValueFunction:
    """Return the exact V."""
    return ExactCritic(trees)


def expected(_world: World, trees: Sequence[Tree]) -> ValueFunction:
    """Return the expected return as V of every state."""
    return Expected(trees)


def no_critic(_world: World, _trees: Sequence[Tree]) -> ValueFunction:
    """Return V = 0."""
    return ZeroCritic()


@dataclass(frozen=True)
class Arm:
    """One way to estimate the gradient."""

    name: str
    algorithm: str
    critic: ChooseCritic = no_critic
    settings: Mapping[str, Any] = field(default_factory=dict)

    def config(self, world: World, *, rows: int, group: int) -> Config:
        """Return the settings of one gradient of `rows` responses, for the world's own objective.

        Nothing is whitened, and a row counts as the sum of its tokens: only so can the mean be the gradient of J.
        """
        objective = world.objective
        wanted = {
            "whiten": False,
            "reducer": "seq-mean-token-sum",
            "kl_in": "reward",
            "kl_estimator": "k1",
            "kl_coef": objective.kl_coef,
            "gamma": objective.gamma,
            "timing": objective.timing,
            "prefix_pay": objective.prefix_pay,
            "missing_eos_penalty": objective.missing_eos_penalty,
            "temperature": objective.temperature,
            "samples_per_prompt": group,
            "batch_size": rows,
            "micro_batch_size": rows,
            "epochs": 1,
        } | dict(self.settings)
        algorithm = get_algorithm(self.algorithm)
        read = algorithm.fields
        if algorithm.per_response and objective.prefix_pay == "increment":
            read -= {"timing"}  # the sum over a response is the same under each
        return world.config(self.algorithm, **{name: value for name, value in wanted.items() if name in read})


ARMS: tuple[Arm, ...] = (
    Arm("REINFORCE", "reinforce"),
    Arm("REINFORCE + baseline", "a2c", expected, {"lam": 1.0}),
    Arm("A2C, learned critic", "a2c", learned),
    Arm("A2C, exact critic", "a2c", true),
    Arm("A2C, no critic", "a2c", no_critic),
    Arm("RLOO", "rloo"),
    Arm("GRPO", "grpo"),
    Arm("Dr. GRPO", "grpo", no_critic, {"scale_by_std": False}),
)


def gae_arms(
    lams: Sequence[float] = (0.0, 0.25, 0.5, 0.75, 0.9, 0.95, 1.0), critic: ChooseCritic = learned
) -> list[Arm]:
    """Return A2C over a range of lambda."""
    return [Arm(f"GAE, lambda {lam:g}", "a2c", critic, {"lam": lam}) for lam in lams]


# ---- Single-sample gradients in the logits of one state, with their probabilities: small enough to be dra ----

# tree, first tokens (N,), returns (N,), shift -> weights (N,)
Baseline = Callable[[Tree, Tensor, Tensor, float], Tensor]


@dataclass(frozen=True, eq=False)
class Cloud:
    """All single-sample gradients of one estimator at the prompt."""

    truth: Tensor  # (A,) the exact gradient, pi A
    probs: Tensor  # (N,) of each response
    gradients: Tensor  # (N, A)

    @property
    def mean(self) -> Tensor:
        """Return the expected gradient, (A,)."""
        return self.probs @ self.gradients

    @property
    def bias(self) -> float:
        """Return |mean - truth|."""
        return float((self.mean - self.truth).norm())

    @property
    def variance(self) -> float:
        """Return the variance of one gradient, summed over the logits."""
        return float((self.probs @ (self.gradients - self.mean).square()).sum())

    @property
    def noise_to_signal(self) -> float:
        """Return variance over squared length: how many samples it takes until noise and signal are alike."""
        return self.variance / float(self.truth.square().sum())

    def sample(self, count: int, *, seed: int) -> Tensor:
        """Draw some of the gradients as they would be met, (count, A)."""
        check_count("count", count)
        generator = torch.Generator().manual_seed(seed)
        return self.gradients[torch.multinomial(self.probs, count, replacement=True, generator=generator)]


def cloud(tree: Tree, baseline: str = "nothing", *, shift: float = 0.0, scale: float = 1.0) -> Cloud:
    """List the gradients of every response under one baseline, with `shift` added to all returns, then scaled."""
    if baseline not in BASELINES:
        raise LabError.choice("baseline", baseline, BASELINES)
    pi = tree.pi(())
    first = tree.leaves.response_tokens[:, 0].cpu()
    weights = scale * BASELINES[baseline](tree, first, tree.leaf_returns, shift)
    scores = torch.eye(len(pi), dtype=torch.float64)[first] - pi
    truth = scale * pi * tree.A(())
    return Cloud(truth, tree.leaf_logprobs.exp(), weights[:, None] * scores)


def _nothing(_tree: Tree, _first: Tensor, returns: Tensor, shift: float) -> Tensor:
    """Return the return as it is: no baseline."""
    return returns + shift


def _mean(tree: Tree, _first: Tensor, returns: Tensor, shift: float) -> Tensor:
    """Subtract V of the prompt: what is usual."""
    return returns + shift - (tree.J + shift)


def _own(_tree: Tree, _first: Tensor, returns: Tensor, shift: float) -> Tensor:
    """Subtract half of the return itself: a baseline that looks at the token."""
    return (returns + shift) / 2


def _advantage(tree: Tree, first: Tensor, _returns: Tensor, _shift: float) -> Tensor:
    """Return the exact advantage of the first token: the luck of everything that follows is removed."""
    return tree.A(())[first]


BASELINES: Mapping[str, Baseline] = {
    "nothing": _nothing,
    "V": _mean,
    "its own reward": _own,
    "exact A": _advantage,
}


# ---- Gradients as the trainer's own stages make them: many sampled ones, or every possible one with its p ----

MOST_BATCHES = 20_000  # enumerated ones


@dataclass(frozen=True, eq=False)
class Gradients:
    """What one estimator says of one policy: gradients of J, flat, with the probability of each."""

    probs: Tensor  # (N,) float64
    values: Tensor  # (N, parameters) float64
    sampled: bool  # drawn by chance rather than listed


def true_gradient(trees: Sequence[Tree], *, job: Job = NO_JOB) -> Tensor:
    """Return the exact gradient of the mean of J over the prompts of some trees, flat, float64."""
    if not trees:
        raise LabError("trees", trees, "give at least one")
    return torch.stack([tree.gradient(job=job).double() for tree in trees]).mean(dim=0)


def sampled(
    world: World,
    trees: Sequence[Tree],
    arm: Arm,
    *,
    rows: int,
    group: int,
    draws: int,
    seed: int = 0,
    job: Job = NO_JOB,
) -> Gradients:
    """Draw gradients of `rows` responses each, `group` to a prompt; with one seed all arms see the same responses."""
    if not is_whole(draws, low=2):
        raise LabError("draws", draws, "a spread needs at least two")
    context = _context(world, trees, arm, rows=rows, group=group, seed=seed, job=job)
    prompts = list(itertools.islice(itertools.cycle(tree.prompt for tree in trees), rows // group))
    batch = STAGES.rollout(context, prompts * draws)
    scores, found = STAGES.score(context, batch), []
    for number, part in enumerate(slices(len(batch), size=rows)):
        job.check()
        found.append(_gradient(context, take_rows(batch, part), _some(scores, part)))
        job.report(number + 1, draws, arm.name)
    return Gradients(torch.full((draws,), 1 / draws, dtype=torch.float64), torch.stack(found), sampled=True)


def enumerated(world: World, tree: Tree, arm: Arm, *, group: int, job: Job = NO_JOB) -> Gradients:
    """List the gradient of every batch of `group` responses to one prompt, with the probability of the batch."""
    check_count("group", group)
    count = len(tree.leaves) ** group
    if count > MOST_BATCHES:
        remedy = f"list at most {MOST_BATCHES:,}: take a smaller tree or a smaller group"
        raise LabError("batches", f"{count:,}", remedy)
    context = _context(world, [tree], arm, rows=group, group=group, seed=0, job=job)
    leaves = evaluate(
        context.policy,
        tree.leaves,
        reference=context.reference,
        critic=context.critic,
        temperature=context.objective.temperature,
        job=job,
    )
    scores, chance = STAGES.score(context, leaves), tree.leaf_logprobs.exp()
    found, probs = [], []
    for chosen in itertools.product(range(len(leaves)), repeat=group):
        job.check()
        rows = list(chosen)
        found.append(_gradient(context, leaves.select(rows), _some(scores, rows)))
        probs.append(chance[rows].prod())
    return Gradients(torch.stack(probs), torch.stack(found), sampled=False)


def trees_of(world: World, *, prompts: Sequence[str] = (), job: Job = NO_JOB) -> list[Tree]:
    """Return the exact trees of some of a world's prompts, by default of all."""
    return [exact(world, prompt, job=job.quiet()) for prompt in prompts or world.prompts]


def _context(world: World, trees: Sequence[Tree], arm: Arm, *, rows: int, group: int, seed: int, job: Job) -> Context:
    """Return what the stages look at, for a world whose critic is the arm's."""
    check_count("group", group)
    check_count("rows", rows)
    if rows % group:
        raise LabError("rows", rows, f"give a multiple of the group's size, {group}")
    arranged = world.replace(critic=arm.critic(world, trees))
    trainer = Trainer(arranged, arm.algorithm, arm.config(arranged, rows=rows, group=group), seed=seed)
    return trainer._context(job)


def _gradient(context: Context, rows: Rollout, scores: Scores) -> Tensor:
    """Return minus the gradient of the stages' loss of some rows, flat."""
    batch = whole_batch(context, rows, STAGES.targets(context, rows, scores))
    parameters = trainable(context.policy)
    loss = STAGES.loss(context, batch).loss
    return -flat(torch.autograd.grad(loss, parameters, allow_unused=True), parameters).double().cpu()


def _some(scores: Scores, rows: slice | list[int]) -> Scores:
    """Return the scores of some rows."""
    return Scores(scores.total[rows], {name: part[rows] for name, part in scores.parts.items()}, scores.per_token[rows])


# ---- Bias, variance and direction of gradients, as a row of a table ----


@dataclass(frozen=True)
class BenchRow:
    """How good an estimator of the gradient g is. Squared numbers are sums over all parameters."""

    name: str
    bias: float  # |mean - g|
    chance: float  # how large that is by chance alone with so many draws; 0 where nothing was drawn
    variance: float  # of one gradient
    mse: float  # mean |estimate - g|^2: bias and variance together
    cosine: float  # between the mean and g
    length: float  # of the mean, in units of the length of g
    gradients: int

    @property
    def is_biased(self) -> bool:
        """Return whether the bias is more than three times what chance, or rounding, explains."""
        return self.bias > 3 * self.chance + 1e-9


def judge(name: str, gradients: Gradients, truth: Tensor) -> BenchRow:
    """Compare an estimator's gradients with the exact one."""
    probs, values = gradients.probs[:, None], gradients.values
    mean = (probs * values).sum(dim=0)
    variance = float((probs * (values - mean).square()).sum())
    n = len(values)
    if gradients.sampled:
        variance *= n / (n - 1)
    return BenchRow(
        name=name,
        bias=float((mean - truth).norm()),
        chance=(variance / n) ** 0.5 if gradients.sampled else 0.0,
        variance=variance,
        mse=float((probs * (values - truth).square()).sum()),
        cosine=float(torch.nn.functional.cosine_similarity(mean, truth, dim=0)),
        length=float(mean.norm() / truth.norm()),
        gradients=n,
    )


def compare(
    world: World,
    arms: Sequence[Arm] = ARMS,
    *,
    prompts: Sequence[str] = (),
    rows: int = 16,
    group: int = 4,
    draws: int = 200,
    seed: int = 0,
    job: Job = NO_JOB,
) -> list[BenchRow]:
    """Judge estimators by gradients that they draw from the same responses, in a world whose truth is known."""
    trees = trees_of(world, prompts=prompts, job=job)
    truth, rows_of = true_gradient(trees, job=job), []
    for number, arm in enumerate(arms):
        drawn = sampled(world, trees, arm, rows=rows, group=group, draws=draws, seed=seed, job=job.quiet())
        rows_of.append(judge(arm.name, drawn, truth))
        job.report(number + 1, len(arms), arm.name)
    return rows_of


# ---- k1, k2 and k3: as a value, as a term of the reward, as a term of the loss; every response listed, no ----


@dataclass(frozen=True)
class KLRow:
    """One estimator in one place."""

    estimator: str
    place: str  # reward or loss
    mean: float  # nats per response
    deviation: float  # of one response, nats
    exact: float  # KL(pi || pi_ref) of whole responses, nats
    gradient: BenchRow  # against the gradient of minus that KL


def kl_rows(world: World, prompt: str, *, job: Job = NO_JOB) -> list[KLRow]:
    """Return every estimator in both places, in a world small enough to list every response of one prompt."""
    bare = without_reward(world)
    tree = exact(bare, prompt, job=job.quiet())
    return list(_rows(bare, tree, job))


def without_reward(world: World) -> World:
    """Return a world in which nothing is paid and KL costs its own size: J = -KL(pi || pi_ref)."""
    nothing = TokenReward("nothing", torch.zeros(world.policy.vocabulary, dtype=torch.float64))
    objective = dataclasses.replace(world.objective, reward=nothing, kl_coef=1.0, gamma=1.0)
    return world.replace(reward=nothing, objective=objective)


def _rows(world: World, tree: Tree, job: Job) -> Iterator[KLRow]:
    """Measure each estimator as a value, and its gradient in both places."""
    policy, temperature = world.policy, world.objective.temperature
    rollout = evaluate(policy, tree.leaves, reference=world.reference, temperature=temperature, job=job)
    probs, truth = tree.leaf_logprobs.exp(), true_gradient([tree], job=job)
    for name, estimator in KL_ESTIMATORS.items():
        value = masked_sum(estimator(rollout.logprobs, rollout.ref_logprobs), rollout.response_mask, dim=1).double()
        mean = float((probs * value).sum())
        deviation = float((probs * (value - mean).square()).sum().sqrt())
        for place in ("reward", "loss"):
            arm = Arm(f"{name} in the {place}", "reinforce", no_critic, {"kl_in": place, "kl_estimator": name})
            row = judge(arm.name, enumerated(world, tree, arm, group=1, job=job), truth)
            yield KLRow(name, place, mean, deviation, -tree.J, row)
