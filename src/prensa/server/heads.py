"""A time limit for the head of a request, which Uvicorn does not have.

Prensa's own limits begin once a request's head is there. Until then, and after the answer, there is only a
connection: one that stays silent, or stops in the middle of a head, would be kept for ever, and as many as
``limit_concurrency`` allows shut everybody else out. Uvicorn closes a connection that is idle after an
answer, but a single byte ends that.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from uvicorn.protocols.http.h11_impl import H11Protocol as Protocol
else:
    # That of httptools where it is installed, else that of h11. Both have what is used here.
    from uvicorn.protocols.http.auto import AutoHTTPProtocol as Protocol


def in_time(seconds: float) -> type[asyncio.Protocol]:
    """Return Uvicorn's protocol with ``seconds`` for each head, from the connection or the last answer on."""

    class InTime(_InTime):
        limit = seconds

    return InTime


class _InTime(Protocol):
    limit: float
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._stop()

    def _wait(self) -> None:
        self._stop()
        self._timer = self.loop.call_later(self.limit, self._end)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _end(self) -> None:
        """Close the connection, unless a request came meanwhile: it has limits, and its answer waits anew."""
        if self.cycle is None or self.cycle.response_complete:
            # Closing would wait for a client that does not read the last of an answer.
            self.transport.abort()
