"""The description of a panel: validated, strict JSON, cleaned text."""

import json
import math

import pytest

from rllab.widgets.engine.charts import Bar, Chip, Column, bars, chips, table, tint, visible
from rllab.widgets.engine.components import (
    Component,
    Option,
    Span,
    badges,
    bold,
    button,
    known,
    radios,
    row,
    slider,
    spans,
    term,
)
from rllab.widgets.engine.page import LIMIT, clean, flatten, strict, wire
from tests.plots.test_text import HARD, fuzz


def ignore(value: object = None) -> None:
    """Take an event and do nothing."""


def test_keys_are_plain_and_unique() -> None:
    with pytest.raises(ValueError, match="small letters"):
        flatten(button("No good", "x", ignore))
    with pytest.raises(ValueError, match="two components"):
        flatten(row("a", button("b", "x", ignore), button("b", "y", ignore)))


def test_the_tree_is_sent_flat_and_names_its_children() -> None:
    tree = row("top", row("inner", button("one", "1", ignore)), button("two", "2", ignore))
    parts = flatten(tree)
    assert list(parts) == ["top", "inner", "one", "two"]
    assert wire(parts["top"])["children"] == ["inner", "two"]
    assert "children" not in wire(parts["two"])


def test_strict_json_has_gaps_where_there_is_no_number() -> None:
    numpy = pytest.importorskip("numpy")
    sent = strict({"a": math.nan, "b": [math.inf, 1], "c": numpy.array([1.0, math.nan]), "d": numpy.float64(2)})
    assert sent == {"a": None, "b": [None, 1], "c": [1.0, None], "d": 2.0}
    assert json.loads(json.dumps(sent, allow_nan=False)) == sent
    with pytest.raises(TypeError, match="cannot be sent"):
        strict({"x": object()})


def test_ten_thousand_strings_pass_every_text_border() -> None:
    for text in [*HARD, *fuzz(10_000, seed=2)]:
        component = chips("strip", text, [Chip(visible(text), text, text)], ignore, prompt=[text], next_name=text)
        sent = json.dumps(wire(component), allow_nan=False, ensure_ascii=False)
        assert sent.encode()
        assert json.loads(sent)["label"] == clean(text)


def test_text_is_capped() -> None:
    assert len(clean("x" * 100_000)) < LIMIT + 40


def test_text_keeps_what_looks_like_markup() -> None:
    assert clean("<b>$x$ &amp; %{y}</b>") == "<b>$x$ &amp; %{y}</b>"


def test_spans_leave_defaults_out() -> None:
    assert spans(["plain", bold("b"), term("word", "why"), Span("x", tone="up")]) == [
        {"text": "plain"},
        {"text": "b", "bold": True},
        {"text": "word", "tip": "why"},
        {"text": "x", "tone": "up"},
    ]


def test_values_that_the_page_cannot_send_are_refused() -> None:
    options = (Option("a", "A"), Option("b", "B"))
    heard: list[object] = []
    for component in (radios("r", "R", options, "a", heard.append), slider("s", "S", options, 0, heard.append)):
        assert component.on_set
        component.on_set("b")
        with pytest.raises(ValueError, match="not one of the choices"):
            component.on_set("c")
    strip = chips("c", "C", [Chip("x")], heard.append, next_name="next")
    assert strip.on_set
    strip.on_set(1)
    for wrong in (2, -1, "0", True, None):
        with pytest.raises(ValueError, match="not a position"):
            strip.on_set(wrong)
    candidates = bars("b", "B", [Bar("x", 0.5, "0.5", 7)], heard.append)
    assert candidates.on_set
    candidates.on_set(7)
    with pytest.raises(ValueError, match="8"):
        candidates.on_set(8)
    assert heard == ["b", "b", 1, 7]
    assert known("a", options) == "a"


def test_bars_have_lengths_between_nothing_and_all() -> None:
    item = Bar("x", 1.7, "1.7", tick=-0.2, inner=math.nan).wire()
    assert (item["width"], item["tick"], item["inner"]) == (1.0, 0.0, 0.0)


def test_tables_have_a_cell_for_every_column() -> None:
    with pytest.raises(ValueError, match="2 cells for 1 columns"):
        table("t", "T", [Column("a")], [["x", "y"]])


def test_tint_follows_sign_and_size() -> None:
    assert [tint(value, 1.0) for value in (-1, -0.5, -0.05, 0.05, 0.5, 1)] == [-2, -1, 0, 0, 1, 2]
    assert tint(1.0, 0.0) == 0


def test_badges_are_of_known_kinds() -> None:
    assert isinstance(badges("b", "exact", "learned"), Component)
    with pytest.raises(ValueError, match="guessed"):
        badges("b", "guessed")
