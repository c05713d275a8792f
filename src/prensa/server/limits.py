"""What a server takes on at most. It refuses more at once, so that what it has taken on is answered."""

from __future__ import annotations

import math
from dataclasses import dataclass

from prensa.errors import SettingError

_SECONDS = {"ms": 1e-3, "s": 1.0, "min": 60.0}
_BYTES = {"KB": 1e3, "MB": 1e6, "GB": 1e9, "B": 1.0}


@dataclass(frozen=True)
class Limits:
    """The limits of a server.

    ``workers`` batches run at a time, each of up to ``max_batch_tokens``, padding included. A batch waits up
    to ``max_wait`` for more texts. ``max_queue`` texts wait or are answered, all clients together, and a
    request has up to ``max_texts`` in up to ``max_body`` bytes. After ``timeout`` a request is given up.
    ``truncate`` says what becomes of texts that are longer than the model reads, unless a request says it:
    truncated, or refused.

    Times are seconds, or words as ``"5ms"``; sizes are bytes, or words as ``"2MB"``. Raises
    :class:`SettingError` for what is out of range.
    """

    workers: int = 1
    max_batch_tokens: int = 4096
    max_wait: float | str = "5ms"
    max_queue: int = 1024
    max_texts: int = 128
    max_body: int | str = "2MB"
    timeout: float | str = "30s"
    truncate: bool = False

    def __post_init__(self) -> None:
        """Check the ranges."""
        for name in ("workers", "max_batch_tokens", "max_queue", "max_texts"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise SettingError(f"`{name}` must be at least 1, found {value!r}")
        if self.max_texts > self.max_queue:
            raise SettingError(
                f"`max_texts` {self.max_texts}: one request would be more than `max_queue` {self.max_queue}"
            )
        if self.body < 1:
            raise SettingError(f"`max_body` must be at least 1 byte, found {self.max_body!r}")
        if not self.seconds:
            raise SettingError(f"`timeout` must be above 0, found {self.timeout!r}")
        # Not waiting at all is allowed, and a word that is no time is not.
        _ = self.patience

    @property
    def patience(self) -> float:
        """``max_wait`` in seconds."""
        return _amount("max_wait", self.max_wait, _SECONDS, "a time such as 5ms or 0s")

    @property
    def seconds(self) -> float:
        """``timeout`` in seconds."""
        return _amount("timeout", self.timeout, _SECONDS, "a time such as 30s or 2min")

    @property
    def body(self) -> int:
        """``max_body`` in bytes."""
        return int(_amount("max_body", self.max_body, _BYTES, "bytes, or a size such as 2MB"))


def _amount(name: str, value: float | str, units: dict[str, float], expected: str) -> float:
    """Return a number of units, which may be written behind it."""
    text = str(value).strip()
    factor = 1.0
    for unit, size in units.items():
        if text.lower().endswith(unit.lower()):
            text = text[: -len(unit)]
            factor = size
            break
    try:
        amount = float(text) * factor
    except ValueError:
        amount = math.nan
    # Neither NaN nor infinity, nor less than nothing.
    if not 0 <= amount < math.inf:
        raise SettingError(f"`{name}`: expected {expected}, found {value!r}")
    return amount
