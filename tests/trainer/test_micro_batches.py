"""Five updates are the same however the batch is cut: to rounding in float64, closely in float32."""

import pytest
import torch

from rllab.trainer.trainer import Trainer
from tests.small import gpt2_policy, run_state, small_world

# In float32 Adam divides gradients of the size of rounding by their own size, so what may differ grows with lr.
CLOSE = {torch.float64: (1e-2, 1e-10), torch.float32: (1e-4, 1e-6)}  # learning rate, largest difference of a weight


@pytest.mark.parametrize("dtype", CLOSE)
def test_five_updates_do_not_depend_on_the_micro_batches(dtype: torch.dtype) -> None:
    (lr, limit), ends = CLOSE[dtype], []
    for size in (16, 4, 2, 1):
        world = small_world(gpt2_policy(dtype=dtype))
        config = world.config(batch_size=16, micro_batch_size=size, lr=lr, critic_lr=lr)
        trainer = Trainer(world, config=config)
        trainer.run(5)
        ends.append(run_state(trainer))
    for cut in ends[1:]:
        assert max(float((cut[name] - whole).abs().max()) for name, whole in ends[0].items()) <= limit
