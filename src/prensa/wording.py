"""Numbers as people read them."""

from __future__ import annotations

import html
import math
from decimal import ROUND_HALF_UP, Decimal

_MINUS = "−"
# Powers of ten below this are written with an exponent.
_SMALLEST = -8


def megabytes(nbytes: float) -> str:
    """``1234567`` → ``"1.23 MB"``."""
    return f"{nbytes / 1e6:,.2f} MB"


def percent(part: float, whole: float = 1) -> str:
    """``(1, 8)`` → ``"12.5 %"``; a dash if the whole is 0."""
    if not whole:
        return "–"
    return f"{100 * part / whole:.1f} %"


def milliseconds(seconds: float) -> str:
    """``0.0123`` → ``"12.3 ms"``, with three digits that count."""
    return f"{_digits(1e3 * seconds)} ms"


def score(value: float, *, is_share: bool) -> str:
    """Word a metric: ``0.91754`` → ``"91.75 %"`` if it is a share, else ``"0.9175"``."""
    if is_share:
        return f"{_hundredths(value):.2f} %"
    return _digits(value, 4)


def signed(value: float, *, is_share: bool) -> str:
    """Word a difference: ``-0.0005`` → ``"−0.05"`` (points) if it is of shares, else ``"−0.0005"``."""
    text = f"{value:+.4f}"
    if is_share:
        text = f"{_hundredths(value):+.2f}"
    # What rounds to zero has no sign.
    if not float(text):
        return text.lstrip("+-")
    return text.replace("-", _MINUS)


def number(value: float, decimals: int = 2) -> str:
    """``-0.054`` → ``"−0.05"``; nothing that rounds to zero has a sign."""
    text = f"{value:.{decimals}f}"
    if not float(text):
        return text.lstrip("-")
    return text.replace("-", _MINUS)


def _hundredths(share: float) -> Decimal:
    """Return hundredths with two decimals, halves away from zero: 92.075 and 92.025 differ by 0.05."""
    # From the shortest decimal of the number: binary halves are a little more or less than a half.
    decimal = Decimal(repr(float(share))) * 100
    return decimal.quantize(Decimal("0.01"), ROUND_HALF_UP)


def printable(text: str) -> str:
    """Make one line of a text, without what could control a terminal: it may be anybody's."""
    letters = []
    for letter in text:
        visible = letter if letter.isprintable() else " "
        letters.append(visible)
    words = "".join(letters).split()
    return " ".join(words)


def as_markdown(words: str) -> str:
    """Make one line of Markdown of words, so that no label or name in them is taken for markup."""
    escaped = html.escape(words, quote=False)
    for mark in "\\`*_[]|":
        escaped = escaped.replace(mark, f"\\{mark}")
    return " ".join(escaped.split())


def _digits(value: float, count: int = 3) -> str:
    """Write a number with ``count`` digits that count, and without an exponent while that can be read."""
    if not value:
        return "0"
    magnitude = math.floor(math.log10(abs(value)))
    if magnitude < _SMALLEST:
        return f"{value:.{count - 1}e}".replace("-", _MINUS)
    decimals = max(0, count - 1 - magnitude)
    return f"{value:,.{decimals}f}".replace("-", _MINUS)
