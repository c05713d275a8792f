"""Numbers as people read them."""

from __future__ import annotations

import math
from decimal import ROUND_HALF_UP, Decimal

_MINUS = "−"
_SMALLEST = -8  # powers of ten below this are written with an exponent


def megabytes(nbytes: float) -> str:
    """``1234567`` → ``"1.23 MB"``."""
    return f"{nbytes / 1e6:,.2f} MB"


def percent(part: float, whole: float = 1) -> str:
    """``(1, 8)`` → ``"12.5 %"``; a dash where there is no whole."""
    return f"{100 * part / whole:.1f} %" if whole else "–"


def milliseconds(seconds: float) -> str:
    """``0.0123`` → ``"12.3 ms"``, with three digits that count."""
    return f"{_digits(1e3 * seconds)} ms"


def score(value: float, *, is_share: bool) -> str:
    """Word a metric: ``0.91754`` → ``"91.75 %"`` where it is a share, ``"0.9175"`` elsewhere."""
    return f"{_hundredths(value):.2f} %" if is_share else _digits(value, 4)


def signed(value: float, *, is_share: bool) -> str:
    """Word a difference: ``-0.0005`` → ``"−0.05"`` (points) where it is of shares, else ``"−0.0005"``."""
    text = f"{_hundredths(value):+.2f}" if is_share else f"{value:+.4f}"
    return text.lstrip("+-") if not float(text) else text.replace("-", _MINUS)


def number(value: float, decimals: int = 2) -> str:
    """``-0.054`` → ``"−0.05"``; nothing that rounds to zero has a sign."""
    text = f"{value:.{decimals}f}"
    return text.lstrip("-") if not float(text) else text.replace("-", _MINUS)


def _hundredths(share: float) -> Decimal:
    """Return hundredths with two decimals, halves away from zero: 92.075 and 92.025 differ by 0.05."""
    return (Decimal(repr(float(share))) * 100).quantize(Decimal("0.01"), ROUND_HALF_UP)


def printable(text: str) -> str:
    """Make one line of a text, without what could control a terminal: it may be anybody's."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())


def _digits(value: float, count: int = 3) -> str:
    """Write a number with ``count`` digits that count, and without an exponent while that can be read."""
    if not value:
        return "0"
    magnitude = math.floor(math.log10(abs(value)))
    if magnitude < _SMALLEST:
        return f"{value:.{count - 1}e}".replace("-", _MINUS)
    return f"{value:,.{max(0, count - 1 - magnitude)}f}".replace("-", _MINUS)
