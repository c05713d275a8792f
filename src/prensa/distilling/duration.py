"""For how long something learns, as a recipe or a command line says it."""

from __future__ import annotations

import math

from prensa.errors import SettingError

_SECONDS = {"s": 1.0, "sec": 1.0, "min": 60.0, "m": 60.0, "h": 3600.0}


def seconds_of(value: float | str, option: str) -> float:
    """Return the seconds of a number of them, or of a time such as ``"10min"``.

    Raises :class:`SettingError`, which calls it ``option``, for anything else.
    """
    text = str(value).strip().lower()
    digits = text.rstrip("abcdefghijklmnopqrstuvwxyz ")
    unit = text[len(digits) :].strip() or "s"
    try:
        seconds = float(digits) * _SECONDS[unit]
    except (ValueError, KeyError):
        seconds = 0.0
    if not 0 < seconds < math.inf:
        raise SettingError(f"`{option}`: expected a time such as 10min or 90s, found {value!r}")
    return seconds
