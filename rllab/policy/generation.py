"""Writing text token by token: the cached decoder, sampling column by column, and the batch call over both."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from rllab.core.config import check_count, check_number
from rllab.core.errors import LabError
from rllab.core.jobs import NO_JOB, Job
from rllab.core.records import Sequences
from rllab.maths.divergence import exponential_noise, sample
from rllab.maths.masking import until_end
from rllab.policy.networks import next_logits

if TYPE_CHECKING:
    from transformers import DynamicCache

    from rllab.policy.policy import Policy

Network = Callable[[Tensor, Tensor, "DynamicCache"], Tensor]  # columns (B, L), mask so far, cache -> (B, ...)

PASS_WORK = 15 * 10**9  # parameters x tokens of one pass over prompts: about half a second on one core


class Decoder:
    """A network that reads rows of tokens one column at a time, with its key-value cache.

    `logits` (B, A) are those of the next token, unscaled; of a one-label network, `output` (B,) is its number.
    Columns can be taken back, because the cache can be cut to any earlier length. Rows can be dropped or doubled,
    so that what they share is read once.

    Args:
        policy: Its model reads, on its device, under its lock.
        prompts: Token ids of each prompt; they are padded on the left to one width.
        network: What reads instead of the policy's model: columns (B, L), mask so far and cache -> (B, ...).
        gradient: Whether gradients are kept.
        job: The running job; a stop takes effect between two parts of long prompts.

    Raises:
        Stopped: If the job was asked to end.
    """

    def __init__(
        self,
        policy: Policy,
        prompts: Sequence[Sequence[int]],
        *,
        network: Network | None = None,
        gradient: bool = False,
        job: Job = NO_JOB,
    ) -> None:
        from transformers import DynamicCache

        self.policy = policy
        self.version = policy.version
        self.prompt_width = max(len(prompt) for prompt in prompts)
        self.tokens, mask = pad_left(prompts, width=self.prompt_width, pad=policy.pad_id)
        self.tokens, self.attention_mask = self.tokens.to(policy.device), mask.to(policy.device)
        self._network = partial(next_logits, policy.model) if network is None else network
        self._gradient = gradient
        self._cache = DynamicCache()
        columns = max(1, PASS_WORK // (policy.model.num_parameters() * len(prompts)))  # so that Stop need not wait
        for start in range(0, self.prompt_width, columns):
            job.check()
            end = min(start + columns, self.prompt_width)
            self._read(self.tokens[:, start:end], self.attention_mask[:, :end])
        self.length = 0  # response tokens read

    @property
    def logits(self) -> Tensor:
        """Return the unscaled logits of the next token, (B, A)."""
        return self.output

    def push(self, column: Tensor) -> None:
        """Read one more token per row.

        Args:
            column: Token ids, (B,).
        """
        self.tokens = torch.cat([self.tokens, column[:, None]], dim=1)
        real = torch.ones_like(self.attention_mask[:, :1])
        self.attention_mask = torch.cat([self.attention_mask, real], dim=1)
        self._read(column[:, None], self.attention_mask)
        self.length += 1

    def crop(self, length: int, logits: Tensor) -> None:
        """Go back to an earlier state.

        Args:
            length: Number of response tokens that stay.
            logits: The network's output in that state, as it was then.
        """
        width, removed = self.prompt_width + length, self.length - length
        if removed:
            self._cache.crop(-removed)
        self.tokens, self.attention_mask = self.tokens[:, :width], self.attention_mask[:, :width]
        self.output, self.length = logits, length

    def take(self, rows: Tensor) -> Decoder:
        """Return a decoder of some of the rows.

        Args:
            rows: Row numbers in their new order; a row may be left out or come several times.

        Returns:
            A decoder in the same state.
        """
        twin = self.fork()
        twin._cache.batch_select_indices(rows)
        twin.tokens, twin.attention_mask = self.tokens[rows], self.attention_mask[rows]
        twin.output = self.output[rows]
        return twin

    def fork(self) -> Decoder:
        """Return an independent decoder in the same state; what was read is not read again.

        The two share memory: a cache replaces its tensors when it grows or is cut, and never writes into them.
        """
        twin = copy.copy(self)
        twin._cache = copy.copy(self._cache)
        twin._cache.layers = [copy.copy(layer) for layer in self._cache.layers]
        return twin

    def _read(self, columns: Tensor, mask: Tensor) -> None:
        """Run the network over new columns, (B, L), under the mask of all columns so far."""
        with torch.set_grad_enabled(self._gradient), self.policy.lock:
            self.output = self._network(columns, mask, self._cache)


@dataclass(frozen=True, eq=False)
class Column:
    """One column of tokens as it was sampled.

    Args:
        t: The column, counted from 0.
        tokens: Token ids, (B,); padding in rows that had ended before.
        active: Whether the row had not ended before, (B,) bool.
    """

    t: int
    tokens: Tensor  # (B,)
    active: Tensor  # (B,)


def sample_tokens(
    decoder: Decoder, *, max_new_tokens: int, temperature: float, generator: torch.Generator, job: Job = NO_JOB
) -> Iterator[Column]:
    """Sample column after column until every row has ended or the limit is reached.

    Args:
        decoder: A decoder that has read the prompts.
        max_new_tokens: Longest response, in tokens.
        temperature: Divides the logits.
        generator: Source of the random draws, on the CPU.
        job: The running job.

    Yields:
        Each column as soon as it is sampled.

    Raises:
        Stopped: If the job was asked to end.
    """
    policy = decoder.policy
    active = torch.ones(len(decoder.tokens), dtype=torch.bool, device=policy.device)
    for t in range(max_new_tokens):
        job.check()
        probs = torch.softmax(decoder.logits / temperature, dim=-1)
        chosen = sample(probs, exponential_noise(probs.shape, generator=generator, like=probs))
        yield Column(t, torch.where(active, chosen, policy.pad_id), active)
        active = active & (chosen != policy.eos_id)
        if t + 1 == max_new_tokens or not bool(active.any()):
            return
        decoder.push(chosen)


def generate(
    policy: Policy,
    prompts: Sequence[str],
    *,
    max_new_tokens: int,
    temperature: float = 1.0,
    samples_per_prompt: int = 1,
    seed: int | None = None,
    job: Job = NO_JOB,
) -> Sequences:
    """Sample responses to prompts.

    Sampling is from the temperature-scaled softmax without filters: training scores the same distribution.

    Args:
        policy: The policy that writes.
        prompts: The prompts.
        max_new_tokens: Longest response, in tokens.
        temperature: Divides the logits.
        samples_per_prompt: Responses to each prompt; the rows of one prompt follow one another.
        seed: The same seed gives the same text on any device; without one the text is new each time.
        job: The running job; progress is reported in tokens.

    Returns:
        `len(prompts) * samples_per_prompt` rows.

    Raises:
        LabError: If a prompt cannot be read, a setting is not allowed, or the responses would not fit.
        Stopped: If the job was asked to end.
    """
    check_sampling(temperature=temperature, max_new_tokens=max_new_tokens, samples_per_prompt=samples_per_prompt)
    if not prompts:
        raise LabError("prompts", prompts, "give at least one prompt")
    read = {prompt: policy.encode(prompt) for prompt in dict.fromkeys(prompts)}  # a batch repeats its few prompts
    encoded = [read[prompt] for prompt in prompts]
    check_room(policy, list(read.values()), max_new_tokens=max_new_tokens)
    generator = torch.Generator()
    generator.seed() if seed is None else generator.manual_seed(seed)
    decoder = Decoder(policy, encoded, job=job)
    if samples_per_prompt > 1:  # each prompt is read once, and gets a row for every response
        decoder = decoder.take(torch.arange(len(prompts), device=policy.device).repeat_interleave(samples_per_prompt))
    written = []
    for column in sample_tokens(
        decoder, max_new_tokens=max_new_tokens, temperature=temperature, generator=generator, job=job
    ):
        written.append((column.tokens, column.active))
        job.report(column.t + 1, max_new_tokens, "tokens")
    tokens, active = (torch.stack(columns, dim=1) for columns in zip(*written, strict=True))  # (B, T)
    repeated = [number for number in range(len(prompts)) for _ in range(samples_per_prompt)]
    return sequences_from_ids(
        policy,
        [prompts[number] for number in repeated],
        [row[mask].tolist() for row, mask in zip(tokens, active, strict=True)],
        encoded=[encoded[number] for number in repeated],
        group=repeated,
    )


def sequences_from_ids(
    policy: Policy,
    prompts: Sequence[str],
    responses: Sequence[Sequence[int]],
    *,
    encoded: Sequence[Sequence[int]] | None = None,
    group: Sequence[int] | None = None,
    sampled: Sequence[Sequence[bool]] | None = None,
) -> Sequences:
    """Return prompts and response ids as one padded batch; a row has ended if its last id is the end token.

    Masks come from lengths, so the end token may serve as padding as well.

    Args:
        policy: The policy whose tokens they are.
        prompts: Prompt of each row.
        responses: Token ids of each response.
        encoded: Token ids of each prompt, where they are known already.
        group: Number of each row's prompt; by default each distinct prompt has one number.
        sampled: Whether each response token was sampled; False marks a forced one. By default all were.

    Returns:
        The rows.

    Raises:
        LabError: If a prompt cannot be read.
    """
    ids = [policy.encode(prompt) for prompt in prompts] if encoded is None else encoded
    left, left_mask = pad_left(ids, width=max(len(row) for row in ids), pad=policy.pad_id)
    right, response_mask = pad_right(responses, pad=policy.pad_id)
    action_mask = response_mask
    if sampled is not None:
        action_mask = response_mask & pad_right([[int(one) for one in row] for row in sampled], pad=0)[0].bool()
    order = {prompt: number for number, prompt in enumerate(dict.fromkeys(prompts))}
    numbers = [order[prompt] for prompt in prompts] if group is None else list(group)
    return Sequences(
        tokens=torch.cat([left, right], dim=1).to(policy.device),
        attention_mask=torch.cat([left_mask, response_mask], dim=1).to(policy.device),
        prompt_width=left.shape[1],
        response_mask=response_mask.to(policy.device),
        action_mask=action_mask.to(policy.device),
        sentence=policy.sentences(right).to(policy.device),
        ended=torch.tensor([bool(row) and row[-1] == policy.eos_id for row in responses], device=policy.device),
        group=torch.tensor(numbers, device=policy.device),
        prompts=tuple(prompts),
        responses=tuple(policy.decode(row) for row in responses),
    )


def pad_left(rows: Sequence[Sequence[int]], *, width: int, pad: int) -> tuple[Tensor, Tensor]:
    """Return rows of ids as one tensor with padding before them.

    Args:
        rows: Token ids of each row.
        width: Width of the tensor, in tokens.
        pad: The id that fills it.

    Returns:
        Tokens, (B, width) long, and the mask of real tokens, (B, width) bool.
    """
    tokens = torch.tensor([[pad] * (width - len(row)) + list(row) for row in rows])
    mask = torch.tensor([[False] * (width - len(row)) + [True] * len(row) for row in rows])
    return tokens, mask


def pad_right(rows: Sequence[Sequence[int]], *, pad: int) -> tuple[Tensor, Tensor]:
    """Return rows of ids as one tensor with padding after them.

    Args:
        rows: Token ids of each row.
        pad: The id that fills the tensor.

    Returns:
        Tokens, (B, T) long, and the mask of real tokens, (B, T) bool.
    """
    width = max(len(row) for row in rows)
    tokens = torch.tensor([list(row) + [pad] * (width - len(row)) for row in rows], dtype=torch.long)
    return tokens.reshape(len(rows), width), until_end(torch.tensor([len(row) for row in rows]), width=width)


def check_sampling(*, temperature: float, max_new_tokens: int, samples_per_prompt: int) -> None:
    """Raise LabError unless the settings allow sampling.

    Args:
        temperature: Divides the logits.
        max_new_tokens: Longest response, in tokens.
        samples_per_prompt: Responses to each prompt.

    Raises:
        LabError: If a setting is out of range.
    """
    if temperature == 0:
        remedy = "give a number above 0; for the most likely token each time use top-k 1 in the stepper"
        raise LabError("temperature", temperature, remedy)
    check_number("temperature", temperature, open_low=True)
    check_count("max_new_tokens", max_new_tokens)
    check_count("samples_per_prompt", samples_per_prompt)


def check_room(policy: Policy, prompts: Sequence[Sequence[int]], *, max_new_tokens: int) -> None:
    """Raise LabError if a response would not fit into the model's context after its prompt.

    Args:
        policy: The policy.
        prompts: Token ids of each prompt.
        max_new_tokens: Longest response, in tokens.

    Raises:
        LabError: If the longest prompt leaves less room.
    """
    longest = max(len(prompt) for prompt in prompts)
    if longest + max_new_tokens > policy.context:
        room = policy.context - longest
        remedy = (
            f"a prompt has {longest} tokens and the model reads {policy.context}; ask for at most {room} or shorten it"
        )
        raise LabError("max_new_tokens", max_new_tokens, remedy)
