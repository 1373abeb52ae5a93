"""The equations against other people's code, through the files of tests/oracles (no oracle is needed here)."""

import json
from pathlib import Path

import pytest
import torch

from tests.maths.ours import OURS

FOLDER = Path(__file__).parents[1] / "oracles"
CASES = [
    pytest.param(path.stem, case, id=f"{path.stem}: {case['name']}")
    for path in sorted(FOLDER.glob("*.json"))
    for case in json.loads(path.read_text("utf-8"))["cases"]
]
EXACT = 1e-12
# (quantity, oracle) -> what the oracle itself allows, and why
TOLERANCES = {
    ("gae", "stable_baselines3"): 1e-5,  # its buffer is float32
    ("gae", "torchrl"): 1e-5,  # gamma times an integer mask makes a float32
    ("gae", "verl"): 1e-7,  # adds 1e-8 to the variance it whitens by
    ("whiten", "verl"): 1e-7,  # likewise
    ("td_errors", "torchrl"): 1e-6,  # likewise
    ("kl_estimators", "openrlhf"): 1e-6,  # casts to float32
    ("supervised", "transformers"): 1e-6,  # likewise
    ("clipped_surrogate", "verl"): 1e-8,  # adds 1e-8 to the length of a row
    ("clipped_surrogate", "openrlhf"): 1e-8,  # likewise
    ("reducers", "verl"): 1e-8,  # likewise
    ("reducers", "openrlhf"): 1e-8,  # likewise
    ("strengths", "choix"): 1e-8,  # both sides iterate
}


def tensors(values):
    return {
        name: torch.tensor(value) if name in LABELS else torch.tensor(value, dtype=torch.float64)
        for name, value in values.items()
    }


LABELS = {"tokens", "group", "pairs"}


@pytest.mark.parametrize(("quantity", "case"), CASES)
def test_agrees_with_every_oracle(quantity, case):
    ours = OURS[quantity](tensors(case["inputs"]), case["settings"])
    for oracle, outputs in case["oracles"].items():
        tolerance = TOLERANCES.get((quantity, oracle), EXACT)
        for name, theirs in tensors(outputs).items():
            difference = (ours[name] - theirs).abs().max().item()
            assert difference <= tolerance, f"{name} is {difference:.1e} away from {oracle}"


def test_every_golden_file_is_compared_and_tells_something():
    assert {param.values[0] for param in CASES} == set(OURS)
    for param in CASES:
        for outputs in param.values[1]["oracles"].values():
            assert all(values.abs().max() > 1e-3 for values in tensors(outputs).values())
