import pytest

from rllab.core.errors import LabError
from rllab.core.notation import GLOSSARY, axis, label


def test_screen_counts_steps_from_one():
    assert [label(t) for t in range(3)] == ["1", "2", "3"]


def test_axis_title_has_symbol_meaning_and_unit():
    assert axis("value") == "V(sₜ): expected return from a state [reward]"
    assert axis("entropy").endswith("[nats]")
    assert axis("ratio") == "ρₜ: π(aₜ|sₜ) / π_old(aₜ|sₜ)"


def test_unknown_symbol_is_named_with_its_neighbours():
    with pytest.raises(LabError, match=r"symbol is 'valeu': .* value"):
        axis("valeu")


def test_no_symbol_stands_for_two_things():
    symbols = [entry.symbol for entry in GLOSSARY.values()]
    assert len(set(symbols)) == len(symbols)
    assert {entry.unit for entry in GLOSSARY.values()} <= {"", "token", "tokens", "nats", "reward", "reward per nat"}
