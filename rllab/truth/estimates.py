"""V, Q and A of any state three ways, and what would have happened after another choice: one headless place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from rllab.core.errors import LabError
from rllab.core.jobs import NO_JOB, Job
from rllab.maths.divergence import kl_k1
from rllab.policy.generation import Decoder, sequences_from_ids
from rllab.reward.reward import reward_positions
from rllab.truth import Tree, exact, monte_carlo
from rllab.truth.sampling import sample_mean
from rllab.value.critic import Critic, ZeroCritic
from rllab.value.evaluation import evaluate
from rllab.value.objective import Estimate, Objective
from rllab.worlds.responses import check_prefixes, horizon_of, is_over, objective_of, open_ended
from rllab.worlds.stepper import Stepper
from rllab.worlds.world import World

# ---- Sums and differences of estimates, with their errors: samples are compared one by one where there ar ----

SURE = 3.0  # standard errors: chance alone goes that far about once in 400 comparisons


def action_value(next_value: Estimate, paid: float) -> Estimate:
    """Return Q = r + gamma V' out of the value of the one state that an action leads to."""
    return combine([next_value], [next_value.objective.gamma], plus=paid)


def td_error(before: Estimate, next_value: Estimate, paid: float) -> Estimate:
    """Return the TD error r + gamma V' - V."""
    return combine([next_value, before], [next_value.objective.gamma, -1.0], plus=paid)


def difference(one: Estimate, other: Estimate) -> Estimate:
    """Return one estimate minus another."""
    return combine([one, other], [1.0, -1.0])


def combine(estimates: Sequence[Estimate], weights: Sequence[float], *, plus: float = 0.0) -> Estimate:
    """Return a weighted sum of estimates of one kind.

    Samples made with common random numbers belong together, so their sums are taken sample by sample: the error
    of a difference is then that of the differences, which is often far smaller than the errors of its parts.
    """
    first = estimates[0]
    mean = plus + sum(weight * estimate.mean for estimate, weight in zip(estimates, weights, strict=True))
    if first.kind != "monte-carlo":
        return Estimate(mean, first.standard_error, first.samples, first.kind, first.objective)
    returns = torch.tensor([estimate.returns for estimate in estimates], dtype=torch.float64)  # (estimates, samples)
    return sample_mean(plus + torch.tensor(weights, dtype=torch.float64) @ returns, first.objective)


# ---- What is asked for: a world, a prompt, an objective, and how much sampling may cost ----

Prefix = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Query:
    """One question about one prompt; what it takes to answer is made once."""

    world: World
    prompt: str
    objective: Objective
    samples: int
    seed: int
    job: Job

    @cached_property
    def ids(self) -> list[int]:
        """Return the prompt's token ids."""
        return self.world.policy.encode(self.prompt)

    @cached_property
    def horizon(self) -> int:
        """Return the largest number of response tokens."""
        return horizon_of(self.world, self.ids)

    @cached_property
    def tree(self) -> Tree:
        """Return the exact tree, where the world is small enough."""
        return exact(self.world, self.prompt, objective=self.objective, job=self.job.quiet())

    def is_over(self, prefix: Sequence[int]) -> bool:
        """Return whether the prefix is terminal."""
        return is_over(prefix, eos=self.world.policy.eos_id, horizon=self.horizon)

    def check_next(self, prefix: Sequence[int], token_ids: object) -> None:
        """Raise LabError for invalid tokens after a prefix."""
        self.check([prefix])
        if not isinstance(token_ids, Sequence) or isinstance(token_ids, str) or not token_ids:
            raise LabError("tokens", token_ids, "choose some tokens by their ids")
        self.check([(*prefix, token) for token in token_ids])

    def check(self, prefixes: Sequence[Sequence[int]]) -> None:
        """Raise LabError for a prefix that cannot follow the prompt."""
        check_prefixes(self.world.policy, prefixes, horizon=self.horizon)


def exact_values(query: Query, prefixes: Sequence[Prefix]) -> list[Estimate]:
    """Read V off the tree."""
    return [query.tree.estimate(prefix) for prefix in prefixes]


def sampled_values(query: Query, prefixes: Sequence[Prefix]) -> list[Estimate]:
    """Average over continuations."""
    return monte_carlo(
        query.world,
        query.prompt,
        prefixes,
        samples=query.samples,
        seed=query.seed,
        objective=query.objective,
        job=query.job,
    )


def learned_values(query: Query, prefixes: Sequence[Prefix]) -> list[Estimate]:
    """Return the critic's V, which belongs to the objective that it was trained on and to no other."""
    check_critic(query)
    if not prefixes:
        return []
    world = query.world
    rows = [prefix or (world.policy.eos_id,) for prefix in prefixes]  # a batch needs a column, seen or not
    sequences = sequences_from_ids(world.policy, [query.prompt] * len(rows), rows)
    with torch.no_grad(), world.policy.lock:
        values = world.critic.state_values(sequences).double().cpu()
    found = [
        0.0 if query.is_over(prefix) else float(row[len(prefix)]) for prefix, row in zip(prefixes, values, strict=True)
    ]
    return [Estimate(value, float("nan"), 0, "learned", query.objective) for value in found]


WAYS = {"exact": exact_values, "monte-carlo": sampled_values, "learned": learned_values}


def payments(query: Query, rows: Sequence[Prefix]) -> tuple[Tensor, Tensor]:
    """Return what is paid for each token of some responses, finished or not, and log pi - log pi_ref there, (n, T)."""
    policy, objective = query.world.policy, query.objective
    sequences = open_ended(policy, query.prompt, rows, horizon=query.horizon)
    paid = objective.score(sequences).per_token.double().cpu()
    rollout = evaluate(
        policy, sequences, reference=objective.reference, temperature=objective.temperature, job=query.job
    )
    return paid, kl_k1(rollout.logprobs, rollout.ref_logprobs).double().cpu()


def check_critic(query: Query) -> None:
    """Raise LabError for a critic of another objective."""
    world = query.world
    if isinstance(world.critic, ZeroCritic):
        raise LabError("critic", "none", "this world has no critic; train one with A2C or PPO, or ask for monte-carlo")
    if difference := world.objective.difference(query.objective):
        remedy = f"{difference}: the critic was trained on {world.objective.describe()}; compare it under that"
        raise LabError("objective", query.objective.describe(), remedy)
    if isinstance(world.critic, Critic):
        world.critic.check_knows(query.prompt, query.ids, vocabulary=world.policy.vocabulary)


# ---- V of any states, by enumeration, by sampling and by the critic ----


def estimate(
    world: World,
    prompt: str,
    prefixes: Sequence[Sequence[int]],
    kinds: Sequence[str],
    *,
    objective: Objective | None = None,
    samples: int = 64,
    seed: int = 0,
    job: Job = NO_JOB,
) -> list[Estimate]:
    """Return V of the state after each prefix, in each of the ways asked for: all prefixes of the first way, then on.

    The ways are `exact`, `monte-carlo` (`samples` continuations each) and `learned` (the world's critic, which
    answers for the world's own objective alone).

    Args:
        world: The world.
        prompt: The prompt.
        prefixes: Response token ids of each state; () is the prompt alone.
        kinds: Ways of estimating: exact, monte-carlo, learned.
        objective: What the values are the value of; by default the world's.
        samples: Continuations of each state for monte-carlo.
        seed: Seed of the continuations.
        job: Receives the progress; stopping it raises Stopped.

    Returns:
        One estimate of V for each kind and prefix: all prefixes of the first kind, then of the next.

    Raises:
        LabError: If a prefix cannot follow the prompt, a kind is unknown, or the critic is one of another objective.
    """
    query = Query(world, prompt, objective_of(world, objective), samples, seed, job)
    query.check(prefixes)
    check_kinds(kinds)
    wanted = [tuple(prefix) for prefix in prefixes]
    return [value for kind in kinds for value in WAYS[kind](query, wanted)]


def check_kinds(kinds: object) -> None:
    """Raise LabError for an unknown method."""
    if not isinstance(kinds, Sequence) or isinstance(kinds, str):
        raise LabError("kinds", kinds, f"give a list of {', '.join(WAYS)}")
    for kind in kinds:
        if kind not in tuple(WAYS):
            raise LabError.choice("kind", kind, WAYS)


# ---- Q and A of the tokens that could be written next ----

LOOKED_AT = 32  # likeliest tokens that a critic is asked about
NEVER = 1e-9  # all others together, if they are less likely than that, are not asked about


@dataclass(frozen=True, eq=False)
class Candidates:
    """Some actions of one state with their values; together with all others they average to V.

    So Q - A = V for each of them, and the sum of pi A is 0 with the others' part in it.
    """

    prefix: tuple[int, ...]
    token_ids: tuple[int, ...]
    probs: tuple[float, ...]  # at the objective's temperature
    q: tuple[Estimate, ...]
    others: Estimate  # Q of all other actions, as often as each is written among them
    value: Estimate  # V of the state: the average of Q

    @property
    def advantages(self) -> tuple[float, ...]:
        """Return A = Q - V of each action."""
        return tuple(estimate.mean - self.value.mean for estimate in self.q)

    @property
    def errors(self) -> tuple[float, ...]:
        """Return the standard error of each A, from differences sample by sample; not a number where learned."""
        return tuple(difference(estimate, self.value).standard_error for estimate in self.q)

    def is_sure(self, at: int) -> bool:
        """Return whether the sign of an action's A is more than chance; None where nothing was sampled."""
        return self.value.kind != "monte-carlo" or abs(self.advantages[at]) > SURE * self.errors[at]

    @property
    def other_prob(self) -> float:
        """Return the probability of all other actions together."""
        return max(0.0, 1.0 - sum(self.probs))


def candidates(
    world: World,
    prompt: str,
    prefix: Sequence[int],
    token_ids: Sequence[int],
    kind: str,
    *,
    samples: int = 64,
    seed: int = 0,
    job: Job = NO_JOB,
) -> Candidates:
    """Return Q of some tokens after a prefix in one way, and V of the state, under the world's objective."""
    query = Query(world, prompt, objective_of(world, None), samples, seed, job)
    check_kinds([kind])
    query.check_next(prefix, token_ids)
    start, chosen = tuple(prefix), tuple(token_ids)
    if len(set(chosen)) < len(chosen):
        raise LabError("tokens", chosen, "name each token once: a repeated token would count twice")
    if kind == "exact":
        return of_tree(query.tree, start, chosen)
    here = Next.of(query, start)
    return _sampled(query, here, chosen) if kind == "monte-carlo" else _learned(query, here, chosen)


def of_tree(tree: Tree, prefix: Prefix, token_ids: Sequence[int]) -> Candidates:
    """Read Q and V off an exact tree."""
    probs, q, value = tree.pi(prefix), tree.Q(prefix), tree.estimate(prefix)
    rest = torch.ones_like(probs).index_fill(0, torch.tensor(token_ids, dtype=torch.long), 0.0) * probs
    whole = float(rest.sum())
    mean = float((rest * q.nan_to_num(0.0)).sum()) / whole if whole > NEVER else value.mean
    made = [
        Estimate(mean_q, 0.0, value.samples, "exact", tree.objective) for mean_q in (*q[list(token_ids)].tolist(), mean)
    ]
    return Candidates(
        prefix, tuple(token_ids), tuple(probs[list(token_ids)].tolist()), tuple(made[:-1]), made[-1], value
    )


def lookahead(stepper: Stepper, t: int, token_ids: Sequence[int]) -> Candidates:
    """Return Q of some tokens after t tokens of a line as its critic has it; what was read is not read again."""
    query = Query(stepper.world, stepper.prompt, stepper.world.objective, 0, 0, NO_JOB)
    logits, ref_logits, critic = stepper.read_at(t)
    both = [logits, ref_logits]
    here = Next.read(stepper.prefix_ids[:t], both, temperature=query.objective.temperature, critic=critic)
    return _learned(query, here, tuple(token_ids))


def action_values(query: Query, here: Next, token_ids: Sequence[int], kind: str) -> list[Estimate]:
    """Return Q of some tokens of one state: what is paid for each, and V of where it leads."""
    rows = [(*here.prefix, token) for token in token_ids]
    query.check(rows)
    chosen = torch.tensor(token_ids, dtype=torch.long)
    log_ratio = (here.logprobs - here.ref_logprobs)[chosen]
    net = _paid(query, here.prefix, rows) - query.objective.kl_coef * log_ratio
    return list(map(action_value, here.values(query, rows, kind), net.tolist()))


@dataclass(frozen=True, eq=False)
class Next:
    """One state: the log-probs of all tokens (A,) there, and a critic that has read up to it."""

    prefix: Prefix
    logprobs: Tensor
    ref_logprobs: Tensor
    critic: Decoder | None = None

    @classmethod
    def of(cls, query: Query, prefix: Prefix) -> Next:
        """Read a prefix with the policy and, where it is another one, with the reference."""
        policy, reference = query.world.policy, query.objective.reference
        both = [policy] if reference.weights is policy.weights else [policy, reference]
        logits = [Decoder(one, [[*query.ids, *prefix]], job=query.job).logits[0] for one in both]
        return cls.read(prefix, [logits[0], logits[-1]], temperature=query.objective.temperature)

    @classmethod
    def read(
        cls, prefix: Prefix, logits: Sequence[Tensor], *, temperature: float, critic: Decoder | None = None
    ) -> Next:
        """Hold the logits (A,) of policy and reference in a state."""
        logprobs = [torch.log_softmax(row.double().cpu() / temperature, dim=0) for row in logits]
        return cls(prefix, logprobs[0], logprobs[1], critic)

    def values(self, query: Query, rows: Sequence[Prefix], kind: str) -> list[Estimate]:
        """Return V of the states after some tokens."""
        if self.critic is None or kind != "learned":
            return WAYS[kind](query, rows)
        tokens = torch.tensor([row[-1] for row in rows], device=self.critic.tokens.device)
        decoder = self.critic.take(torch.zeros_like(tokens))
        decoder.push(tokens)
        found = [
            0.0 if query.is_over(row) else value
            for row, value in zip(rows, decoder.output.double().tolist(), strict=True)
        ]
        return [Estimate(value, float("nan"), 0, "learned", query.objective) for value in found]


def _sampled(query: Query, here: Next, chosen: Prefix) -> Candidates:
    """Continue every token, and all others together, with common random numbers."""
    probs = here.logprobs[list(chosen)].exp().tolist()
    q = action_values(query, here, chosen, "monte-carlo")
    rest = 1.0 - sum(probs) if len(set(chosen)) < len(here.logprobs) else 0.0
    if rest <= NEVER:
        value = combine(q, [prob / sum(probs) for prob in probs])
        return Candidates(here.prefix, chosen, tuple(probs), tuple(q), value, value)
    (others,) = monte_carlo(
        query.world,
        query.prompt,
        [here.prefix],
        samples=query.samples,
        seed=query.seed,
        objective=query.objective,
        barred=chosen,
        job=query.job.quiet(),
    )
    value = combine([*q, others], [*probs, rest])
    return Candidates(here.prefix, chosen, tuple(probs), tuple(q), others, value)


def _learned(query: Query, here: Next, chosen: Prefix) -> Candidates:
    """Return the critic's V one token ahead, for the chosen and the most likely tokens; the others count as average."""
    check_critic(query)
    likeliest = here.logprobs.topk(min(LOOKED_AT, len(here.logprobs))).indices.tolist()
    looked = list(dict.fromkeys([*chosen, *likeliest]))
    q = action_values(query, here, looked, "learned")
    probs = here.logprobs[looked].exp()
    value = combine(q, (probs / probs.sum()).tolist())
    own, shown = tuple(probs[: len(chosen)].tolist()), q[: len(chosen)]
    rest = 1.0 - sum(own)
    known = sum(prob * action.mean for prob, action in zip(own, shown, strict=True))
    mean = (value.mean - known) / rest if rest > NEVER else value.mean
    return Candidates(
        here.prefix, chosen, own, tuple(shown), Estimate(mean, float("nan"), 0, "learned", query.objective), value
    )


def _paid(query: Query, prefix: Prefix, rows: Sequence[Prefix]) -> Tensor:
    """Return what is paid for the last token of each row, (n,) float64; only rows that are paid for it are judged."""
    objective, place = query.objective, len(prefix)
    sequences = open_ended(query.world.policy, query.prompt, rows, horizon=query.horizon)
    due = reward_positions(sequences, timing=objective.timing)[:, place].nonzero()[:, 0].tolist()
    paid = torch.zeros(len(rows), dtype=torch.float64)
    if due:
        paid[due] = objective.score(sequences.select(due)).per_token[:, place].double().cpu()
    return paid


# ---- Rewards, values, action values, advantages and TD errors along one response, each in several ways ----


@dataclass(frozen=True, eq=False)
class Line:
    """One response, finished or not, with everything that is known along it.

    Writing token t leads to exactly one state, so Q(s_t, a_t) = r_t + gamma V(s_{t+1}) needs no average, and
    Q - V is the TD error: `advantages` are both. With the true V they are the true advantages.
    """

    prompt: str
    ids: tuple[int, ...]
    tokens: tuple[str, ...]
    objective: Objective
    rewards: tuple[float, ...]  # (T,) what is paid for each token
    kl: tuple[float, ...]  # (T,) nats: log pi - log pi_ref of each token
    values: Mapping[str, tuple[Estimate, ...]]  # way -> (T+1,)
    q: Mapping[str, tuple[Estimate, ...]]  # way -> (T,) of the tokens that were written
    advantages: Mapping[str, tuple[Estimate, ...]]  # way -> (T,): the TD errors


def estimate_along(
    world: World,
    prompt: str,
    ids: Sequence[int],
    kinds: Sequence[str],
    *,
    objective: Objective | None = None,
    samples: int = 64,
    seed: int = 0,
    job: Job = NO_JOB,
) -> Line:
    """Return what is known along a response: V at its T+1 states, and Q and A of its T tokens, in each way."""
    query = Query(world, prompt, objective_of(world, objective), samples, seed, job)
    query.check([ids])
    check_kinds(kinds)
    line = tuple(ids)
    paid, log_ratio = (row[0, : len(line)].tolist() for row in payments(query, [line]))
    net = [reward - query.objective.kl_coef * kl for reward, kl in zip(paid, log_ratio, strict=True)]
    values = {kind: tuple(WAYS[kind](query, [line[:t] for t in range(len(line) + 1)])) for kind in kinds}
    return Line(
        prompt=prompt,
        ids=line,
        tokens=tuple(world.policy.token_text(token) for token in line),
        objective=query.objective,
        rewards=tuple(paid),
        kl=tuple(log_ratio),
        values=values,
        q={kind: tuple(map(action_value, some[1:], net)) for kind, some in values.items()},
        advantages={kind: tuple(map(td_error, some[:-1], some[1:], net)) for kind, some in values.items()},
    )
