"""What a server takes on at most. It refuses more at once, so that what it has taken on is answered."""

from __future__ import annotations

from dataclasses import dataclass

from prensa.amounts import bytes_of, seconds_of
from prensa.errors import SettingError


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
        return seconds_of(self.max_wait, "max_wait", "a time such as 5ms or 0s")

    @property
    def seconds(self) -> float:
        """``timeout`` in seconds."""
        return seconds_of(self.timeout, "timeout", "a time such as 30s or 2min")

    @property
    def body(self) -> int:
        """``max_body`` in bytes."""
        return bytes_of(self.max_body, "max_body", "bytes, or a size such as 2MB")
