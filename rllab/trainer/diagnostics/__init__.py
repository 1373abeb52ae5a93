"""The run doctor: what a run's numbers say, in plain words."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from rllab.core.records import UpdateRecord
from rllab.trainer.diagnostics.contradictions import CONTRADICTIONS
from rllab.trainer.diagnostics.curves import Curves, Finding
from rllab.trainer.diagnostics.definitions import (
    Definition,
    HealthyRange,
    Reading,
    definitions,
    healthy_range,
    readings,
)
from rllab.trainer.diagnostics.trends import TRENDS

__all__ = [
    "Definition",
    "Finding",
    "HealthyRange",
    "Reading",
    "definitions",
    "diagnose",
    "healthy_range",
    "readings",
    "summary",
]

GRAVITY = {"ill": 0, "watch": 1, "note": 2}


def diagnose(history: Sequence[UpdateRecord]) -> list[Finding]:
    """Return what a run's numbers say, the gravest first; an empty list before the first update."""
    if not history:
        return []
    curves = Curves(history)
    found = [finding for pattern in (*CONTRADICTIONS, *TRENDS) if (finding := pattern(curves)) is not None]
    return [_typeset(finding) for finding in sorted(found, key=lambda finding: GRAVITY[finding.severity])]


def _typeset(finding: Finding) -> Finding:
    """Write numbers with a true minus sign."""
    return replace(finding, seen=re.sub(r"(?<!\w)-(?=\d)", "\u2212", finding.seen))


def summary(findings: Sequence[Finding]) -> str:
    """Say in one sentence how a run stands."""
    ill = [finding.name for finding in findings if finding.severity == "ill"]
    watch = [finding.name for finding in findings if finding.severity == "watch"]
    if ill:
        return f"Something is wrong: {'; '.join(ill)}."
    if watch:
        return f"Nothing contradicts itself; keep an eye on this: {'; '.join(watch)}."
    return "Nothing looks wrong."
