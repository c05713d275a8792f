"""Threads in which ``apredict`` answers while the event loop goes on.

There are a few of them, and whoever comes while all are busy waits with texts alone, not with what was made
of them: memory does not grow with the number of callers. They meet at the model's desk like all others.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from typing import TypeVar

from prensa.serving.desk import Desk
from prensa.serving.waiting import Request

# More callers at once make batches of more alike texts, and each has its rows in memory.
_THREADS = 16

T = TypeVar("T")


class Leaver:
    """Takes one caller's request out of the line, whenever it is there."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._lock = threading.Lock()
        self._request: Request | None = None
        self._has_left = False

    def enter(self, request: Request) -> None:
        """Remember a request that has just come into the line."""
        with self._lock:
            self._request = request
            has_left = self._has_left
        if has_left:
            self._desk.withdraw(request)

    def leave(self) -> None:
        """Withdraw what is in the line, and whatever comes there from now on."""
        with self._lock:
            self._has_left = True
            request = self._request
        if request is not None:
            self._desk.withdraw(request)


async def in_thread(work: Callable[[Leaver], T], desk: Desk) -> T:
    """Do ``work`` in one of the threads. Where the task is cancelled its request leaves the line."""
    leaver = Leaver(desk)
    loop = asyncio.get_running_loop()
    try:
        return await loop.run_in_executor(_threads(), partial(work, leaver))
    except asyncio.CancelledError:
        leaver.leave()
        raise


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_THREADS, "prensa-apredict")


# A forked child has none of these threads: it starts its own.
os.register_at_fork(after_in_child=_threads.cache_clear)
