"""Writing text as a Markov decision process in gymnasium's form: states are texts, actions are tokens."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import torch
from numpy.typing import NDArray

from rllab.core.errors import LabError
from rllab.maths.divergence import exponential_noise, sample
from rllab.policy.generation import Decoder
from rllab.worlds import load_world
from rllab.worlds.responses import horizon_of, open_ended
from rllab.worlds.world import World, as_world

NAME = "rllab/Token-v0"
NOTHING = -1  # what an observation holds where there is no token
Observation = NDArray[np.int64]


class TokenEnv(gymnasium.Env[Observation, np.int64]):
    """The token MDP of a world: reset chooses a prompt, step appends a token, the end token terminates.

    An episode that reaches the length limit is truncated. The reward of a step is what the world's objective
    pays for the token. The KL penalty is not part of it: it depends on who acts, so `info` has both log-probs (in
    nats), and the score of the text so far. The observation is prompt and response, as in `Sequences`, with -1
    where there is no token; `render` returns it as text.

    Args:
        world: A world, or its name.
        render_mode: `ansi` or None.
    """

    metadata: dict[str, Any] = {"render_modes": ["ansi"], "render_fps": 4}  # noqa: RUF012  (gymnasium's own annotation)
    prompt: str
    response: tuple[int, ...]
    horizon: int  # tokens
    _over: bool
    _decoders: list[Decoder]  # of the policy and of the reference

    def __init__(self, world: World | str = "micro", *, render_mode: str | None = None) -> None:
        self.world = load_world(world) if isinstance(world, str) else as_world(world)
        self.render_mode = render_mode
        policy = self.world.policy
        self._prompts = {prompt: policy.encode(prompt) for prompt in self.world.prompts}
        self.prompt_width = max(map(len, self._prompts.values()))
        limits = [horizon_of(self.world, ids) for ids in self._prompts.values()]
        width = self.prompt_width + max(limits)
        self.observation_space = gymnasium.spaces.Box(NOTHING, policy.vocabulary - 1, (width,), np.int64)
        self.action_space = gymnasium.spaces.Discrete(policy.vocabulary)
        self._begin(self.world.prompts[0])

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Start an episode.

        Args:
            seed: Seed of the choice of prompts.
            options: `{"prompt": ...}` chooses one of the world's prompts; else one is drawn at random.

        Returns:
            The first observation, and the prompt with the empty text.

        Raises:
            LabError: If the world does not have the prompt.
        """
        super().reset(seed=seed)
        if unknown := sorted(set(options or {}) - {"prompt"}):
            raise LabError.choice("option", unknown[0], ("prompt",))
        asked = (options or {}).get("prompt")
        if asked is not None and asked not in self._prompts:
            raise LabError.choice("prompt", asked, self._prompts)
        by_chance = self.world.prompts[int(self.np_random.integers(len(self.world.prompts)))]
        self._begin(by_chance if asked is None else asked)
        return self._observation(), {"prompt": self.prompt, "text": ""}

    def step(self, action: np.int64 | int) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Append one token.

        Args:
            action: Its id.

        Returns:
            Observation, reward, whether the response ended, whether it was cut, and token, text, log-probs (nats)
            and prefix score.

        Raises:
            LabError: If the id is unknown, or the episode is over.
        """
        policy = self.world.policy
        if not self.action_space.contains(action):
            raise LabError("action", action, f"this vocabulary has the ids 0 to {policy.vocabulary - 1}")
        token = int(action)
        if self._over:
            raise LabError("step", token, "the episode is over; reset first")
        logprob, ref_logprob = (self._logprob(decoder, token) for decoder in self._decoders)
        self.response = (*self.response, token)
        terminated, truncated = token == policy.eos_id, token != policy.eos_id and len(self.response) >= self.horizon
        self._over = terminated or truncated
        if not self._over:
            for decoder in dict.fromkeys(self._decoders):
                decoder.push(torch.tensor([token], device=policy.device))
        reward, score = self._paid()
        info: dict[str, Any] = {"prompt": self.prompt, "text": policy.decode(self.response)}
        info |= {"token": policy.token_text(token), "logprob": logprob, "ref_logprob": ref_logprob}
        return self._observation(), reward, terminated, truncated, info | {"prefix_score": score}

    def render(self) -> str:
        """Return prompt and text so far."""
        return f"{self.prompt} | {self.world.policy.decode(self.response)}"

    def _begin(self, prompt: str) -> None:
        """Go to the state of a prompt alone."""
        self.prompt, self.response = prompt, ()
        self._over = False
        ids = self._prompts[prompt]
        self.horizon = horizon_of(self.world, ids)
        policy, reference = self.world.policy, self.world.objective.reference
        own = Decoder(policy, [ids])
        self._decoders = [own, own if reference.weights is policy.weights else Decoder(reference, [ids])]

    def _observation(self) -> Observation:
        """Return prompt and response; the prompt ends where the response begins."""
        seen = np.full(self.observation_space.shape or (), NOTHING, dtype=np.int64)
        ids = self._prompts[self.prompt]
        seen[self.prompt_width - len(ids) : self.prompt_width] = ids
        seen[self.prompt_width : self.prompt_width + len(self.response)] = self.response
        return seen

    def _logprob(self, decoder: Decoder, token: int) -> float:
        """Return the log-prob of a token in the current state, in nats."""
        temperature = self.world.objective.temperature
        return float(torch.log_softmax(decoder.logits[0] / temperature, dim=-1)[token])

    def _paid(self) -> tuple[float, float]:
        """Return what is paid for the last token, and the score of the text up to it."""
        objective, place = self.world.objective, len(self.response) - 1
        rows = open_ended(self.world.policy, self.prompt, [self.response], horizon=self.horizon)
        scores = objective.reward.prefix_scores(rows)
        return float(objective.score(rows).per_token[0, place]), float(scores[0, place])


class Writer:
    """The language model as an agent: it samples the next token from its own distribution.

    Args:
        env: The environment; the policy of its world acts.
        seed: Seed of the random draws.
    """

    def __init__(self, env: TokenEnv, *, seed: int = 0) -> None:
        self._policy, self._temperature = env.world.policy, env.world.objective.temperature
        self._chance = torch.Generator().manual_seed(seed)

    def act(self, observation: Observation) -> int:
        """Sample the token that follows the text so far.

        Args:
            observation: Prompt and response.

        Returns:
            The token's id.
        """
        ids = [int(token) for token in observation if token != NOTHING]
        probs = torch.softmax(Decoder(self._policy, [ids]).logits[0] / self._temperature, dim=-1)
        return int(sample(probs, exponential_noise(probs.shape, generator=self._chance, like=probs)))

    def learn(self, *_: object) -> None:
        """Learn nothing: `Trainer` is where a policy learns.

        Args:
            _: What other agents learn from.
        """


gymnasium.register(NAME, entry_point=f"{__name__}:{TokenEnv.__name__}")
