"""Text and numbers on their way to a picture: nothing is interpreted, nothing is lost."""

import doctest
import html
import importlib
import math
import random

import pytest

from rllab.plots.text import esc, fixed, plain, significant, well_formed

MODULES = (
    "rllab.plots.text",
    "rllab.plots.drawing",
    "rllab.widgets.engine.page",
)
HARD = (
    "<img src=x onerror=alert(1)>",
    "<a href='javascript:alert(1)'>x</a>",
    "$x^2$",
    r"$\href{javascript:1}{a}$",
    "%{x} %{customdata}",
    "&lt;b&gt;",
    "</script><script>alert(1)</script>",
    "a\ud800b",
    "\udfff",
    "nul\x00bell\x07",
    "\u202eevil\u202c",
    "\u2069out\u2068",
    "\u0645\u0631\u062d\u0628\u0627",
    "line\nbreak\ttab",
    "{{ jinja }}",
    "x" * 5000,
)


def fuzz(count: int, seed: int = 0) -> list[str]:
    """Return strings that mix the hard ones with random code points, lone surrogates included."""
    chosen = random.Random(seed)
    made = []
    for _ in range(count):
        letters = "".join(chr(chosen.choice((chosen.randrange(0x250), chosen.randrange(0x110000)))) for _ in range(12))
        made.append(letters + chosen.choice(HARD)[:60] + letters[::-1])
    return made


@pytest.mark.parametrize("module", MODULES)
def test_examples_in_the_documentation(module: str) -> None:
    found = doctest.testmod(importlib.import_module(module))
    assert found.attempted
    assert not found.failed


def test_ten_thousand_strings_are_well_formed_and_literal_for_plotly() -> None:
    for text in [*HARD, *fuzz(10_000)]:
        shown = well_formed(text)
        assert shown.encode()  # no lone surrogate
        assert not any(ord(letter) < 32 and letter not in "\n\t" for letter in shown)
        escaped = esc(text, limit=10_000)
        inside = escaped[1:-1]
        assert not set(inside) & set("<$\n\u2068\u2069"), text
        assert "%{" not in inside, text
        assert html.unescape(inside).replace("\u21b5", "\n").replace("\u21e5", "\t") == (
            shown.replace("\u2068", "").replace("\u2069", "").replace("\u21b5", "\n").replace("\u21e5", "\t")
        )


def test_long_text_is_cut_to_the_limit() -> None:
    assert len(esc("x" * 500, limit=20)) == 22
    assert esc("x" * 500, limit=20).endswith("\u2026\u2069")


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_a_word(value: float) -> None:
    for shown in (fixed(value), significant(value), fixed(value, signed=True)):
        assert not any(letter.isdigit() for letter in shown)
        assert "nan" not in shown.lower().split()


def test_a_negative_number_has_a_true_minus_and_reads_back() -> None:
    draw = random.Random(1)
    for _ in range(2000):
        value = draw.uniform(-1, 1) * 10 ** draw.randrange(-8, 8)
        assert "-" not in fixed(value)
        assert float(significant(value).replace("\u2212", "-").replace(",", "")) == pytest.approx(value, rel=6e-3)
        assert float(plain(value)) == pytest.approx(value, rel=1e-5)
