"""Monte Carlo: what a state is worth, from many continuations written by the policy itself."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rllab.core.config import is_whole
from rllab.core.errors import LabError
from rllab.core.jobs import NO_JOB, Job
from rllab.maths.divergence import exponential_noise, kl_k1, sample, selected_logprobs
from rllab.maths.returns import apply_kl_penalty, discounted_returns
from rllab.policy.generation import Decoder, check_room
from rllab.policy.policy import Policy
from rllab.trainer.stages import derived_seed
from rllab.truth.levels import written_to
from rllab.value.evaluation import slices
from rllab.value.objective import Estimate, Objective
from rllab.worlds.responses import AT_ONCE, check_prefixes, horizon_of, is_over, objective_of, open_ended
from rllab.worlds.world import World

# ---- Writing many continuations of many prefixes at a time: what they share is read once, what has ended  ----

BUDGET = 64 * 2**20  # bytes of keys and values read at one time: what the caches of a CPU can still follow
KEEP = 0.7  # share of rows still being written below which the others are dropped; dropping copies the cache


@dataclass(frozen=True)
class Start:
    """A prefix that is to be written on."""

    prefix: Sequence[int]
    known: Collection[int] = ()  # a sample that begins with one of these is left: it is known how that text goes on
    barred: Collection[int] = ()  # no sample begins with one of these; the others are drawn in proportion


@dataclass(frozen=True, eq=False)
class Responses:
    """Responses, prefixes included, and by how much the policy liked each new token more than its reference."""

    tokens: Tensor  # (n, horizon) long
    lengths: Tensor  # (n,)
    log_ratio: Tensor  # (n, horizon) nats: log pi - log pi_ref; 0 where nothing was sampled
    known: Tensor  # (n,) bool: left after one token, because it is known how that text goes on


class CommonNoise:
    """Exp(1) numbers that belong to (sample, token position), the same after every prefix."""

    def __init__(self, seed: int, samples: slice, *, like: Tensor) -> None:
        self._seed, self._samples = seed, samples
        self._shape, self._like = (samples.stop - samples.start, like.shape[-1]), like
        self._drawn: dict[int, Tensor] = {}

    def at(self, positions: Tensor, samples: Tensor) -> Tensor:
        """Return the numbers (n, A) for rows that write token `positions` (n,) of their samples (n,)."""
        distinct, inverse = positions.unique(return_inverse=True)
        wanted = distinct.tolist()
        self._drawn = {place: noise for place, noise in self._drawn.items() if place >= wanted[0]}
        for place in wanted:
            if place not in self._drawn:
                generator = torch.Generator().manual_seed(derived_seed(self._seed, self._samples.start, place))
                self._drawn[place] = exponential_noise(self._shape, generator=generator, like=self._like)
        return torch.stack([self._drawn[place] for place in wanted])[inverse, samples]


def continue_from(
    policies: Sequence[Policy],
    prompt_ids: Sequence[int],
    starts: Sequence[Start],
    *,
    samples: slice,
    seed: int,
    horizon: int,
    temperature: float,
    job: Job = NO_JOB,
) -> Responses:
    """Continue the samples of each start to their end, rows of one start next to each other.

    The first policy writes. A second one, if there is one, reads along: the reference.
    """
    contexts = [[*prompt_ids, *start.prefix] for start in starts]
    repeat = torch.arange(len(starts)).repeat_interleave(samples.stop - samples.start).to(policies[0].device)
    decoders = [Decoder(policy, contexts, job=job).take(repeat) for policy in policies]
    pages = _Pages(starts, samples, horizon=horizon, policy=policies[0])
    noise = CommonNoise(seed, samples, like=decoders[0].logits)
    while True:
        job.check()
        logits = [decoder.logits / temperature for decoder in decoders]
        probs = pages.allowed(torch.softmax(logits[0], dim=-1))
        chosen = sample(probs, noise.at(pages.positions, pages.samples))
        pages.write(chosen, [selected_logprobs(row, chosen) for row in logits] if len(logits) > 1 else [])
        if not bool(pages.open.any()):
            return pages.finished()
        if pages.crowded or _full(decoders[0]):
            kept = pages.drop_closed()
            decoders, chosen = [decoder.take(kept) for decoder in decoders], chosen[kept]
        for decoder in decoders:
            decoder.push(chosen)


def rows_at_once(policy: Policy, *, width: int) -> int:
    """Return how many rows fit into the budget, by their keys, values and logits.

    A large network reads all its weights for every column, so its rows may take half as much as those.
    """
    config = policy.model.config
    hidden = int(getattr(config, "hidden_size", 1))  # the cache of a table holds tokens alone
    numbers = 2 * int(config.num_hidden_layers) * hidden * width + 4 * policy.vocabulary
    weights = policy.model.num_parameters() if hidden > 1 else 0  # of a table one row is read
    budget = max(BUDGET, weights * policy.dtype.itemsize // 2)
    return max(1, budget // (numbers * policy.dtype.itemsize))


def _full(decoder: Decoder) -> bool:
    """Return whether a row of a decoder, perhaps a closed one, has no room for another token."""
    return int(decoder.attention_mask.sum(dim=1).max()) >= decoder.policy.context


class _Pages:
    """The responses being written: which rows are still open, and at which token each is."""

    def __init__(self, starts: Sequence[Start], samples: slice, *, horizon: int, policy: Policy) -> None:
        count, device = samples.stop - samples.start, policy.device
        self._eos, self._horizon = policy.eos_id, horizon
        prefixes = [start.prefix for start in starts]
        lengths = torch.tensor([len(prefix) for prefix in prefixes], device=device)
        self._length = lengths.repeat_interleave(count)  # tokens of each response so far
        rows = len(self._length)
        padded = [[*prefix, *[policy.pad_id] * (horizon - len(prefix))] for prefix in prefixes]
        self._tokens = torch.tensor(padded, device=device).repeat_interleave(count, dim=0)
        self._log_ratio = torch.zeros(rows, horizon, dtype=policy.dtype, device=device)
        self._row = torch.arange(rows, device=device)  # of each row that is being read
        self._sample = torch.arange(count, device=device).repeat(len(prefixes))
        self._start = torch.arange(len(prefixes), device=device).repeat_interleave(count)
        self._left = _marked([start.known for start in starts], policy)
        self._shut = _marked([start.barred for start in starts], policy)
        self._first = True
        self._known = torch.zeros(rows, dtype=torch.bool, device=device)
        self.open = ~self._known

    @property
    def positions(self) -> Tensor:
        """Return at which token each row being read is, (n,)."""
        return self._length[self._row].clamp(max=self._horizon - 1)

    @property
    def samples(self) -> Tensor:
        """Return which sample each row being read is, (n,)."""
        return self._sample[self._row]

    @property
    def crowded(self) -> bool:
        """Return whether so many rows have closed that dropping them pays."""
        return float(self.open.float().mean()) < KEEP

    def allowed(self, probs: Tensor) -> Tensor:
        """Return the probabilities (n, A) without those of the tokens that may not come first."""
        return probs.masked_fill(self._shut[self._start], 0.0) if self._first and self._shut.any() else probs

    def write(self, chosen: Tensor, logprobs: Sequence[Tensor]) -> None:
        """Append a token to each open row; log-probs are the policy's and, where it reads along, the reference's."""
        rows = self._row[self.open]
        places = self._length[rows]
        self._tokens[rows, places] = chosen[self.open]
        if logprobs:
            self._log_ratio[rows, places] = kl_k1(*logprobs)[self.open]
        self._length[rows] += 1
        self.open = self.open & (chosen != self._eos) & (self._length[self._row] < self._horizon)
        if self._first:
            self._known = self._left[self._start, chosen]
            self.open, self._first = self.open & ~self._known, False

    def drop_closed(self) -> Tensor:
        """Continue with the open rows alone, and return their places among the rows being read."""
        kept = self.open.nonzero()[:, 0]
        self._row, self.open = self._row[kept], self.open[kept]
        return kept

    def finished(self) -> Responses:
        """Return the responses."""
        return Responses(self._tokens, self._length, self._log_ratio, self._known)


def _marked(tokens: Sequence[Collection[int]], policy: Policy) -> Tensor:
    """Mark some tokens in each row, (n, A)."""
    marks = torch.zeros(len(tokens), policy.vocabulary, dtype=torch.bool)
    for row, some in enumerate(tokens):
        marks[row, list(some)] = True
    return marks.to(policy.device)


# ---- Monte Carlo: what a state is worth, from many continuations written by the policy itself ----

MOST_RETURNS = 5_000_000  # of all prefixes together: numbers that are kept, about 200 MiB


def monte_carlo(
    world: World,
    prompt: str,
    prefixes: Sequence[Sequence[int]],
    *,
    samples: int,
    seed: int,
    objective: Objective | None = None,
    barred: Collection[int] = (),
    job: Job = NO_JOB,
) -> list[Estimate]:
    """Estimate the value of the state after each prefix from `samples` continuations of it.

    Random numbers are common: sample j draws its token t with the same numbers after every prefix, so two
    prefixes of one response, or two actions after the same prefix, can be compared sample by sample. Where a sample
    chooses just the token that leads to another of the prefixes, the continuation of that prefix is reused. No
    continuation begins with a `barred` token: this gives the value of all other actions together, weighted by
    their probabilities.

    Args:
        world: The world whose policy continues the prefixes.
        prompt: The prompt.
        prefixes: Response token ids of each state; () is the prompt alone.
        samples: Continuations of each prefix.
        seed: Seed of the common random numbers.
        objective: What the values are the value of; by default the world's.
        barred: Tokens that no continuation begins with.
        job: Receives the progress; stopping it raises Stopped.

    Returns:
        One Monte-Carlo estimate with its standard error for each prefix.

    Raises:
        LabError: If a prefix is longer than the world's responses, or samples is not positive.
    """
    objective = objective_of(world, objective)
    ids = world.policy.encode(prompt)
    check_room(world.policy, [ids], max_new_tokens=1)
    task = _Task(world, prompt, ids, horizon_of(world, ids), objective, barred, seed, job)
    _check(task, prefixes, samples=samples)
    family = Family.of(task, [tuple(prefix) for prefix in prefixes])
    returns = torch.zeros(len(prefixes), samples, dtype=torch.float64)  # after a response that is over comes nothing
    parts, done = list(_parts(task, prefixes, samples)), 0
    total = sum(len(some) * (part.stop - part.start) for some, part in parts)
    for some, part in parts:
        job.report(done, total, "continuations")
        _fill(returns[:, part], task, family, some, part)
        done += len(some) * (part.stop - part.start)
    job.report(done, total, "continuations")
    return [sample_mean(row, task.objective) for row in returns]


def sample_mean(returns: Tensor, objective: Objective) -> Estimate:
    """Return mean and standard error of independent returns (N,); of a single one the error is not known (nan)."""
    n = len(returns)
    error = float(returns.std() / n**0.5) if n > 1 else float("nan")
    return Estimate(float(returns.mean()), error, n, "monte-carlo", objective, tuple(returns.tolist()))


@dataclass(frozen=True, eq=False)
class _Task:
    """What stays the same over all parts of the work."""

    world: World
    prompt: str
    ids: Sequence[int]  # of the prompt
    horizon: int  # tokens
    objective: Objective
    barred: Collection[int]
    seed: int
    job: Job

    @property
    def policies(self) -> list[Policy]:
        """Return who writes, and the reference where its log-probs are asked for."""
        policy, reference = self.world.policy, self.objective.reference
        same = self.objective.kl_coef == 0.0 or reference.weights is policy.weights
        return [policy] if same else [policy, reference]


def _check(task: _Task, prefixes: Sequence[Sequence[int]], *, samples: int) -> None:
    """Raise LabError for a question that sampling cannot answer."""
    policy = task.world.policy
    check_prefixes(policy, prefixes, horizon=task.horizon)
    most = MOST_RETURNS // max(1, len(prefixes))
    if not is_whole(samples, low=1, high=most):
        raise LabError("samples", samples, f"draw at least one continuation of each prefix, and at most {most:,}")
    if not is_whole(task.seed, low=-math.inf):
        raise LabError("seed", task.seed, "give a whole number; the same one draws the same again")
    barred = [is_whole(token, high=policy.vocabulary - 1) for token in task.barred]
    if not all(barred) or len(set(task.barred)) >= policy.vocabulary:
        raise LabError("barred", tuple(task.barred), f"leave a token of the ids 0 to {policy.vocabulary - 1}")


@dataclass(frozen=True, eq=False)
class Family:
    """Which prefixes lead to which others by one token, and what is paid for that token."""

    prefixes: Sequence[tuple[int, ...]]
    followers: Sequence[Mapping[int, int]]  # of each prefix: token -> number of the prefix it leads to
    paid: Sequence[float]  # for the last token of each prefix that follows another; 0 for the others

    @classmethod
    def of(cls, task: _Task, prefixes: Sequence[tuple[int, ...]]) -> Family:
        """Find who follows whom."""
        places: dict[tuple[int, ...], list[int]] = {}  # a prefix may be asked for twice
        for place, prefix in enumerate(prefixes):
            places.setdefault(prefix, []).append(place)
        followers: list[dict[int, int]] = [{} for _ in prefixes]
        for prefix, (place, *_) in places.items():
            for parent in places.get(prefix[:-1], []) if prefix else []:
                followers[parent][prefix[-1]] = place
        led = sorted({child for some in followers for child in some.values()})
        paid = [0.0] * len(prefixes)
        if led:
            rows = [prefixes[place] for place in led]
            texts = open_ended(task.world.policy, task.prompt, rows, horizon=task.horizon)
            for place, row in zip(led, task.objective.score(texts).per_token, strict=True):
                paid[place] = float(row[len(prefixes[place]) - 1])
        return cls(prefixes, followers, paid)


def _parts(task: _Task, prefixes: Sequence[Sequence[int]], samples: int) -> Iterator[tuple[list[int], slice]]:
    """Cut the work into prefixes and samples that fit into memory together, the longest prefixes first."""
    policy = task.world.policy
    unfinished = [
        n for n, prefix in enumerate(prefixes) if not is_over(prefix, eos=policy.eos_id, horizon=task.horizon)
    ]
    unfinished.sort(key=lambda number: -len(prefixes[number]))
    size = rows_at_once(policy, width=len(task.ids) + task.horizon)
    for part in slices(samples, size=size):
        for some in slices(len(unfinished), size=max(1, size // (part.stop - part.start))):
            yield unfinished[some], part


def _fill(returns: Tensor, task: _Task, family: Family, some: Sequence[int], part: slice) -> None:
    """Sample some continuations of some prefixes, longest first, and write their returns into `returns`."""
    written = continue_from(
        task.policies,
        task.ids,
        [Start(family.prefixes[number], family.followers[number], task.barred) for number in some],
        samples=part,
        seed=task.seed,
        horizon=task.horizon,
        temperature=task.objective.temperature,
        job=task.job,
    )
    whole = _returns_to_go(task, written)  # (n, horizon)
    count, kl_coef, gamma = part.stop - part.start, task.objective.kl_coef, task.objective.gamma
    for place, number in enumerate(some):
        rows, t = slice(place * count, (place + 1) * count), len(family.prefixes[number])
        returns[number] = whole[rows, t]
        for token, child in family.followers[number].items():
            led = written.known[rows].cpu() & (written.tokens[rows, t].cpu() == token)
            paid = family.paid[child] - kl_coef * written.log_ratio[rows, t].double().cpu()
            returns[number] = torch.where(led, paid + gamma * returns[child], returns[number])


def _returns_to_go(task: _Task, written: Responses) -> Tensor:
    """Return what each response that was written to its end brings from each token on, (n, horizon) float64."""
    returns = torch.zeros(written.tokens.shape, dtype=torch.float64)
    rows = (~written.known).nonzero()[:, 0]
    rows = rows[written.lengths[rows].argsort()]  # of like lengths together, so that little padding is read
    at_once = max(1, AT_ONCE // (len(task.ids) + task.horizon))
    for some in rows.split(at_once) if len(rows) else ():  # a sure policy may lead all rows into known prefixes
        task.job.check()
        lengths, width = written.lengths[some].cpu(), int(written.lengths[some].max())
        sequences = written_to(task.prompt, task.world.policy, written.tokens[some, :width].cpu(), lengths=lengths)
        paid, log_ratio = task.objective.score(sequences).per_token.double(), written.log_ratio[some, :width].double()
        mask, settings = sequences.response_mask, task.objective
        rewards = apply_kl_penalty(paid, log_ratio, mask, kl_coef=settings.kl_coef)
        returns[some.cpu(), :width] = discounted_returns(rewards, mask, gamma=settings.gamma).cpu()
    return returns
