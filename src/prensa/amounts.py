"""Sizes and times as people write them: a number, and its unit behind it."""

from __future__ import annotations

import math
import string
from collections.abc import Mapping

from prensa.errors import SettingError

_SECONDS = {"": 1.0, "ms": 1e-3, "s": 1.0, "sec": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}


def bytes_of(value: float | str, option: str, expected: str) -> int:
    """Return the bytes of a number of them, or of a size such as ``"20MB"``, ``"8GiB"`` or ``"8G"``.

    Raises :class:`SettingError` for anything else, which calls it ``option`` and says what is ``expected``.
    """
    return int(_amount(value, _bytes(), option, expected))


def seconds_of(value: float | str, option: str, expected: str = "a time such as 10min or 90s") -> float:
    """Return the seconds of a number of them, or of a time: ``"5ms"``, ``"30s"``, ``"10min"``, ``"1h"``.

    Raises what :func:`bytes_of` raises.
    """
    return _amount(value, _SECONDS, option, expected)


def _bytes() -> dict[str, float]:
    units = {"": 1.0, "b": 1.0}
    for power, letter in enumerate("kmgt", 1):
        units[letter] = units[f"{letter}b"] = 1000.0**power
        units[f"{letter}i"] = units[f"{letter}ib"] = 1024.0**power
    return units


def _amount(value: float | str, units: Mapping[str, float], option: str, expected: str) -> float:
    text = str(value).strip().lower()
    digits = text.rstrip(string.ascii_lowercase)
    unit = text[len(digits) :]
    try:
        amount = float(digits) * units[unit]
    except (ValueError, KeyError):
        amount = math.nan
    # Neither NaN nor infinity, nor less than nothing.
    if not 0 <= amount < math.inf:
        raise SettingError(f"`{option}`: expected {expected}, found {value!r}")
    return amount
