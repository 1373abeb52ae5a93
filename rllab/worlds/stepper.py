"""The stepper: write one response token by token, look at every state, go back, branch off."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from rllab.core.config import check_number, is_whole
from rllab.core.errors import LabError
from rllab.core.jobs import NO_JOB, Job
from rllab.core.records import Rollout, Sequences, State, Step
from rllab.maths.divergence import entropy, exponential_noise, filtered, sample
from rllab.policy.generation import Decoder, check_room, check_sampling, sequences_from_ids
from rllab.policy.networks import next_scalar
from rllab.value.critic import Critic
from rllab.value.evaluation import evaluate
from rllab.worlds.world import World, as_world

SHOW_ALL = 512  # vocabularies up to this size are shown whole
SHOWN = 50


@dataclass(frozen=True, eq=False)
class _Seen:
    """What was computed at one state: kept, so that going back costs nothing."""

    logits: Tensor  # (A,) of the policy, unscaled
    ref_logits: Tensor  # (A,)
    value: float  # of the critic as it was then
    noise: torch.Generator  # its state before the token was drawn: the same step again draws the same token


class Stepper:
    """One line of text being written in a world.

    `state` is where the line ends now. `step()` samples a token, `step(token_id)` forces one. `back()` takes
    the last token away; stepping again then writes the same token.
    """

    def __init__(
        self, world: World, *, seed: int = 0, temperature: float = 1.0, top_k: int = 0, top_p: float = 1.0
    ) -> None:
        if not is_whole(seed, low=-math.inf):
            raise LabError("seed", seed, "give a whole number; the same one writes the same again")
        self.world = as_world(world)
        self.seed = seed
        self.set_sampling(temperature=temperature, top_k=top_k, top_p=top_p)
        self.reset(world.prompts[0])

    def set_sampling(self, *, temperature: float = 1.0, top_k: int = 0, top_p: float = 1.0) -> None:
        """Choose how tokens are drawn from here on."""
        check_sampling(temperature=temperature, max_new_tokens=1, samples_per_prompt=1)
        if not is_whole(top_k):
            raise LabError("top_k", top_k, "give a whole number of at least 1, or 0 for no limit")
        check_number("top_p", top_p, high=1.0, open_low=True)
        self.temperature, self.top_k, self.top_p = temperature, top_k, top_p

    def reset(self, prompt: str) -> None:
        """Start a new line; a prompt that cannot be read leaves the old line as it was."""
        ids = self.world.policy.encode(prompt)
        check_room(self.world.policy, [ids], max_new_tokens=1)
        if isinstance(self.world.critic, Critic):
            self.world.critic.check_knows(prompt, ids, vocabulary=self.world.policy.vocabulary)
        self.prompt, self.prompt_ids = prompt, tuple(ids)
        self.steps: list[Step] = []
        self._sampling: list[tuple[float, int, float]] = []
        self._weights = self.world.policy.weights
        self._decoder = Decoder(self.world.policy, [ids])
        self._ref_decoder = self._reference_decoder()
        self._critic_decoder = self._value_decoder()
        self._seen = [self._look(torch.Generator().manual_seed(self.seed), ())]

    @property
    def version(self) -> int:
        """Return the policy's version when this line was begun."""
        return self._decoder.version

    @property
    def stale(self) -> bool:
        """Tell whether the policy has changed since this line was begun."""
        return self._weights is not self.world.policy.weights

    @property
    def prefix_ids(self) -> tuple[int, ...]:
        """Return the response tokens so far."""
        return tuple(step.token_id for step in self.steps)

    @property
    def done(self) -> bool:
        """Tell whether the line has ended or reached the limit."""
        ended = bool(self.steps) and self.steps[-1].is_end
        room = self.world.policy.context - len(self.prompt_ids)
        return ended or len(self.steps) >= min(self.world.max_new_tokens, room)

    @property
    def state(self) -> State:
        """Return the state at the end of the line."""
        return self.state_at(len(self.steps))

    def state_at(self, t: int) -> State:
        """Return the state after t tokens of the line."""
        self._check_place(t)
        settings = [*self._sampling, self._settings][t]
        seen, temperature = self._seen[t], settings[0]
        probs, sampling, ref_probs = _distributions(seen, *settings)
        size = len(probs)
        top = torch.topk(probs, size if size <= SHOW_ALL else SHOWN).indices
        others = [
            max(0.0, 1.0 - float(distribution[top].sum())) if size > SHOW_ALL else 0.0
            for distribution in (probs, sampling, ref_probs)
        ]
        return State(
            t=t,
            prefix_ids=self.prefix_ids[:t],
            value=seen.value,
            entropy=float(entropy(seen.logits / temperature)),
            candidate_ids=tuple(top.tolist()),
            probs=probs[top],
            sampling_probs=sampling[top],
            ref_probs=ref_probs[top],
            other_prob=others[0],
            other_sampling_prob=others[1],
            other_ref_prob=others[2],
            done=self.done and t == len(self.steps),
        )

    def temperature_at(self, t: int) -> float:
        """Return the temperature of the state after t tokens: the one that its token was drawn with."""
        return [*self._sampling, self._settings][t][0]

    def read_at(self, t: int) -> tuple[Tensor, Tensor, Decoder | None]:
        """Return the logits (A,) of policy and reference after t tokens, and the critic's decoder in that state."""
        self._check_place(t)
        self._check_fresh()
        decoder = self._critic_decoder and self._critic_decoder.fork()
        if decoder is not None:
            decoder.crop(t, decoder.output)
        return self._seen[t].logits, self._seen[t].ref_logits, decoder

    def step(self, token_id: int | None = None) -> Step:
        """Write one token: sampled, or the one that is given."""
        self._check_open()
        state, seen = self.state, self._seen[-1]
        noise = seen.noise.clone_state()
        _, sampling, _ = _distributions(seen, *self._settings)
        drawn = int(sample(sampling, exponential_noise(sampling.shape, generator=noise, like=sampling)))
        chosen = drawn if token_id is None else self._known(token_id)
        step = Step(
            state=state,
            token_id=chosen,
            token=self.world.policy.token_text(chosen),
            sampled=token_id is None,
            logprob=float(torch.log_softmax(seen.logits / self.temperature, dim=-1)[chosen]),
            ref_logprob=float(torch.log_softmax(seen.ref_logits / self.temperature, dim=-1)[chosen]),
            is_end=chosen == self.world.policy.eos_id,
        )
        self._advance(step, noise)
        return step

    def back(self) -> None:
        """Take the last token away."""
        if not self.steps:
            raise LabError("back", 0, "this is the prompt alone; there is nothing to take away")
        self._crop(len(self.steps) - 1)

    def branch(self, t: int, token_id: int) -> Stepper:
        """Return another line: the first t tokens of this one, then a token of the learner's choice."""
        self._check_place(t)
        twin = copy.copy(self)
        twin.steps, twin._seen, twin._sampling = list(self.steps), list(self._seen), list(self._sampling)
        twin._decoder = self._decoder.fork()
        twin._ref_decoder = twin._decoder if self._ref_decoder is self._decoder else self._ref_decoder.fork()
        twin._critic_decoder = self._critic_decoder and self._critic_decoder.fork()
        if t < len(self.steps):
            twin._crop(t)
        twin.step(token_id)
        return twin

    def finish(self, job: Job = NO_JOB) -> list[Step]:
        """Sample until the line ends, and return the tokens written."""
        written = []
        while not self.done and not job.stopped:
            written.append(self.step())
        return written

    def sequences(self) -> Sequences:
        """Return the line as one row, for rewards and critics."""
        self._need_tokens()
        sampled = [[step.sampled for step in self.steps]]
        return sequences_from_ids(self.world.policy, [self.prompt], [self.prefix_ids], sampled=sampled)

    def rollout(self) -> Rollout:
        """Return the line with log-probs and values, as training would see it."""
        temperatures = {temperature for temperature, _, _ in self._sampling} or {self.temperature}
        if len(temperatures) > 1:
            shown = ", ".join(f"{one:g}" for one in sorted(temperatures))
            raise LabError(
                "temperature", shown, "this line mixes temperatures, so no one policy wrote it; reset and keep one"
            )
        world, (temperature,) = self.world, temperatures
        return evaluate(
            world.policy, self.sequences(), reference=world.reference, critic=world.critic, temperature=temperature
        )

    @property
    def _settings(self) -> tuple[float, int, float]:
        return self.temperature, self.top_k, self.top_p

    def _check_place(self, t: int) -> None:
        if not is_whole(t, high=len(self.steps)):
            raise LabError("state", t, f"this line has the states 0 to {len(self.steps)}")

    def _check_open(self) -> None:
        """Refuse to write on where nothing can follow, or where two policies would write one line."""
        if self.done:
            ended = self.steps[-1].is_end
            remedy = "the line has ended" if ended else f"the limit of {len(self.steps)} tokens is reached"
            raise LabError("step", len(self.steps) + 1, f"{remedy}; go back or reset")
        self._check_fresh()

    def _check_fresh(self) -> None:
        if self.stale:
            remedy = "the policy has learned since this line was begun; reset to write with the new one"
            raise LabError("line", "older than the policy", remedy)

    def _need_tokens(self) -> None:
        if not self.steps:
            raise LabError("line", self.prompt, "no token has been written yet; press Step first")

    def _reference_decoder(self) -> Decoder:
        """Read along with the reference; where it has the same weights, one reading serves both."""
        if self.world.reference.weights is self.world.policy.weights:
            return self._decoder
        return Decoder(self.world.reference, [self.prompt_ids])

    def _value_decoder(self) -> Decoder | None:
        """Read along with a critic that is a network; others are asked about each state afresh."""
        critic = self.world.critic
        if not isinstance(critic, Critic):
            return None
        return Decoder(self.world.policy, [self.prompt_ids], network=partial(next_scalar, critic.model))

    def _decoders(self) -> list[Decoder]:
        """Return all that read along, each once."""
        decoders = dict.fromkeys((self._decoder, self._ref_decoder, self._critic_decoder))
        return [decoder for decoder in decoders if decoder is not None]

    def _look(self, noise: torch.Generator, prefix: tuple[int, ...]) -> _Seen:
        """Keep what decoders and critic say of the state that they have come to."""
        return _Seen(self._decoder.logits[0], self._ref_decoder.logits[0], self._value(prefix), noise)

    def _advance(self, step: Step, noise: torch.Generator) -> None:
        """Let the decoders read a new token."""
        column = torch.tensor([step.token_id], device=self.world.policy.device)
        for decoder in self._decoders():
            decoder.push(column)
        seen = self._look(noise, (*self.prefix_ids, step.token_id))
        self.steps.append(step)
        self._sampling.append(self._settings)
        self._seen.append(seen)

    def _crop(self, length: int) -> None:
        """Take all tokens after the first `length` away."""
        seen = self._seen[length]
        del self.steps[length:], self._sampling[length:], self._seen[length + 1 :]
        self._decoder.crop(length, seen.logits[None])
        if self._ref_decoder is not self._decoder:
            self._ref_decoder.crop(length, seen.ref_logits[None])
        if self._critic_decoder is not None:
            self._critic_decoder.crop(length, torch.tensor([seen.value], dtype=torch.float64))

    def _value(self, prefix: tuple[int, ...]) -> float:
        """Return the critic's V of a state of this prompt."""
        if self._critic_decoder is not None:
            return float(self._critic_decoder.output[0])
        ids = prefix or (self.world.policy.eos_id,)  # a batch needs a column; the state after it is not looked at
        sequences = sequences_from_ids(self.world.policy, [self.prompt], [ids])
        with torch.no_grad(), self.world.policy.lock:
            return float(self.world.critic.state_values(sequences)[0, len(prefix)])

    def _known(self, token_id: int) -> int:
        if not is_whole(token_id, high=self.world.policy.vocabulary - 1):
            raise LabError("token id", token_id, f"this vocabulary has the ids 0 to {self.world.policy.vocabulary - 1}")
        return token_id


def _distributions(seen: _Seen, temperature: float, top_k: int, top_p: float) -> tuple[Tensor, Tensor, Tensor]:
    """Return pi, pi after the filters, and the reference's pi at one state, (A,) each."""
    probs = torch.softmax(seen.logits / temperature, dim=-1)
    ref_probs = torch.softmax(seen.ref_logits / temperature, dim=-1)
    return probs, filtered(probs, top_k=top_k, top_p=top_p), ref_probs
