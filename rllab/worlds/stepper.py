"""The stepper writes one response token by token; the branch tree holds the lines that were written so."""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Sequence
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
    """One response that is written token by token.

    `state` is the state at the end of the line. `step()` samples a token, `step(token_id)` forces one. `back()`
    removes the last token; stepping again then writes the same token.

    Args:
        world: Its policy writes, its reference and its critic read along.
        seed: Seed of the random draws; the same one writes the same text again.
        temperature: Divides the logits.
        top_k: Sample from this many of the most likely tokens; 0 for all.
        top_p: Sample from the fewest tokens that reach this probability; 1 for all.

    Raises:
        LabError: If a setting is not allowed.
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
        """Choose how tokens are sampled from here on.

        Args:
            temperature: Divides the logits.
            top_k: Sample from this many of the most likely tokens; 0 for all.
            top_p: Sample from the fewest tokens that reach this probability; 1 for all.

        Raises:
            LabError: If a setting is not allowed.
        """
        check_sampling(temperature=temperature, max_new_tokens=1, samples_per_prompt=1)
        if not is_whole(top_k):
            raise LabError("top_k", top_k, "give a whole number of at least 1, or 0 for no limit")
        check_number("top_p", top_p, high=1.0, open_low=True)
        self.temperature, self.top_k, self.top_p = temperature, top_k, top_p

    def reset(self, prompt: str) -> None:
        """Start a new line; a prompt that cannot be read leaves the old line as it was.

        Args:
            prompt: The prompt.

        Raises:
            LabError: If the policy or the critic cannot read the prompt.
        """
        world = self.world
        ids = world.policy.encode(prompt)
        check_room(world.policy, [ids], max_new_tokens=1)
        if isinstance(world.critic, Critic):
            world.critic.check_knows(prompt, ids, vocabulary=world.policy.vocabulary)
        self.prompt, self.prompt_ids = prompt, tuple(ids)
        self.steps: list[Step] = []
        self._sampling: list[tuple[float, int, float]] = []
        self._weights = world.policy.weights
        self._decoder = Decoder(world.policy, [ids])
        # where reference and policy have the same weights, one reading serves both
        same = world.reference.weights is world.policy.weights
        self._ref_decoder = self._decoder if same else Decoder(world.reference, [ids])
        self._critic_decoder: Decoder | None = None  # other critics are evaluated afresh in each state
        if isinstance(world.critic, Critic):
            self._critic_decoder = Decoder(world.policy, [ids], network=partial(next_scalar, world.critic.model))
        self._seen = [self._look(torch.Generator().manual_seed(self.seed), ())]

    @property
    def version(self) -> int:
        """Return the policy's version when this line was begun."""
        return self._decoder.version

    @property
    def stale(self) -> bool:
        """Return whether the policy has changed since this line was begun."""
        return self._weights is not self.world.policy.weights

    @property
    def prefix_ids(self) -> tuple[int, ...]:
        """Return the response tokens so far."""
        return tuple(step.token_id for step in self.steps)

    @property
    def done(self) -> bool:
        """Return whether the line has ended or reached the limit."""
        ended = bool(self.steps) and self.steps[-1].is_end
        room = self.world.policy.context - len(self.prompt_ids)
        return ended or len(self.steps) >= min(self.world.max_new_tokens, room)

    @property
    def state(self) -> State:
        """Return the state at the end of the line."""
        return self.state_at(len(self.steps))

    def state_at(self, t: int) -> State:
        """Return the state after t tokens of the line.

        Args:
            t: Number of tokens.

        Returns:
            The state, under the sampling settings with which its token was drawn.

        Raises:
            LabError: If the line has no such state.
        """
        self._check_place(t)
        settings = [*self._sampling, self._settings][t]
        seen, temperature = self._seen[t], settings[0]
        distributions = _distributions(seen, *settings)
        probs, sampling, ref_probs = distributions
        size = len(probs)
        top = torch.topk(probs, size if size <= SHOW_ALL else SHOWN).indices
        others = [max(0.0, 1.0 - float(each[top].sum())) if size > SHOW_ALL else 0.0 for each in distributions]
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
        """Return the temperature with which the token after t tokens was drawn, or will be.

        Args:
            t: Number of tokens.

        Returns:
            The temperature.
        """
        return [*self._sampling, self._settings][t][0]

    def read_at(self, t: int) -> tuple[Tensor, Tensor, Decoder | None]:
        """Return what was read up to the state after t tokens.

        Args:
            t: Number of tokens.

        Returns:
            Unscaled logits of the policy, (A,), those of the reference, (A,), and the critic's decoder in that
            state; None where the critic is not a network.

        Raises:
            LabError: If the line has no such state, or the policy has changed since.
        """
        self._check_place(t)
        self._check_fresh()
        decoder = self._critic_decoder and self._critic_decoder.fork()
        if decoder is not None:
            decoder.crop(t, decoder.output)
        return self._seen[t].logits, self._seen[t].ref_logits, decoder

    def step(self, token_id: int | None = None) -> Step:
        """Write one token.

        Args:
            token_id: The token to force; None samples one.

        Returns:
            The token, with its log-probs and the state before it.

        Raises:
            LabError: If the line is over, the policy has changed since it was begun, or the id is unknown.
        """
        if self.done:
            ended = self.steps[-1].is_end
            remedy = "the line has ended" if ended else f"the limit of {len(self.steps)} tokens is reached"
            raise LabError("step", len(self.steps) + 1, f"{remedy}; go back or reset")
        self._check_fresh()
        policy = self.world.policy
        if token_id is not None and not is_whole(token_id, high=policy.vocabulary - 1):
            raise LabError("token id", token_id, f"this vocabulary has the ids 0 to {policy.vocabulary - 1}")
        state, seen = self.state, self._seen[-1]
        noise = seen.noise.clone_state()
        _, sampling, _ = _distributions(seen, *self._settings)
        drawn = int(sample(sampling, exponential_noise(sampling.shape, generator=noise, like=sampling)))
        chosen = drawn if token_id is None else token_id
        step = Step(
            state=state,
            token_id=chosen,
            token=policy.token_text(chosen),
            sampled=token_id is None,
            logprob=float(torch.log_softmax(seen.logits / self.temperature, dim=-1)[chosen]),
            ref_logprob=float(torch.log_softmax(seen.ref_logits / self.temperature, dim=-1)[chosen]),
            is_end=chosen == policy.eos_id,
        )
        self._advance(step, noise)
        return step

    def back(self) -> None:
        """Remove the last token.

        Raises:
            LabError: If no token has been written.
        """
        if not self.steps:
            raise LabError("back", 0, "this is the prompt alone; there is no token to remove")
        self._crop(len(self.steps) - 1)

    def branch(self, t: int, token_id: int) -> Stepper:
        """Return another line: the first t tokens of this one, then a token of your choice.

        Args:
            t: Number of tokens that the two have in common.
            token_id: The token to force next.

        Returns:
            The new line; this one stays as it is.

        Raises:
            LabError: If the line has no such state, or the token cannot follow there.
        """
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
        """Sample until the line ends, or the job is asked to end.

        Args:
            job: The running job.

        Returns:
            The tokens written.
        """
        written = []
        while not self.done and not job.stopped:
            written.append(self.step())
        return written

    def sequences(self) -> Sequences:
        """Return the line as one row, for rewards and critics.

        Raises:
            LabError: If no token has been written.
        """
        if not self.steps:
            raise LabError("line", self.prompt, "no token has been written yet; press Step first")
        sampled = [[step.sampled for step in self.steps]]
        return sequences_from_ids(self.world.policy, [self.prompt], [self.prefix_ids], sampled=sampled)

    def rollout(self) -> Rollout:
        """Return the line with log-probs and values, as training would see it.

        Raises:
            LabError: If no token has been written, or the temperature was changed on the way.
        """
        temperatures = {temperature for temperature, _, _ in self._sampling} or {self.temperature}
        if len(temperatures) > 1:
            shown = ", ".join(f"{temperature:g}" for temperature in sorted(temperatures))
            remedy = "this line mixes temperatures, so no one policy wrote it; reset and keep one"
            raise LabError("temperature", shown, remedy)
        world, (temperature,) = self.world, temperatures
        return evaluate(
            world.policy, self.sequences(), reference=world.reference, critic=world.critic, temperature=temperature
        )

    @property
    def _settings(self) -> tuple[float, int, float]:
        return self.temperature, self.top_k, self.top_p

    def _check_place(self, t: int) -> None:
        """Raise LabError unless the line has a state after t tokens."""
        if not is_whole(t, high=len(self.steps)):
            raise LabError("state", t, f"this line has the states 0 to {len(self.steps)}")

    def _check_fresh(self) -> None:
        """Raise LabError where two policies would write one line."""
        if self.stale:
            remedy = "the policy has learned since this line was begun; reset to write with the new one"
            raise LabError("line", "older than the policy", remedy)

    def _look(self, noise: torch.Generator, prefix: tuple[int, ...]) -> _Seen:
        """Return what decoders and critic say of the state that they have come to."""
        if self._critic_decoder is not None:
            value = float(self._critic_decoder.output[0])
        else:
            ids = prefix or (self.world.policy.eos_id,)  # a batch needs a column; the state after it is not looked at
            sequences = sequences_from_ids(self.world.policy, [self.prompt], [ids])
            with torch.no_grad(), self.world.policy.lock:
                value = float(self.world.critic.state_values(sequences)[0, len(prefix)])
        return _Seen(self._decoder.logits[0], self._ref_decoder.logits[0], value, noise)

    def _advance(self, step: Step, noise: torch.Generator) -> None:
        """Let the decoders read a new token."""
        column = torch.tensor([step.token_id], device=self.world.policy.device)
        for decoder in dict.fromkeys((self._decoder, self._ref_decoder, self._critic_decoder)):
            if decoder is not None:
                decoder.push(column)
        seen = self._look(noise, (*self.prefix_ids, step.token_id))
        self.steps.append(step)
        self._sampling.append(self._settings)
        self._seen.append(seen)

    def _crop(self, length: int) -> None:
        """Remove all tokens after the first `length`."""
        seen = self._seen[length]
        del self.steps[length:], self._sampling[length:], self._seen[length + 1 :]
        self._decoder.crop(length, seen.logits[None])
        if self._ref_decoder is not self._decoder:
            self._ref_decoder.crop(length, seen.ref_logits[None])
        if self._critic_decoder is not None:
            self._critic_decoder.crop(length, torch.tensor([seen.value], dtype=torch.float64))


def _distributions(seen: _Seen, temperature: float, top_k: int, top_p: float) -> tuple[Tensor, Tensor, Tensor]:
    """Return pi, pi after the filters, and the reference's pi at one state, (A,) each."""
    probs = torch.softmax(seen.logits / temperature, dim=-1)
    ref_probs = torch.softmax(seen.ref_logits / temperature, dim=-1)
    return probs, filtered(probs, top_k=top_k, top_p=top_p), ref_probs


# ---- The tree of lines that a learner wrote: each branch knows the line that it left, and where ----

MOST = 12  # lines: more cannot be told apart


@dataclass(frozen=True, eq=False)
class Branch:
    """One line of the tree; lines share memory up to the state where they part.

    Args:
        number: 0 for the first line; it stays the same as long as the line is there.
        parent: Number of the line that it left; None for the first.
        at: State t of the parent at which it left.
        stepper: The line itself.
    """

    number: int
    parent: int | None
    at: int
    stepper: Stepper


@dataclass(frozen=True, eq=False)
class BranchRow:
    """The part of one line that is its own; a tree's rows are drawn from top to bottom.

    Args:
        number: Number of the line.
        above: Place of the row that it leaves; None for the first.
        at: How many tokens the two have in common.
        steps: The tokens after those.
    """

    number: int
    above: int | None
    at: int
    steps: tuple[Step, ...]


class BranchTree:
    """All lines written from one prompt, and the one that the learner is on.

    Args:
        stepper: The first line.
    """

    def __init__(self, stepper: Stepper) -> None:
        self.branches = [Branch(0, None, 0, stepper)]
        self.here = 0

    def __len__(self) -> int:
        """Return how many lines there are."""
        return len(self.branches)

    @property
    def stepper(self) -> Stepper:
        """Return the line that the learner is on."""
        return self._named(self.here).stepper

    def branch(self, t: int, token_id: int) -> Stepper:
        """Leave the current line in state t by a token, and go to the new line.

        Where the line itself, or one that left it there, continues with that token, go to that one instead of
        writing the same text again. Beyond `MOST` lines, the oldest line that no other has left is dropped.

        Args:
            t: State of the current line.
            token_id: The token to write there.

        Returns:
            The line that continues with the token.
        """
        known = self._follower(t, token_id)
        if known is None:
            stepper = self.stepper.branch(t, token_id)
            known = self.branches[-1].number + 1
            self.branches.append(Branch(known, self.here, t, stepper))
        stepper = self.go_to(known)
        if len(self.branches) > MOST:
            self._forget()
        return stepper

    def go_to(self, number: int) -> Stepper:
        """Go to a line.

        Args:
            number: Number of the line.

        Returns:
            The line.

        Raises:
            LabError: If there is no such line.
        """
        stepper = self._named(number).stepper
        self.here = number
        return stepper

    def children(self, number: int) -> list[Branch]:
        """Return the lines that left a line, in the order in which they were written.

        Args:
            number: Number of the line that they left.

        Returns:
            The lines.
        """
        return [branch for branch in self.branches if branch.parent == number]

    def text(self, number: int) -> str:
        """Return how a line reads.

        Args:
            number: Number of the line.

        Returns:
            Its response as text.
        """
        stepper = self._named(number).stepper
        return stepper.world.policy.decode(stepper.prefix_ids)

    def rows(self) -> list[BranchRow]:
        """Return the lines as rows of a tree: what two lines have in common belongs to the first of them.

        The rows come from the texts as they are now, because a line may have gone back since another one left it.
        Lines that leave later are drawn nearer, so that no line crosses another.
        """
        texts = [branch.stepper.prefix_ids for branch in self.branches]
        left: list[tuple[int, int]] = []  # of each line: where it parts from which one before it
        for place, text in enumerate(texts):
            pairs = [zip(text, other, strict=False) for other in texts[:place]]
            shared = [len(list(itertools.takewhile(lambda pair: pair[0] == pair[1], both))) for both in pairs]
            left.append(max(((at, -other) for other, at in enumerate(shared)), default=(0, 1)))
        order = _from_above(left)
        return [
            BranchRow(
                self.branches[place].number,
                order.index(-left[place][1]) if place else None,
                left[place][0],
                tuple(self.branches[place].stepper.steps[left[place][0] :]),
            )
            for place in order
        ]

    def _named(self, number: int) -> Branch:
        """Return the line of that number."""
        for branch in self.branches:
            if branch.number == number:
                return branch
        raise LabError.choice("line", number, [branch.number for branch in self.branches])

    def _forget(self) -> None:
        """Drop the oldest line that no other one has left and that the learner is not on."""
        parents = {branch.parent for branch in self.branches} | {self.here}
        self.branches.remove(next(branch for branch in self.branches if branch.number not in parents))

    def _follower(self, t: int, token_id: int) -> int | None:
        """Return the line that shares the current line's first t tokens and writes `token_id` next."""
        wanted = (*self.stepper.prefix_ids[:t], token_id)
        for branch in (self._named(self.here), *self.branches):
            if branch.stepper.prefix_ids[: t + 1] == wanted and not branch.stepper.stale:
                return branch.number
        return None


def _from_above(left: Sequence[tuple[int, int]], root: int = 0) -> list[int]:
    """Return the places of a line and of all below it, those that leave it last first."""
    below = [place for place in range(1, len(left)) if -left[place][1] == root]
    below.sort(key=lambda place: -left[place][0])
    return [root, *(row for place in below for row in _from_above(left, place))]
