"""Two laws of over-optimisation, fitted to what gold did (Gao et al. 2023)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rllab.core.errors import LabError
from rllab.course.observatory.points import Curve

NEAR = 0.3  # square root of nats: closer to the start the logarithmic form has no meaning


@dataclass(frozen=True)
class Form:
    """A law of gold over d fitted to a curve (Gao et al. 2023): gold - gold_0 = d (alpha - beta f(d))."""

    name: str
    alpha: float
    beta: float
    r2: float
    aic: float
    peak: float  # the d at which it is highest; infinite where it never falls

    def at(self, d: float) -> float:
        """Return the gain of gold at a distance."""
        return d * (self.alpha - self.beta * LAWS[self.name](torch.tensor(d)).item())


LAWS: Mapping[str, Callable[[Tensor], Tensor]] = {"d(α − βd)": torch.abs, "d(α − β log d)": torch.log}  # d > 0
PEAKS: Mapping[str, Callable[[float], float]] = {  # of alpha / beta
    "d(α − βd)": lambda ratio: ratio / 2,
    "d(α − β log d)": lambda ratio: math.exp(min(ratio - 1, 700.0)),
}


def fit_forms(d: Sequence[float], gain: Sequence[float]) -> list[Form]:
    """Fit both forms to the gain of gold over d, the better by AIC first; what is near 0 is left out."""
    kept = [(x, y) for x, y in zip(d, gain, strict=True) if x > NEAR]
    if len(kept) < 4:
        remedy = f"a form needs at least four measurements beyond d = {NEAR}; let the run go further"
        raise LabError("points", len(kept), remedy)
    x, y = (torch.tensor(side, dtype=torch.float64) for side in zip(*kept, strict=True))
    return sorted((_form(name, x, y) for name in LAWS), key=lambda form: form.aic)


def forms_of(curve: Curve) -> list[Form]:
    """Fit both forms to a curve."""
    start = curve.points[0].gold
    return fit_forms([point.d for point in curve.points], [point.gold - start for point in curve.points])


def _form(name: str, d: Tensor, gain: Tensor) -> Form:
    """Fit one form: it is linear in alpha and beta."""
    columns = torch.stack([d, -d * LAWS[name](d)], dim=1)
    alpha, beta = torch.linalg.lstsq(columns, gain[:, None]).solution[:, 0].tolist()
    left = float((gain - columns @ torch.tensor([alpha, beta], dtype=torch.float64)).square().sum())
    total = max(float((gain - gain.mean()).square().sum()), 1e-300)
    aic = len(gain) * math.log(max(left, 1e-300) / len(gain)) + 2 * 3  # alpha, beta and the spread
    peak = PEAKS[name](alpha / beta) if beta > 0 else math.inf
    return Form(name, alpha, beta, 1 - left / total, aic, peak)
