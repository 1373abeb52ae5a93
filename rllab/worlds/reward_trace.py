"""One response as a reward reads it: the score of every prefix, what is paid when, and the parts behind it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

import torch
from torch import Tensor

from rllab.core.config import Timing
from rllab.core.errors import LabError
from rllab.core.records import Sequences
from rllab.policy.generation import sequences_from_ids
from rllab.reward.reward import Reward, RewardModel, TextReward, TokenReward, per_token_scores
from rllab.reward.shaping import Redistributed, Shaped, Shares, WeightedSum, attention_shares, even_shares
from rllab.value.critic import ZeroCritic
from rllab.value.objective import Kind
from rllab.worlds.world import World

TIMINGS: tuple[Timing, ...] = get_args(Timing)


@dataclass(frozen=True)
class RewardTrace:
    """What one reward says of one response of T tokens.

    Whatever the timing, the row of `paid` sums to `total`; that of `level` pays the whole score each time, so its
    sum grows with the number of payments.
    """

    name: str
    kind: Kind  # exact where a rule says it, learned where a network does
    prefix_scores: tuple[float, ...]  # (T,): of the text up to and with each token
    paid: Mapping[Timing, tuple[float, ...]]  # (T,) each, in increments
    level: Mapping[Timing, tuple[float, ...]]  # (T,) each
    total: float
    parts: Mapping[str, tuple[float, ...]]  # of every prefix, (T,) each; they sum to its score


def response_of(world: World, prompt: str, text: str, *, ended: bool = True) -> Sequences:
    """Lay out one response that somebody wrote; one that is as long as the limit allows has no end token."""
    ids = world.policy.encode_response(text)
    ids = ids if ended and len(ids) <= world.max_new_tokens else ids[:-1]
    return response_from_ids(world, prompt, ids)


def response_from_ids(world: World, prompt: str, ids: Sequence[int]) -> Sequences:
    """Lay out one response by its token ids."""
    encoded = world.policy.encode(prompt)
    if not ids:
        raise LabError("response", "", "write at least one token, if only the end")
    if len(ids) > world.max_new_tokens:
        remedy = f"it has {len(ids)} tokens and this world writes at most {world.max_new_tokens}; shorten it"
        raise LabError("response", world.policy.decode(ids), remedy)
    return sequences_from_ids(world.policy, [prompt], [list(ids)], encoded=[encoded])


def read(world: World, reward: Reward, response: Sequences) -> RewardTrace:
    """Score every prefix of one response, and lay out what is paid for its tokens under every timing."""
    with torch.no_grad():
        prefix_scores = reward.prefix_scores(response)
        scores = {timing: reward.score(response, timing=timing) for timing in TIMINGS}
        levels = {one: per_token_scores(prefix_scores, response, timing=one, prefix_pay="level") for one in TIMINGS}
        parts = _parts(world, reward, response)
    return RewardTrace(
        name=reward.name,
        kind=kind_of(reward),
        prefix_scores=_row(prefix_scores),
        paid={timing: _row(score.per_token) for timing, score in scores.items()},
        level={timing: _row(level) for timing, level in levels.items()},
        total=float(scores["end"].total[0]),
        parts=parts,
    )


def kind_of(reward: Reward) -> Kind:
    """Tell whether a rule or a network gives the score; of a sum the less certain of the two."""
    if isinstance(reward, Shaped):
        return "learned"  # its potential is a critic's
    if isinstance(reward, Redistributed):
        return kind_of(reward.reward)
    if isinstance(reward, WeightedSum):
        kinds = {kind_of(one) for _, one in reward.terms}
        return "learned" if "learned" in kinds else "exact"
    return "exact" if isinstance(reward, TextReward | TokenReward) else "learned"


def contrasts(world: World) -> list[Reward]:
    """Return the same reward paid in other ways: shaped by the critic, shared out by attention, shared out evenly."""
    reward, made = world.reward, list[Reward]()
    if not isinstance(world.critic, ZeroCritic):
        gamma = world.objective.gamma
        made.append(Shaped("shaped by V", reward, world.critic.state_values, gamma))
    if isinstance(reward, RewardModel):
        made.append(Redistributed("shared out by attention", reward, attention_shares(reward.model)))
    shares: Shares = even_shares
    return [*made, Redistributed("shared out evenly", reward, shares)]


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
