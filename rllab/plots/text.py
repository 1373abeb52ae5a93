"""Numbers as a reader sees them: few digits, a true minus sign, words where there is no number."""

from __future__ import annotations

import math
from collections.abc import Sequence

# ---- Numbers as a reader sees them: few digits, a true minus sign, words where there is no number ----

MINUS = "\u2212"


def fixed(value: float, places: int = 2, *, signed: bool = False) -> str:
    """Format a number with a fixed count of decimals; with `signed` the plus is written too.

    >>> fixed(-0.3512), fixed(0.3512, signed=True), fixed(-0.001), fixed(float("nan"))
    ('−0.35', '+0.35', '0.00', 'not a number')
    """
    if not math.isfinite(value):
        return _word(value)
    text = f"{abs(value):.{places}f}"
    if float(text) == 0.0:  # a rounded zero has no sign
        return text
    return (MINUS if value < 0 else "+" if signed else "") + text


def counted(count: int, word: str) -> str:
    """Format a count of something.

    >>> counted(1, "token"), counted(1200, "token")
    ('1 token', '1,200 tokens')
    """
    return f"{count:,} {word}" if count == 1 else f"{count:,} {word}s"


def significant(value: float, digits: int = 3) -> str:
    """Format a number with so many significant digits, the exponent in its shortest form.

    >>> significant(0.05), significant(0.0005), significant(123456.0), significant(-2e-7)
    ('0.05', '0.0005', '123,000', '−2e−7')
    """
    if not math.isfinite(value):
        return _word(value)
    if value == 0:
        return "0"
    size = abs(value)
    rounded = float(f"{size:.{digits}g}")
    if 1e-4 <= size < 1e9:
        places = max(0, digits - 1 - math.floor(math.log10(rounded)))
        text = f"{rounded:,.{places}f}"
        text = text.rstrip("0").rstrip(".") if "." in text else text
    else:
        mantissa, exponent = f"{size:.{digits - 1}e}".split("e")
        mantissa = mantissa.rstrip("0").rstrip(".")
        text = f"{mantissa}e{exponent.replace('-', MINUS).replace('+', '').replace(MINUS + '0', MINUS)}"
    return (MINUS if value < 0 else "") + text


def probability(value: float) -> str:
    """Format a probability with two decimals; one that would round to 0 is called small.

    >>> probability(0.414), probability(0.002), probability(0.0)
    ('0.41', '<0.01', '0.00')
    """
    return "<0.01" if 0 < value < 0.005 else fixed(value)


def plain(value: float) -> str:
    """Format a number so that a learner can edit it and a parser reads it back.

    >>> plain(0.05), plain(5e-4), plain(1.0)
    ('0.05', '5e-4', '1')
    """
    text = f"{value:.6g}".replace("e-0", "e-").replace("e+0", "e")
    if "e" not in text and 0 < abs(value) < 1e-3:
        mantissa, exponent = f"{value:.5e}".split("e")
        text = f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"
    return text


def apportioned(parts: Sequence[float], total: float, places: int = 2) -> list[float]:
    """Round the parts of a sum so that, as they are written, they add up to the total as it is written.

    Each is the nearest one that can be written, but for those that lie nearest to the middle between two.

    >>> apportioned([0.333, 0.333, 0.333], 0.999)
    [0.34, 0.33, 0.33]
    """
    unit = 10.0**-places
    exact = [part / unit for part in parts]
    whole = [round(part) for part in exact]
    missing = round(total / unit) - sum(whole)
    sign = 1 if missing > 0 else -1
    nearest = sorted(range(len(whole)), key=lambda at: sign * (whole[at] - exact[at]))
    for at in range(abs(missing) if whole else 0):
        whole[nearest[at % len(whole)]] += sign
    return [round(part * unit, places) + 0.0 for part in whole]


def _word(value: float) -> str:
    return "not a number" if math.isnan(value) else "infinite" if value > 0 else MINUS + "infinite"


# ---- The border that text from models and learners crosses on its way to a picture ----

_CONTROL_PICTURES = {code: 0x2400 + code for code in range(0x20) if chr(code) not in "\n\t"} | {0x7F: 0x2421}
# Embeddings and overrides would turn the text around them; marks (U+200E, U+200F) are harmless.
_TURNING = {code: f"[U+{code:04X}]" for code in (*range(0x202A, 0x202F), 0x2066, 0x2067)}
_FIRST_STRONG_ISOLATE, _POP_ISOLATE = "\u2068", "\u2069"
_LITERAL = str.maketrans(
    {"&": "&amp;", "<": "&lt;", ">": "&gt;", "$": "&#36;", "{": "&#123;"}
    | {"\n": "\u21b5", "\t": "\u21e5"}
    | {_FIRST_STRONG_ISOLATE: "", _POP_ISOLATE: ""}  # ours are put around the whole
)


def well_formed(text: str) -> str:
    r"""Return text that any encoder accepts: lone surrogates and controls become visible signs.

    >>> well_formed("a\ud800b\x00")
    'a�b␀'
    """
    if text.isprintable():  # of all that is dealt with below nothing counts as printable
        return text
    paired = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return paired.translate(_CONTROL_PICTURES).translate(_TURNING)


def esc(text: str, *, limit: int = 200) -> str:
    r"""Return text that plotly draws literally and that keeps its reading direction to itself.

    >>> esc("<b>$x$") == "\u2068&lt;b&gt;&#36;x&#36;\u2069"
    True
    """
    shown = well_formed(text)
    shown = shown if len(shown) <= limit else shown[: limit - 1] + "\u2026"
    return _FIRST_STRONG_ISOLATE + shown.translate(_LITERAL) + _POP_ISOLATE
