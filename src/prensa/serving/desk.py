"""Where callers of one model meet, so that their texts are answered together.

One batch runs at a time (or a few): more would share the same cores. There are no threads here. Whoever waits
for an answer answers what is next in line meanwhile, its own or another caller's, in its own thread; a server
has threads that do nothing else (:mod:`prensa.server.crew`). So one caller alone has the model to itself,
many get batches of like length, and a forked child finds no thread missing.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError

from prensa.errors import ModelError
from prensa.serving.answers import Numbers
from prensa.serving.waiting import TOKENS, Place, Request, Waiting
from prensa.texts.encoding import Row

AnswerRows = Callable[[Sequence[Row]], list[Numbers]]
"""Gives what the model makes of a batch of rows, without padding."""

OnBatch = Callable[[Sequence[int], float], None]
"""Called after each batch with the tokens of its rows and the seconds that it took."""

_all: weakref.WeakSet[Desk] = weakref.WeakSet()


def _ignore(lengths: Sequence[int], seconds: float) -> None:
    """Report nothing."""


class Desk:
    """The line of one model. All methods may be called from any thread."""

    def __init__(self, tokens: int = TOKENS, at_once: int = 1, on_batch: OnBatch = _ignore) -> None:
        """Open with nothing in the line.

        A batch has up to ``tokens``, padding included, and ``at_once`` batches run at a time.
        """
        self._tokens = tokens
        self._at_once = at_once
        self._on_batch = on_batch
        self.reset()
        _all.add(self)

    def reset(self) -> None:
        """Forget all requests. A forked child does: their callers are threads that it does not have."""
        # The old one may be held by one of those.
        self._changed = threading.Condition()
        self._waiting = Waiting(self._tokens)
        # When each batch that runs began, by the thread that runs it.
        self._running: dict[int, float] = {}
        self._size_of_last = 1

    @property
    def length(self) -> int:
        """How many texts wait."""
        return len(self._waiting)

    @property
    def tokens(self) -> int:
        """How many tokens wait."""
        return self._waiting.tokens

    @property
    def longest_run(self) -> float:
        """For how many seconds the oldest batch has been running, 0 if none is."""
        with self._changed:
            if not self._running:
                return 0.0
            return time.perf_counter() - min(self._running.values())

    def outputs(
        self,
        rows: Sequence[Row],
        answer: AnswerRows,
        most: int | None = None,
        entered: Callable[[Request], None] | None = None,
    ) -> list[Numbers]:
        """Return what the model gives for each row, in at most ``most`` at a time.

        ``entered`` gets the request, for another thread to withdraw it. Raises what ``answer`` raises for one
        of the rows, and :class:`concurrent.futures.CancelledError` where it was withdrawn.
        """
        request = Request(rows, most)
        self.submit(request)
        if entered is not None:
            entered(request)
        try:
            self.work(answer, lambda: request.is_over)
        except BaseException:
            self.withdraw(request)
            raise
        if request.is_withdrawn:
            raise CancelledError
        return request.in_order()

    def submit(self, request: Request) -> None:
        """Put a request in the line."""
        request.since = time.perf_counter()
        with self._changed:
            self._waiting.add(request)
            self._changed.notify_all()

    def withdraw(self, request: Request) -> None:
        """Take a request out of the line. What runs already goes on, and is not kept."""
        with self._changed:
            if request.is_over:
                return
            request.is_withdrawn = True
            self._waiting.remove(request)
            self._changed.notify_all()

    def work(self, answer: AnswerRows, is_over: Callable[[], bool], patience: float = 0.0) -> None:
        """Answer batches until ``is_over``, which is looked at whenever something changes.

        A batch waits up to ``patience`` seconds for as many texts as the last one had: callers who have just
        got their answers come back together.
        """
        while True:
            batch = self._next(is_over, patience)
            if not batch:
                return
            self._run(batch, answer)

    def look_up(self) -> None:
        """Have all who wait look again whether they are done."""
        with self._changed:
            self._changed.notify_all()

    def _next(self, is_over: Callable[[], bool], patience: float) -> list[Place]:
        """Wait for the next batch, and take it; empty when it is over."""
        until: float | None = None
        with self._changed:
            while not is_over():
                if not self._waiting or len(self._running) >= self._at_once:
                    until = None
                    self._changed.wait()
                    continue
                if patience and len(self._waiting) < self._size_of_last:
                    if until is None:
                        until = time.perf_counter() + patience
                    remaining = until - time.perf_counter()
                    if remaining > 0:
                        self._changed.wait(remaining)
                        continue
                return self._take()
        return []

    def _take(self) -> list[Place]:
        batch = self._waiting.take()
        now = time.perf_counter()
        self._running[threading.get_ident()] = now
        self._size_of_last = len(batch)
        for place in batch:
            place.request.began = place.request.began or now
        return batch

    def _run(self, batch: Sequence[Place], answer: AnswerRows) -> None:
        began = time.perf_counter()
        try:
            results = _answered(batch, answer)
        except BaseException:
            # This thread ends, not the model: others answer what it had taken.
            self._give_back(batch)
            raise
        lengths = [place.length for place in batch]
        self._on_batch(lengths, time.perf_counter() - began)
        self._finish(batch, results)

    def _finish(self, batch: Sequence[Place], results: Sequence[Numbers | Exception]) -> None:
        """Hand results to their requests, and tell those that are complete."""
        now = time.perf_counter()
        complete = []
        with self._changed:
            self._running.pop(threading.get_ident(), None)
            for place, result in zip(batch, results, strict=True):
                request = place.request
                if isinstance(result, Exception):
                    request.error = request.error or result
                else:
                    request.outputs[place.index] = result
                request.missing -= 1
                if not request.missing and not request.is_withdrawn:
                    request.ended = now
                    complete.append(request)
            self._changed.notify_all()
        # Not under the lock: what is called may come back here.
        for request in complete:
            if request.done is not None:
                request.done(request)

    def _give_back(self, batch: Sequence[Place]) -> None:
        with self._changed:
            given_up = self._waiting.put_back(batch)
        reason = ModelError("the thread that answered ended twice with this text; the log says why")
        self._finish(given_up, [reason for _ in given_up])


def _answered(batch: Sequence[Place], answer: AnswerRows) -> list[Numbers | Exception]:
    """Answer a batch; where that fails each text alone, so that one text never fails another one."""
    try:
        return list(answer([place.row for place in batch]))
    except Exception as error:  # noqa: BLE001  whoever wanted it gets it
        if len(batch) == 1:
            return [error]
    results: list[Numbers | Exception] = []
    for place in batch:
        results += _answered([place], answer)
    return results


def _reset_all() -> None:
    for desk in list(_all):
        desk.reset()


os.register_at_fork(after_in_child=_reset_all)
