"""Three ways to press a policy against the proxy of its world, side by side, while gold only watches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rllab.core.jobs import NO_JOB, Job
from rllab.course.observatory.best_of import watch_best_of_n
from rllab.course.observatory.points import Curve, gold_of
from rllab.course.observatory.watching import Run, Watch
from rllab.preferences.pairs import Pair
from rllab.preferences.selection import label_pairs
from rllab.preferences.training import PreferenceConfig, train_dpo
from rllab.trainer.trainer import Trainer
from rllab.worlds.world import World

PPO, BEST_OF_N, DPO = "PPO", "best of n", "DPO"


@dataclass(frozen=True)
class Plan:
    """How closely a policy is watched, and what the two methods other than PPO are given."""

    every: int = 3  # updates between two measurements
    samples: int = 64  # responses of a measurement
    ns: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 64)
    prompts: int = 16  # that best of n answers
    pairs: int = 512  # labelled by the proxy for DPO
    noise: float = 0.5  # of those labels, in units of the proxy
    beta: float = 0.1  # of DPO, proxy units per nat


@dataclass(frozen=True)
class Steered:
    """The KL coefficient from some update of PPO on."""

    step: int
    kl_coef: float  # proxy units per nat


class Observatory:
    """A world whose policy is pressed against its proxy by PPO, best of n and DPO, each on copies of its own."""

    def __init__(self, world: World, *, kl_coef: float = 0.0, seed: int = 0, plan: Plan | None = None) -> None:
        gold_of(world)  # says now that there is none
        self.world, self.seed, self.plan = world, seed, plan or Plan()
        self.trainer = Trainer(world, "ppo", world.config("ppo", kl_coef=kl_coef), seed=seed)
        self.steered: tuple[Steered, ...] = (Steered(0, kl_coef),)
        self._wanted = kl_coef
        self._ppo = self._watch(self.trainer, PPO)
        self._dpo: Watch | None = None
        self._best: Curve | None = None

    @property
    def curves(self) -> Mapping[str, Curve]:
        """Return what was measured of each method that has been begun."""
        dpo = self._dpo.curve if self._dpo is not None else None
        known = (self._ppo.curve, self._best, dpo)
        return {curve.method: curve for curve in known if curve is not None and curve.points}

    @property
    def kl_coef(self) -> float:
        """Return the KL coefficient that PPO's next update will use, in proxy units per nat."""
        return self._wanted

    def steer(self, kl_coef: float) -> None:
        """Change the price of KL in the middle of PPO's run; it holds from the next update on."""
        self.trainer.config.replace(kl_coef=kl_coef)  # says now what is wrong with it
        self._wanted = kl_coef

    def ppo(self, updates: int, *, job: Job = NO_JOB) -> None:
        """Do so many updates of PPO more."""
        self._ppo.go_on(updates, job=job, before=self._take_coefficient)

    def dpo(self, updates: int, *, job: Job = NO_JOB) -> None:
        """Do so many updates of DPO more, on pairs of the reference's responses that the proxy has labelled."""
        if self._dpo is None:
            pairs = self._label(job)
            trainer = train_dpo(self.world, pairs, config=PreferenceConfig(beta=self.plan.beta), seed=self.seed)
            self._dpo = self._watch(trainer, DPO)
        self._dpo.go_on(updates, job=job)

    def best_of_n(self, *, job: Job = NO_JOB) -> None:
        """Choose the best of n by the proxy, for every n of the plan."""
        job.report(0, 0, f"{2 * max(self.plan.ns)} responses to each of {self.plan.prompts} prompts are written")
        prompts = self.world.prompts[: self.plan.prompts]
        self._best = watch_best_of_n(self.world, self.plan.ns, prompts=prompts, seed=self.seed, job=job)

    def _watch(self, run: Run, method: str) -> Watch:
        return Watch(run, method=method, every=self.plan.every, samples=self.plan.samples, seed=self.seed)

    def _label(self, job: Job) -> list[Pair]:
        """Let the proxy, as a judge with noise, choose between responses of the reference."""
        judged = self.world.replace(gold=self.world.reward)
        judges = {"proxy": (self.plan.noise, 0.0)}
        return label_pairs(judged, judges, count=self.plan.pairs, seed=self.seed, job=job)

    def _take_coefficient(self) -> None:
        if self._wanted != self.steered[-1].kl_coef:
            self.trainer.configure(kl_coef=self._wanted)
            self.steered = (*self.steered, Steered(self.trainer.index, self._wanted))
