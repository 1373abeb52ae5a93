"""Settings: textbook values, and one sentence for every value that has no meaning."""

import dataclasses
import math

import pytest

from rllab.core.config import CHOICES, COUNTS, OPTIONAL, RANGES, SWITCHES, Config
from rllab.core.errors import LabError

NAMES = [field.name for field in dataclasses.fields(Config)]
NO_NUMBERS = (math.nan, math.inf, -math.inf, "0.1", True)


def refused(name, value):
    with pytest.raises(LabError) as caught:
        Config().replace(**{name: value})
    assert caught.value.field == name
    assert str(value) in str(caught.value)
    return str(caught.value)


def test_every_setting_is_checked():
    assert sorted([*CHOICES, *RANGES, *COUNTS, *SWITCHES]) == sorted(NAMES)


@pytest.mark.parametrize("name", CHOICES)
def test_a_choice_is_one_of_its_kind_and_the_others_are_named(name):
    for allowed in CHOICES[name]:
        assert getattr(Config().replace(**{name: allowed}), name) == allowed
        assert allowed in refused(name, "nonsense")
    refused(name, None)


@pytest.mark.parametrize("name", RANGES)
def test_a_number_is_finite_and_in_its_range(name):
    low, high, open_low = RANGES[name]
    for value in NO_NUMBERS:
        refused(name, value)
    refused(name, low - 0.1)
    if open_low:
        refused(name, low)
    else:
        Config().replace(**{name: low})
    if math.isfinite(high):
        Config().replace(**{name: high})
        refused(name, high + 0.1)
    if name in OPTIONAL:
        assert getattr(Config().replace(**{name: None}), name) is None
    else:
        refused(name, None)


@pytest.mark.parametrize("name", COUNTS)
def test_a_count_is_a_whole_number_of_at_least_one(name):
    for value in (0, -1, 1.5, 2.0, math.nan, "3", True, None):
        refused(name, value)


@pytest.mark.parametrize("name", SWITCHES)
def test_a_switch_is_on_or_off(name):
    for value in ("no", 0, None):
        refused(name, value)


def test_groups_fill_the_batch():
    Config(batch_size=12, samples_per_prompt=4)
    with pytest.raises(LabError, match="batch_size is 12: it has to be a multiple of samples_per_prompt"):
        Config(batch_size=12, samples_per_prompt=5)


def test_a_misspelt_setting_is_met_with_the_nearest_ones():
    with pytest.raises(LabError, match="setting is 'clip_epss': did you mean clip_eps"):
        Config().replace(clip_epss=0.1)


def test_settings_do_not_change_once_made():
    config = Config()
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.lr = 1.0
    assert config.replace(lr=0.5).lr == 0.5
    assert config.lr == 1e-6
