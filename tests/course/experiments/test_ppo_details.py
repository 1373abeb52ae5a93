"""`ppo_details`: the figure shows every detail with and without."""

import pytest

from rllab.course.experiments import ppo_details, recorded_result
from rllab.plots.text import fixed


def test_every_detail_has_its_dot_with_both_numbers() -> None:
    result = recorded_result(ppo_details)
    (dots,) = ppo_details.details_left_out(result).figure.data
    for switch, times, text in zip(ppo_details.SWITCHES, dots.x, dots.text, strict=True):
        kept, without = result.means(switch.name)
        assert text.split() == [fixed(kept), "→", fixed(without)]
        assert times == pytest.approx(without / max(kept, 1e-3))
