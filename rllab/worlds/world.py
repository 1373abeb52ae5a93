"""A world: everything that a run needs, in one frozen record."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from rllab.core.config import Config
from rllab.core.errors import LabError
from rllab.maths.algorithms import get_algorithm
from rllab.policy.policy import Policy
from rllab.reward.reward import Reward
from rllab.value.critic import ValueFunction
from rllab.value.objective import Objective


@dataclass(frozen=True, eq=False)
class World:
    """Policy, reference, critic, reward, judge and prompts that belong together.

    Args:
        name: The world's name.
        policy: The policy π that acts and learns.
        reference: The frozen policy π_ref from which KL is measured.
        critic: Estimates V; a ZeroCritic where there is none.
        reward: The proxy that training sees.
        gold: What we really want, as a reward that is logged and never trained on; None where unknown.
        prompts: The prompts that runs draw from.
        max_new_tokens: Longest response, in tokens.
        objective: What values and truth refer to unless another objective is given.
        defaults: Settings by algorithm; "all" for every algorithm.
        about: One sentence on the world.
        rewarded_anew: Whether the reward is not the one that the world was made with.
    """

    name: str
    policy: Policy
    reference: Policy
    critic: ValueFunction
    reward: Reward
    gold: Reward | None
    prompts: tuple[str, ...]
    max_new_tokens: int
    objective: Objective
    defaults: Mapping[str, Mapping[str, Any]]
    about: str
    rewarded_anew: bool = False

    @classmethod
    def starting_from(
        cls,
        policy: Policy,
        *,
        name: str,
        critic: ValueFunction,
        reward: Reward,
        gold: Reward | None,
        prompts: Sequence[str],
        max_new_tokens: int,
        defaults: Mapping[str, Mapping[str, Any]],
        about: str,
    ) -> World:
        """Return a world whose reference is the policy as it is now, with PPO's objective.

        Args:
            policy: The policy.
            name: The world's name.
            critic: Estimates V.
            reward: The proxy that training sees.
            gold: What we really want, or None.
            prompts: The prompts that runs draw from.
            max_new_tokens: Longest response, in tokens.
            defaults: Settings by algorithm; "all" for every algorithm.
            about: One sentence on the world.

        Returns:
            The world.
        """
        reference = policy.copy()
        reference.model.requires_grad_(requires_grad=False)
        settings = Config().replace(**{"max_new_tokens": max_new_tokens, **defaults["all"]})
        objective = Objective.of(settings, reward=reward, reference=reference)
        return cls(
            name, policy, reference, critic, reward, gold, tuple(prompts), max_new_tokens, objective, defaults, about
        )

    def replace(self, **parts: Any) -> World:
        """Return a world with some parts exchanged; the objective follows a new reward or reference.

        Args:
            parts: New parts by their names.

        Returns:
            The changed world; this one stays as it is.

        Raises:
            LabError: If a world has no such part.
        """
        known = [field.name for field in fields(self)]
        for name in parts:
            if name not in known:
                raise LabError.choice("part of a world", name, known)
        if "objective" not in parts and {"reward", "reference"} & set(parts):
            reward, reference = parts.get("reward", self.reward), parts.get("reference", self.reference)
            parts["objective"] = dataclasses.replace(self.objective, reward=reward, reference=reference)
        anew = self.rewarded_anew or "reward" in parts
        return dataclasses.replace(self, **{"rewarded_anew": anew, **parts})

    @property
    def title(self) -> str:
        """Return the name for the screen: a world with another reward does not pass for the original."""
        return f"{self.name} with \u201c{self.reward.name}\u201d" if self.rewarded_anew else self.name

    def config(self, algorithm: str = "ppo", **changes: Any) -> Config:
        """Return this world's settings for an algorithm.

        Args:
            algorithm: reinforce, a2c, ppo, rloo or grpo.
            changes: Settings that differ from the world's defaults.

        Returns:
            The settings.

        Raises:
            LabError: If the algorithm or a setting is unknown, or the algorithm does not read the setting.
        """
        chosen = get_algorithm(algorithm)
        common = {name: value for name, value in self.defaults["all"].items() if name in chosen.fields}
        own = self.defaults.get(algorithm, {})
        settings = {"max_new_tokens": self.max_new_tokens, **common, **chosen.defaults, **own}
        base = Config().replace(**settings)
        config = base.replace(**changes)
        chosen.check(config, base)
        return config

    def describe(self) -> str:
        """Return a few lines on what this world is made of."""
        model = self.policy.model
        size = sum(parameter.numel() for parameter in model.parameters())
        lines: Sequence[str] = (
            f"{self.name}: {self.about}",
            f"policy: {type(model).__name__}, {size:,} parameters, {self.policy.vocabulary:,} tokens to choose from",
            f"reward: {self.reward.name}; gold: {'none' if self.gold is None else self.gold.name}",
            f"objective: {self.objective.describe()}",
            f"{len(self.prompts)} prompts, such as {self.prompts[0]!r}; at most {self.max_new_tokens} tokens to answer",
        )
        return "\n".join(lines)


def as_world(given: object) -> World:
    """Return the argument if it is a world.

    Args:
        given: Anything.

    Returns:
        The world.

    Raises:
        LabError: If it is something else, such as the name of a world.
    """
    if not isinstance(given, World):
        raise LabError("world", given, "give a world, as load_world returns it")
    return given
