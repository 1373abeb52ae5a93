"""What any stepper has to keep, whatever it steps through: one reusable check, as dm_env has one for environments.

A stepper has `state`, `state_at(t)`, `steps`, `done`, `step(token_id=None)`, `back()`, `branch(t, token_id)`,
`finish()`, `sequences()` and `rollout()`.
"""

import dataclasses

import pytest
import torch

from rllab.core.errors import LabError


def same_step(first, second):
    """Tell whether two steps agree in all that they show."""
    return all(same(getattr(first, name), getattr(second, name)) for name in fields(first) if name != "state") and (
        same_state(first.state, second.state)
    )


def same_state(first, second):
    return all(same(getattr(first, name), getattr(second, name)) for name in fields(first))


def same(one, other):
    return torch.allclose(one, other, atol=1e-12) if isinstance(one, torch.Tensor) else one == pytest.approx(other)


def fields(record):
    return [field.name for field in dataclasses.fields(record)]


def check_state(state):
    """Check that a state's three distributions are whole and in order."""
    for shown, others in (
        (state.probs, state.other_prob),
        (state.sampling_probs, state.other_sampling_prob),
        (state.ref_probs, state.other_ref_prob),
    ):
        assert float(shown.sum()) + others == pytest.approx(1.0, abs=1e-5)
        assert (shown >= 0).all()
        assert len(shown) == len(state.candidate_ids)
    assert len(set(state.candidate_ids)) == len(state.candidate_ids)
    assert (state.probs.diff() <= 0).all()  # likeliest first


def check_line(stepper):
    """Check that a line's parts speak of the same tokens."""
    assert stepper.state.t == len(stepper.steps)
    assert stepper.state.prefix_ids == tuple(step.token_id for step in stepper.steps)
    for t, step in enumerate(stepper.steps):
        assert step.state.t == t
        assert same_state(step.state, stepper.state_at(t))
        check_state(step.state)
        shown = dict(zip(step.state.candidate_ids, step.state.probs.tolist(), strict=True))
        if step.token_id in shown:
            assert shown[step.token_id] == pytest.approx(float(torch.tensor(step.logprob).exp()), abs=1e-6)
    check_state(stepper.state)


def check_batch(stepper):
    """Check that the batch path gives the same numbers for every token."""
    rollout, steps = stepper.rollout(), stepper.steps
    assert rollout.response_ids(0) == [step.token_id for step in steps]
    assert rollout.action_mask[0].tolist() == [step.sampled for step in steps]
    for name, shown in (
        ("logprobs", [step.logprob for step in steps]),
        ("ref_logprobs", [step.ref_logprob for step in steps]),
        ("values", [step.state.value for step in steps]),
        ("entropies", [step.state.entropy for step in steps]),
    ):
        found = getattr(rollout, name)[0]
        assert torch.allclose(found, torch.tensor(shown, dtype=found.dtype), atol=1e-5), name
    after = 0.0 if steps[-1].is_end else stepper.state.value
    assert float(rollout.bootstrap[0]) == pytest.approx(after, abs=1e-5)


def check_stepper(make):
    """Check everything, with steppers that `make()` builds alike."""
    stepper, twin = make(), make()
    check_line(stepper)
    with pytest.raises(LabError):
        stepper.back()
    written = stepper.finish()
    assert stepper.done
    assert written == stepper.steps
    check_line(stepper)
    check_batch(stepper)
    with pytest.raises(LabError):
        stepper.step()
    check_going_back(stepper)
    assert [step.token_id for step in twin.finish()] == [step.token_id for step in written]
    check_branches(stepper)


def check_going_back(stepper):
    """Check that back and step again is as if nothing had been, from every place of the line."""
    whole = list(stepper.steps)
    for count in range(1, len(whole) + 1):
        for _ in range(count):
            stepper.back()
        assert not stepper.done
        assert len(stepper.steps) == len(whole) - count
        again = [stepper.step() for _ in range(count)]
        assert all(same_step(one, other) for one, other in zip(whole[-count:], again, strict=True))


def check_branches(stepper):
    """Check that a branch shares its beginning and leaves the line it came from as it was."""
    whole, end = list(stepper.steps), stepper.state
    for t, step in enumerate(whole):
        other = next(one for one in step.state.candidate_ids if one != step.token_id)
        branch = stepper.branch(t, other)
        assert [one.token_id for one in branch.steps] == [one.token_id for one in whole[:t]] + [other]
        assert not branch.steps[-1].sampled
        check_line(branch)
        branch.finish()
        check_batch(branch)
        assert stepper.steps == whole
        assert same_state(stepper.state, end)
    check_line(stepper)
