"""Responses and their prefixes: how long they may grow, what each token is paid, and how a reward reads them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

import torch
from torch import Tensor

from rllab.core.config import Timing, is_whole
from rllab.core.errors import LabError
from rllab.core.jobs import Job
from rllab.core.records import Scores, Sequences
from rllab.policy.generation import sequences_from_ids
from rllab.policy.policy import Policy
from rllab.reward.reward import Reward, RewardModel, TextReward, TokenReward, per_token_scores
from rllab.reward.shaping import Redistributed, Shaped, WeightedSum, attention_shares, even_shares
from rllab.value.critic import ZeroCritic
from rllab.value.evaluation import slices
from rllab.value.objective import Kind, Objective
from rllab.worlds.world import World, as_world

AT_ONCE = 8192  # tokens: a fraction of a second, so that Stop need not wait
TIMINGS: tuple[Timing, ...] = get_args(Timing)

# ---- Prefixes: how long a response may grow, when it is over, and which beginnings are possible ----


def horizon_of(world: World, prompt_ids: Sequence[int]) -> int:
    """Return the largest number of response tokens: the world's limit, or the room that the model has left.

    Args:
        world: The world.
        prompt_ids: Token ids of the prompt.

    Returns:
        The limit in tokens.
    """
    return min(world.max_new_tokens, world.policy.context - len(prompt_ids))


def is_over(prefix: Sequence[int], *, eos: int, horizon: int) -> bool:
    """Return whether the prefix is terminal: it has ended, or reached the limit.

    Args:
        prefix: Response tokens so far.
        eos: Id of the end token.
        horizon: The limit in tokens.

    Returns:
        Whether no token can follow.
    """
    return len(prefix) >= horizon or (len(prefix) > 0 and prefix[-1] == eos)


def objective_of(world: object, objective: object) -> Objective:
    """Return the given objective, or the world's own where none is given.

    Args:
        world: A World.
        objective: An Objective or None.

    Returns:
        The objective that values refer to.

    Raises:
        LabError: If the world or the objective is something else.
    """
    own = as_world(world).objective
    chosen = own if objective is None else objective
    if not isinstance(chosen, Objective):
        raise LabError("objective", chosen, "give an Objective, as world.objective is one")
    return chosen


def check_prefixes(policy: Policy, prefixes: object, *, horizon: int) -> None:
    """Raise LabError unless all prefixes are possible beginnings of responses.

    Args:
        policy: Its vocabulary is used.
        prefixes: A list of prefixes, each a sequence of token ids.
        horizon: The limit of a response in tokens.

    Raises:
        LabError: If one of them is not possible.
    """
    if not isinstance(prefixes, Sequence):
        raise LabError("prefixes", prefixes, "give a list of them, such as [(), (3,)]")
    for prefix in prefixes:
        check_prefix(policy, prefix, horizon=horizon)


def check_prefix(policy: Policy, prefix: object, *, horizon: int) -> None:
    """Raise LabError unless token ids are a possible beginning of a response.

    Args:
        policy: Its vocabulary is used.
        prefix: A sequence of token ids; () is the prompt alone.
        horizon: The limit of a response in tokens.

    Raises:
        LabError: If an id is unknown, something follows the end token, or the prefix is too long.
    """
    if not isinstance(prefix, Sequence):
        raise LabError("prefix", prefix, "give the token ids of the response so far; () is the prompt alone")
    for place, token in enumerate(prefix):
        if not is_whole(token, high=policy.vocabulary - 1):
            remedy = f"token {place + 1} has the id {token!r}; this vocabulary has the ids 0 to {policy.vocabulary - 1}"
            raise LabError("prefix", tuple(prefix), remedy)
        if token == policy.eos_id and place + 1 < len(prefix):
            raise LabError("prefix", tuple(prefix), f"the response is over after token {place + 1}; nothing follows it")
    if len(prefix) > horizon:
        raise LabError("prefix", tuple(prefix), f"a response has at most {horizon} tokens here")


# ---- What many responses are paid, also those that are not over ----


def scored(
    objective: Objective,
    rows: Sequences,
    *,
    job: Job,
    at_once: int = AT_ONCE,
    count: Callable[[int], None] = lambda _: None,
) -> Scores:
    """Score many rows, some at a time.

    Args:
        objective: What pays them.
        rows: The rows.
        job: The running job; a stop takes effect between two parts.
        at_once: How many tokens to score at a time, padding included.
        count: Receives the number of rows that are done, after each part.

    Returns:
        The scores of all rows.

    Raises:
        Stopped: If the job was asked to end.
    """
    found = []
    for some in slices(len(rows), size=max(1, at_once // rows.tokens.shape[1])):
        job.check()
        found.append(objective.score(rows.select(some)))
        count(some.stop)
    return Scores(
        total=torch.cat([scores.total for scores in found]),
        parts={name: torch.cat([scores.parts[name] for scores in found]) for name in found[0].parts},
        per_token=torch.cat([scores.per_token for scores in found]),
    )


def open_ended(policy: Policy, prompt: str, rows: Sequence[Sequence[int]], *, horizon: int) -> Sequences:
    """Return responses to one prompt as Sequences; one that is not over gets one token more.

    So the last token of a prefix is not taken for the end of a response, where the whole score would be paid.

    Args:
        policy: The policy whose tokens they are.
        prompt: The prompt.
        rows: Token ids of each response.
        horizon: The limit of a response in tokens.

    Returns:
        The rows, padded to one width.
    """
    filler = 0 if policy.eos_id else 1  # any token but the end
    longer = [row if is_over(row, eos=policy.eos_id, horizon=horizon) else (*row, filler) for row in rows]
    return sequences_from_ids(policy, [prompt] * len(rows), longer)


# ---- One response as a reward reads it ----


@dataclass(frozen=True)
class RewardTrace:
    """How one reward scores one response of T tokens, prefix by prefix.

    Under every timing the row of `paid` sums to `total`; that of `level` pays the whole prefix score each time, so
    its sum grows with the number of payments.

    Args:
        name: Name of the reward.
        kind: exact where a rule gives the score, learned where a network does.
        prefix_scores: Score of the text up to and with each token, (T,), reward units.
        paid: What each token is paid in increments, (T,) by timing.
        level: What each token is paid in levels, (T,) by timing.
        total: Score of the whole text.
        parts: Named parts of every prefix, (T,) each; they sum to its score.
    """

    name: str
    kind: Kind
    prefix_scores: tuple[float, ...]
    paid: Mapping[Timing, tuple[float, ...]]
    level: Mapping[Timing, tuple[float, ...]]
    total: float
    parts: Mapping[str, tuple[float, ...]]


def response_from_ids(world: World, prompt: str, ids: Sequence[int]) -> Sequences:
    """Return one response as Sequences.

    Args:
        world: The world that it is written in.
        prompt: The prompt.
        ids: Token ids of the response.

    Returns:
        One row.

    Raises:
        LabError: If the response is empty or longer than the world allows.
    """
    encoded = world.policy.encode(prompt)
    if not ids:
        raise LabError("response", "", "write at least one token, if only the end")
    if len(ids) > world.max_new_tokens:
        remedy = f"it has {len(ids)} tokens and this world writes at most {world.max_new_tokens}; shorten it"
        raise LabError("response", world.policy.decode(ids), remedy)
    return sequences_from_ids(world.policy, [prompt], [list(ids)], encoded=[encoded])


def read(world: World, reward: Reward, response: Sequences) -> RewardTrace:
    """Score every prefix of one response, and compute what its tokens are paid under every timing.

    Args:
        world: The world that the response was written in.
        reward: The reward that reads it.
        response: One row.

    Returns:
        Scores, payments and parts.
    """
    with torch.no_grad():
        prefix_scores = reward.prefix_scores(response)
        scores = {timing: reward.score(response, timing=timing) for timing in TIMINGS}
        parts = _parts(world, reward, response)
    return RewardTrace(
        name=reward.name,
        kind=kind_of(reward),
        prefix_scores=_row(prefix_scores),
        paid={timing: _row(score.per_token) for timing, score in scores.items()},
        level={
            timing: _row(per_token_scores(prefix_scores, response, timing=timing, prefix_pay="level"))
            for timing in TIMINGS
        },
        total=float(scores["end"].total[0]),
        parts=parts,
    )


def kind_of(reward: Reward) -> Kind:
    """Return whether a rule or a network gives the score; of a sum, the less certain of the two.

    Args:
        reward: Any reward of the lab.

    Returns:
        exact or learned.
    """
    if isinstance(reward, Shaped):
        return "learned"  # its potential is a critic's
    if isinstance(reward, Redistributed):
        return kind_of(reward.reward)
    if isinstance(reward, WeightedSum):
        kinds = {kind_of(term) for _, term in reward.terms}
        return "learned" if "learned" in kinds else "exact"
    return "exact" if isinstance(reward, TextReward | TokenReward) else "learned"


def contrasts(world: World) -> list[Reward]:
    """Return the world's reward paid in other ways: shaped by the critic, spread by attention, spread evenly.

    Args:
        world: The world.

    Returns:
        Those of the three that the world's reward and critic allow.
    """
    reward, made = world.reward, list[Reward]()
    if not isinstance(world.critic, ZeroCritic):
        made.append(Shaped("shaped by V", reward, world.critic.state_values, world.objective.gamma))
    if isinstance(reward, RewardModel):
        made.append(Redistributed("shared out by attention", reward, attention_shares(reward.model)))
    return [*made, Redistributed("shared out evenly", reward, even_shares)]


def _parts(world: World, reward: Reward, response: Sequences) -> dict[str, tuple[float, ...]]:
    """Return the named parts of every prefix, read as a text of its own; none where the whole alone has them."""
    if isinstance(reward, Redistributed | Shaped) or len(reward.score(response).parts) == 1:
        return {}
    ids, prompt = response.response_ids(0), response.prompts[0]
    prefixes = [ids[: size + 1] for size in range(len(ids))]
    encoded = [world.policy.encode(prompt)] * len(ids)
    rows = sequences_from_ids(world.policy, [prompt] * len(ids), prefixes, encoded=encoded)
    return {part: tuple(values.tolist()) for part, values in reward.score(rows).parts.items()}


def _row(values: Tensor) -> tuple[float, ...]:
    """Return the numbers of the one response; it has no padding."""
    return tuple(values[0].double().tolist())
