"""The border that every string crosses on its way to a panel, and how tokens are made visible."""

from __future__ import annotations

from rllab.plots.text import well_formed

LIMIT = 8000  # characters of one string; a browser lays out more, a reader does not

_VISIBLE = str.maketrans({" ": "\u2423", "\n": "\u21b5", "\t": "\u21e5", "\r": "\u240d", "\u00a0": "\u237d"})


def clean(text: str, *, limit: int = LIMIT) -> str:
    r"""Return text that can be sent to the page: well formed and not longer than `limit`.

    Nothing is escaped, because the page sets text and never markup.

    >>> clean("<b>\ud800" + "x" * 10, limit=8)
    '<b>�xxx… (7 more characters)'
    """
    whole = well_formed(text)
    if len(whole) <= limit:
        return whole
    return f"{whole[: limit - 1]}\u2026 ({len(whole) - limit + 1} more characters)"


def visible(token: str) -> str:
    r"""Return a token with its white space made visible, and a sign where there is nothing.

    >>> visible(" the\n"), visible("")
    ('␣the↵', '∅')
    """
    return token.translate(_VISIBLE) or "\u2205"
