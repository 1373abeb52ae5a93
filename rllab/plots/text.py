"""The border that text from models and learners crosses on its way to a picture.

Plotly reads its strings as a small HTML, as LaTeX between dollar signs, and as templates with
`%{...}`; all three are switched off here by character entities, which it draws literally.
"""

from __future__ import annotations

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
