"""The exact tree of one prompt: every response that a policy can write, and what each state is worth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from rllab.core.config import check_number
from rllab.core.errors import LabError
from rllab.core.jobs import NO_JOB, Job
from rllab.core.records import Scores, Sequences
from rllab.policy.policy import Policy
from rllab.truth.levels import Level, check_vocabulary, paid_edges, reached, read, sums_along
from rllab.truth.optimum import BestOf, Optimum, best_of_law, policy_gradient, soft_optimum
from rllab.value.critic import NoParameters
from rllab.value.objective import Estimate, Objective
from rllab.worlds.responses import check_prefix

# ---- The exact tree of one prompt: every response that a policy can write, and what each state is worth ----


@dataclass(frozen=True, eq=False)
class Tree:
    """V, Q, A and pi at every state after a prompt, for a policy and an objective, in float64.

    A prefix is a tuple of response token ids, () the prompt alone. Q, A and pi are (vocabulary,) in token order;
    an action that is cut away has probability 0 and no value (nan).

    Attributes:
        policy: Whose probabilities the tree holds.
        weights: Identity of the policy's weights when the tree was made.
        prompt: The prompt.
        objective: What V and Q are the value of.
        top_k: Actions followed in each state; 0 for all.
        levels: The states by the number of response tokens.
        ref_logprobs: Log-probs of the reference for the actions of each level, (N, K).
        rewards: Reward of each action, (N, K) a level.
        q: Q of each action, (N, K) a level.
        v: V of each state, (N,) a level.
        leaves: All responses, (L,) rows.
        scores: The scores of all responses.
    """

    policy: Policy
    weights: object  # the policy's weights that the tree speaks of
    prompt: str
    objective: Objective
    top_k: int  # 0: nothing is cut
    levels: tuple[Level, ...]
    ref_logprobs: tuple[Tensor, ...]  # (N, K) nats
    rewards: tuple[Tensor, ...]  # (N, K): what is paid for each action, without the KL
    q: tuple[Tensor, ...]  # (N, K)
    v: tuple[Tensor, ...]  # (N,)
    leaves: Sequences
    scores: Scores  # of the leaves

    def __repr__(self) -> str:
        """Return one line for the end of a notebook cell; the leaves alone would fill pages."""
        size = f"{self.states:,} states, {len(self.leaves):,} responses"
        return f"Tree({self.prompt!r}: {size}, {self.label} J {self.J:.4f})"

    @property
    def label(self) -> str:
        """Return what kind of truth this is."""
        return "exact" if self.top_k == 0 else f"exact under top-k {self.top_k}"

    @property
    def J(self) -> float:
        """Return what the policy can expect from the prompt on."""
        return float(self.v[0])

    @property
    def states(self) -> int:
        """Return the number of states in which a token is chosen."""
        return sum(len(level.actions) for level in self.levels)

    def V(self, prefix: Sequence[int]) -> float:
        """Return the value of the state after a prefix; 0 where the response is over.

        Args:
            prefix: Response token ids; () is the prompt alone.

        Returns:
            V(s), in the unit of the reward.
        """
        depth, row = self._find(prefix)
        return 0.0 if row is None else float(self.v[depth][row])

    def Q(self, prefix: Sequence[int]) -> Tensor:
        """Return the value of each action after a prefix, (vocabulary,).

        Args:
            prefix: Response token ids; () is the prompt alone.

        Returns:
            Q(s, a) of all actions in token order, (A,).
        """
        depth, row = self._state(prefix)
        return self._in_token_order(depth, row, self.q[depth][row], fill=float("nan"))

    def A(self, prefix: Sequence[int]) -> Tensor:
        """Return the advantage of each action after a prefix, Q - V, (vocabulary,).

        Args:
            prefix: Response token ids; () is the prompt alone.

        Returns:
            A(s, a) = Q(s, a) - V(s) of all actions in token order, (A,).
        """
        return self.Q(prefix) - self.V(prefix)

    def pi(self, prefix: Sequence[int]) -> Tensor:
        """Return the probability of each action after a prefix, (vocabulary,).

        Args:
            prefix: Response token ids; () is the prompt alone.

        Returns:
            pi(a|s) of all actions in token order, (A,).
        """
        depth, row = self._state(prefix)
        return self._in_token_order(depth, row, self.levels[depth].logprobs[row].exp(), fill=0.0)

    def estimate(self, prefix: Sequence[int]) -> Estimate:
        """Return the value of a state as an exact Estimate.

        Args:
            prefix: Response token ids; () is the prompt alone.

        Returns:
            V with kind exact, standard error 0 and the objective.
        """
        return Estimate(self.V(prefix), 0.0, len(self.leaves), "exact", self.objective)

    def gradient(self, *, job: Job = NO_JOB) -> Tensor:
        """Return the exact gradient of J, flat, in the policy's trainable parameters in their own order.

        Args:
            job: Stopping it raises Stopped.

        Returns:
            The gradient, one flat vector in the order of the trainable parameters.

        Raises:
            LabError: If the policy has learned since the tree was made.
        """
        if self.policy.weights is not self.weights:
            raise LabError("tree", self.prompt, "the policy has changed since this tree was made; make a new one")
        slopes = self.slopes()
        return policy_gradient(self.policy, self.prompt, self.levels, slopes, objective=self.objective, job=job)

    def slopes(self) -> list[Tensor]:
        """Return the derivative of J in the log-probs as the policy gradient has it: gamma^t Pr(s) pi(a|s) A(s,a)."""
        gamma = self.objective.gamma
        return [
            gamma**depth * (reach[:, None] + level.logprobs).exp() * (q - v[:, None])
            for depth, (level, reach, q, v) in enumerate(zip(self.levels, self.reach, self.q, self.v, strict=True))
        ]

    @cached_property
    def reach(self) -> list[Tensor]:
        """Return the log-prob of being in each state, (N,) for each level."""
        return reached(self.levels, [level.logprobs for level in self.levels])

    @cached_property
    def leaf_logprobs(self) -> Tensor:
        """Return the log-prob of each response, (L,)."""
        return sums_along(self.levels, [level.logprobs for level in self.levels])

    @cached_property
    def leaf_returns(self) -> Tensor:
        """Return what each response brings from the prompt on, KL and discount included, (L,)."""
        gamma = self.objective.gamma
        return sums_along(self.levels, [gamma**depth * edge for depth, edge in enumerate(self.paid)])

    @cached_property
    def paid(self) -> list[Tensor]:
        """Return reward minus the price of KL for each action, (N, K) for each level."""
        return paid_edges(self.levels, self.rewards, self.ref_logprobs, kl_coef=self.objective.kl_coef)

    def variance_by_token(self) -> Tensor:
        """Return gamma^2t E[A_t^2] for each token, (T,): they add up to the variance of the return."""
        gamma, shares = self.objective.gamma, []
        for depth, (level, reach, q, v) in enumerate(zip(self.levels, self.reach, self.q, self.v, strict=True)):
            surprise = (q - v[:, None]).square()
            shares.append(gamma ** (2 * depth) * ((reach[:, None] + level.logprobs).exp() * surprise).sum())
        return torch.stack(shares)

    def kl(self, other: Policy | Optimum, *, job: Job = NO_JOB) -> float:
        """Return KL(pi || other) over whole responses, in nats: that of each state, as often as it is reached.

        Args:
            other: Another policy with the same vocabulary, or an optimum of this tree.
            job: Stopping it raises Stopped.

        Returns:
            KL(pi || other) in nats a response.
        """
        theirs = other.logprobs if isinstance(other, Optimum) else self._logprobs_of(other, job)
        return sum(
            float((reach.exp()[:, None] * level.logprobs.exp() * (level.logprobs - level_values)).nansum())
            for reach, level, level_values in zip(self.reach, self.levels, theirs, strict=True)
        )

    def leaf_logprobs_of(self, other: Policy, *, job: Job = NO_JOB) -> Tensor:
        """Return another policy's log-prob of each response, (L,).

        Args:
            other: Another policy with the same vocabulary.
            job: Stopping it raises Stopped.

        Returns:
            Log-prob of each response in nats, (L,).
        """
        return sums_along(self.levels, self._logprobs_of(other, job))

    def optimum(self, beta: float | None = None) -> Optimum:
        """Return the best policy for reward minus beta KL; without a beta, that of the objective.

        Args:
            beta: Reward units per nat of KL; by default kl_coef of the objective.

        Returns:
            The best policy with its reward and KL.

        Raises:
            LabError: If beta is not positive.
        """
        chosen = self.objective.kl_coef if beta is None else beta
        if chosen == 0:
            raise LabError("beta", chosen, "without a price for KL no best policy has a spread; give a number above 0")
        check_number("beta", chosen, open_low=True)
        return soft_optimum(self.levels, self.rewards, self.ref_logprobs, beta=chosen, gamma=self.objective.gamma)

    def best_of(self, n: int) -> BestOf:
        """Return the distribution of the best of n responses by the score of the whole text.

        Args:
            n: Number of responses that are drawn; the one with the highest score is kept.

        Returns:
            The distribution of the response that is kept.
        """
        return best_of_law(self.leaf_logprobs, self.scores.total.double().cpu(), n=n)

    def _logprobs_of(self, other: Policy, job: Job) -> Sequence[Tensor]:
        """Return another policy's log-probs of the actions, (N, K) for each level."""
        check_vocabulary(other, self.policy)
        ids, temperature = self.policy.encode(self.prompt), self.objective.temperature
        return read(other, ids, self.levels, temperature=temperature, job=job)

    def _find(self, prefix: Sequence[int]) -> tuple[int, int | None]:
        """Return level and row of a prefix; the row is None where the response is over."""
        check_prefix(self.policy, prefix, horizon=len(self.levels))
        row = 0
        for depth, token in enumerate(prefix):
            column = (self.levels[depth].actions[row] == token).nonzero()[:, 0].tolist()
            if not column:
                cut = f"it leaves the tree at token {depth + 1}: only the {self.top_k} likeliest tokens are kept"
                raise LabError("prefix", tuple(prefix), cut)
            row = int(self.levels[depth].child[row, column[0]])
        return len(prefix), None if row < 0 else row

    def _state(self, prefix: Sequence[int]) -> tuple[int, int]:
        """Return level and row of a prefix behind which a token can still be chosen."""
        depth, row = self._find(prefix)
        if row is None:
            raise LabError("prefix", tuple(prefix), "the response is over there, so no action is left to value")
        return depth, row

    def _in_token_order(self, depth: int, row: int, values: Tensor, *, fill: float) -> Tensor:
        """Return the values (K,) of a state's actions at their token ids, (vocabulary,)."""
        whole = torch.full((self.policy.vocabulary,), fill, dtype=torch.float64)
        return whole.index_copy(0, self.levels[depth].actions[row], values)


# ---- A critic that knows: the exact V, in the place where a learned critic sits ----


class ExactCritic(NoParameters):
    """The exact V of the trees of some prompts, for the policy that the trees were made of.

    Args:
        trees: One tree for each prompt.
    """

    def __init__(self, trees: Sequence[Tree]) -> None:
        self.trees = {tree.prompt: tree for tree in trees}

    def state_values(self, sequences: Sequences) -> Tensor:
        """Return V at the states s_0..s_T, (B, T+1); 0 where a response is over.

        Args:
            sequences: Responses to prompts that have a tree.

        Returns:
            V in the unit of the reward, (B, T+1).

        Raises:
            LabError: If a prompt has no tree.
        """
        rows, width = sequences.response_mask.shape
        values = torch.zeros(rows, width + 1, dtype=torch.float64)
        for prompt in dict.fromkeys(sequences.prompts):
            if prompt not in self.trees:
                raise LabError.choice("prompt", prompt, self.trees, reason="there is no tree of it")
            chosen = torch.tensor([one == prompt for one in sequences.prompts])
            tokens, mask = sequences.response_tokens.cpu()[chosen], sequences.response_mask.cpu()[chosen]
            values[chosen] = values_along(self.trees[prompt], tokens, mask)
        return values.to(sequences.tokens.device)


def values_along(tree: Tree, tokens: Tensor, mask: Tensor) -> Tensor:
    """Return V before each token and after the last, (B, T+1), of responses (B, T) that lie in the tree."""
    values = torch.zeros(len(tokens), tokens.shape[1] + 1, dtype=torch.float64)
    rows = torch.zeros(len(tokens), dtype=torch.long)
    for depth, (level, worth) in enumerate(zip(tree.levels, tree.v, strict=True)):
        open_rows = rows >= 0
        values[open_rows, depth] = worth[rows[open_rows]]
        written = open_rows & mask[:, depth] if depth < tokens.shape[1] else torch.zeros_like(open_rows)
        if not bool(written.any()):
            break
        here = level.actions[rows[written]] == tokens[written, depth][:, None]
        if not bool(here.any(dim=1).all()):
            raise LabError(
                "response", tokens[written][~here.any(dim=1)][0].tolist(), f"it leaves the tree at token {depth + 1}"
            )
        following = torch.full_like(rows, -1)
        following[written] = level.child[rows[written], here.long().argmax(dim=1)]
        rows = following
    return values


# ---- One state of an exact tree, action by action: what Bellman's equation adds up there ----


@dataclass(frozen=True)
class Edge:
    """One action in one state with the terms of its value: Q = reward - price of KL + gamma V'."""

    token_id: int
    prob: float
    reward: float  # what is paid for it
    kl_cost: float  # kl_coef (log pi - log pi_ref), in reward units
    next_value: float  # gamma V of the state that it leads to; 0 where the response is over
    over: bool  # nothing follows it
    q: float


def edges(tree: Tree, prefix: Sequence[int]) -> list[Edge]:
    """Return the actions after a prefix, most likely first; their q averaged by prob is V of the prefix."""
    depth, row = tree._state(prefix)
    level = tree.levels[depth]
    rewards, paid, q = (one[depth][row].tolist() for one in (tree.rewards, tree.paid, tree.q))
    found = [
        Edge(token, prob, reward, reward - net, worth - net, child < 0, worth)
        for token, prob, reward, net, worth, child in zip(
            level.actions[row].tolist(),
            level.logprobs[row].exp().tolist(),
            rewards,
            paid,
            q,
            level.child[row].tolist(),
            strict=True,
        )
    ]
    return sorted(found, key=lambda edge: -edge.prob)
