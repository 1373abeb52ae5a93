"""A critic that knows the reference policy before any training: what its texts are worth on average."""

from __future__ import annotations

from rllab.core.errors import LabError
from rllab.core.jobs import NO_JOB, Job
from rllab.trainer.trainer import Trainer
from rllab.value.critic import Critic
from rllab.worlds.world import World


def fit_critic(world: World, *, updates: int, seed: int = 0, job: Job = NO_JOB) -> Critic:
    """Fit the world's critic to returns of its policy, which stays as it is (its learning rate is 0).

    A learner who opens the value lens before training then sees a critic at work, and the first advantages
    of a run are no mere noise.
    """
    frozen = world.config(
        "ppo", lr=0.0, critic_lr=1e-3, lam=1.0, value_clip_eps=None, batch_size=256, micro_batch_size=64
    )
    trainer = Trainer(world, "ppo", frozen, seed=seed)
    trainer.run(updates, job=job)
    critic = trainer.world.critic
    if not isinstance(critic, Critic):
        raise LabError("world", world.name, "it has no critic that could be fitted")
    return critic
