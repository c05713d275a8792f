"""Threads that answer what is in the line, each replaced when it ends."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from prensa.serving.desk import AnswerRows, Desk

_log = logging.getLogger(__name__)

# Seconds that a thread has to end when the server does.
_ENDING = 5.0


def _ignore() -> None:
    """Report nothing."""


class Crew:
    """So many threads as batches may run at a time."""

    def __init__(
        self,
        desk: Desk,
        answer: AnswerRows,
        *,
        size: int,
        patience: float,
        replaced: Callable[[], None] = _ignore,
    ) -> None:
        """Prepare ``size`` threads; :meth:`start` has them work. ``replaced`` is called when one ends."""
        self._desk = desk
        self._answer = answer
        self._size = size
        self._patience = patience
        self._replaced = replaced
        self._lock = threading.Lock()
        self._threads: set[threading.Thread] = set()
        self._is_over = False

    def start(self) -> None:
        """Have all of them work."""
        for _ in range(self._size):
            self._hire()

    def stop(self) -> None:
        """Let each finish the batch that it has, and end."""
        with self._lock:
            self._is_over = True
            threads = list(self._threads)
        self._desk.look_up()
        for thread in threads:
            thread.join(_ENDING)

    @property
    def working(self) -> int:
        """How many are there."""
        with self._lock:
            return len(self._threads)

    def _hire(self) -> None:
        with self._lock:
            if self._is_over:
                return
            # Not one that the end of the program would wait for: it may hang in a runtime.
            thread = threading.Thread(target=self._work, name="prensa-worker", daemon=True)
            self._threads.add(thread)
        thread.start()

    def _work(self) -> None:
        try:
            self._desk.work(self._answer, lambda: self._is_over, self._patience)
        except BaseException as error:  # noqa: BLE001  whatever ends a thread, another one takes its place
            # Its message may hold a text, so only its kind is logged.
            _log.error("a worker ended (%s), another one takes its place", type(error).__name__)
            self._replaced()
        finally:
            with self._lock:
                self._threads.discard(threading.current_thread())
            self._hire()
