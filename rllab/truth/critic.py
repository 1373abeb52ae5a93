"""A critic that knows: the exact V, in the place where a learned critic sits."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from rllab.core.errors import LabError
from rllab.core.records import Sequences
from rllab.truth.tree import Tree
from rllab.value.critic import Unlearned


class ExactCritic(Unlearned):
    """V of the trees of some prompts; it speaks of the policy that the trees were made of."""

    def __init__(self, trees: Sequence[Tree]) -> None:
        self.trees = {tree.prompt: tree for tree in trees}

    def state_values(self, sequences: Sequences) -> Tensor:
        """Return V at the states s_0..s_T, (B, T+1); 0 where a response is over."""
        rows, width = sequences.response_mask.shape
        values = torch.zeros(rows, width + 1, dtype=torch.float64)
        for prompt in dict.fromkeys(sequences.prompts):
            if prompt not in self.trees:
                raise LabError("prompt", prompt, f"there are trees of {', '.join(self.trees)} alone")
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
