"""The exact gradient of J in the policy's parameters, in pieces that fit into memory."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from rllab.core.errors import LabError
from rllab.policy.generation import Decoder
from rllab.policy.policy import Policy
from rllab.truth.levels import Level
from rllab.truth.reading import Cursor, kept_logprobs, sizes_below
from rllab.truth.walk import walk
from rllab.value.objective import Objective


def trainable(policy: Policy) -> list[nn.Parameter]:
    """Return the parameters that a gradient speaks of: all that are not frozen, in their own order."""
    parameters = [parameter for parameter in policy.model.parameters() if parameter.requires_grad]
    if not parameters:
        raise LabError("policy", type(policy.model).__name__, "all of its parameters are frozen; unfreeze some")
    return parameters


def flat(gradients: Sequence[Tensor | None], parameters: Sequence[nn.Parameter]) -> Tensor:
    """Lay gradients out as one vector; a parameter that had no part in the result has gradient 0."""
    pairs = zip(gradients, parameters, strict=True)
    return torch.cat([(torch.zeros_like(parameter) if one is None else one).flatten() for one, parameter in pairs])


def policy_gradient(
    policy: Policy,
    prompt: str,
    levels: Sequence[Level],
    slopes: Sequence[Tensor],
    *,
    objective: Objective,
    stop: threading.Event | None = None,
) -> Tensor:
    """Return sum over states and actions of slope times the gradient of log pi, flat."""
    parameters = trainable(policy)
    climb = _Climb(levels, slopes, parameters, temperature=objective.temperature)
    with torch.enable_grad(), policy.lock:
        decoder = Decoder(policy, [policy.encode(prompt)], gradient=True, stop=stop)
        walk(decoder, climb, below=sizes_below(levels), stop=stop)
    return climb.total


class _Climb:
    """Add up gradients over the pieces of a tree."""

    def __init__(
        self, levels: Sequence[Level], slopes: Sequence[Tensor], parameters: list[nn.Parameter], *, temperature: float
    ) -> None:
        self.total = torch.zeros(sum(parameter.numel() for parameter in parameters), dtype=parameters[0].dtype)
        self._cursor, self._slopes, self._temperature = Cursor(levels), slopes, temperature
        self._parameters, self._terms = parameters, [torch.zeros((), dtype=torch.float64)]

    def see(self, depth: int, logits: Tensor) -> tuple[Tensor, Tensor]:
        """Weigh the log-probs of a piece by their slopes."""
        rows = self._cursor.advance(depth, len(logits))
        level = self._cursor.levels[depth]
        logprobs = kept_logprobs(logits, level.actions[rows], temperature=self._temperature)
        self._terms.append((self._slopes[depth][rows] * logprobs).sum())
        return level.going_on(rows)

    def close(self) -> None:
        """Differentiate what was seen; the graph of what comes next hangs on it, so it is kept until all let go."""
        total = torch.stack(self._terms).sum()
        gradients = torch.autograd.grad(total, self._parameters, retain_graph=True, allow_unused=True)
        self.total += flat(gradients, self._parameters).cpu()
        self._terms = [torch.zeros((), dtype=torch.float64)]
