"""Where requests become answers: checked, tokenized, put in the line, waited for.

All of this runs in the event loop, but for long texts, which are tokenized in a thread, and the batches
themselves (:mod:`prensa.server.crew`). A request that nobody waits for any more leaves the line.
"""

from __future__ import annotations

import asyncio
import dataclasses
import math
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from starlette.requests import Request as HttpRequest

from prensa.errors import DataError, PrensaError, first_line
from prensa.server.body import Where
from prensa.server.crew import Crew
from prensa.server.limits import Limits
from prensa.server.metrics import Metrics
from prensa.server.refused import failed, gone, overloaded, too_large, wrong
from prensa.server.task import does
from prensa.serving.answers import NO_NUMBER, Answer, Answering, Numbers, OfTexts, Window, put_together
from prensa.serving.cascade import Cascade, OfTwo, TwoRows
from prensa.serving.desk import Desk
from prensa.serving.served import Served
from prensa.serving.spans import OfWords
from prensa.serving.waiting import Request
from prensa.texts.encoding import Row
from prensa.texts.given import Given, read_given
from prensa.texts.reader import alone

# Characters that are tokenized at once: in less time than handing them to a thread takes.
_AT_ONCE = 10_000
# Seconds that a client is told to wait, at least and at most.
_SOON = 1
_LATE = 60
# A batch that takes so many times as long as any request may hangs.
_HANGS = 2
# What earlier batches count beside the last one, in the time for a token.
_EARLIER = 0.8


@dataclass(frozen=True)
class Told:
    """Answers to the texts of a request, and what they took, in seconds."""

    answers: list[Answer]
    characters: int
    tokens: int
    tokenizing: float
    waiting: float
    answering: float


class Front:
    """Answers the requests of clients from a model."""

    def __init__(self, served: Served, name: str, limits: Limits, metrics: Metrics) -> None:
        """Open for a model that is loaded, and whose answers were checked.

        Raises :class:`DataError` where its task has no answers.
        """
        self.served = served
        self.name = name
        self.limits = limits
        self.answering = served.answering()
        names = served.facts.names
        self.does = does(self.answering, len(names))
        # No two the same; a model that gives a number has the name of that one alone.
        self.labels: Sequence[str] = getattr(self.answering, "labels", ()) or names
        self.desk = Desk(limits.max_batch_tokens, limits.workers, self._count_batch)
        answer = partial(served.outputs_of, kind=self.answering.kind)
        self._metrics = metrics
        self._crew = Crew(
            self.desk,
            answer,
            size=limits.workers,
            patience=limits.patience,
            replaced=metrics.replaced,
        )
        self._reader = ThreadPoolExecutor(1, "prensa-reader")
        # Texts that were taken on and have no answer yet.
        self._open = 0
        # Of the last batches: older ones count less and less.
        self._tokens = 0.0
        self._seconds = 0.0
        metrics.watch(lambda: self.desk.length, lambda: self.desk.tokens)
        if isinstance(served, Cascade):
            metrics.watch_cascade(served.counts)
        self._crew.start()

    @property
    def is_healthy(self) -> bool:
        """Whether somebody answers, and no batch hangs."""
        return self._crew.working > 0 and self.desk.longest_run < _HANGS * self.limits.seconds

    def close(self) -> None:
        """Let the workers finish what they have."""
        self._crew.stop()
        self._reader.shutdown(wait=False, cancel_futures=True)

    async def answer(
        self,
        http: HttpRequest,
        texts: Sequence[object],
        where: Where,
        *,
        truncate: bool | None = None,
        prompt_name: str | None = None,
    ) -> Told:
        """Answer texts in any form that ``predict`` takes, ``where(index)`` being where each was in the body.

        Raises :class:`~prensa.server.refused.Refused` for too many, for what is no text, for texts that are
        longer than the model reads unless they are to ``truncate``, where the model fails, and where the
        client leaves.
        """
        if truncate is None:
            truncate = self.limits.truncate
        self._admit(len(texts), where)
        self._open += len(texts)
        try:
            return await self._answered(http, texts, where, truncate=truncate, prompt_name=prompt_name)
        finally:
            self._open -= len(texts)

    def _admit(self, count: int, where: Where) -> None:
        if not count:
            raise wrong(where(0).removesuffix("[0]"), "empty, expected at least one text")
        if count > self.limits.max_texts:
            raise too_large(f"{count} texts in a request, at most {self.limits.max_texts} are allowed")
        if self._open + count > self.limits.max_queue:
            reason = f"{self._open} texts wait, at most {self.limits.max_queue} may; try again later"
            raise overloaded(reason, self._later())
        # It would wait for nothing, and make others wait.
        if self._wait > self.limits.seconds:
            reason = (
                f"what waits takes some {self._wait:.0f} seconds, and a request may take "
                f"{self.limits.seconds:g}; try again later"
            )
            raise overloaded(reason, self._later())

    @property
    def _wait(self) -> float:
        """In how many seconds what waits is answered, by the last batches; 0 before the first one."""
        if not self._tokens:
            return 0.0
        # As many batches at a time as there are workers.
        return self.desk.tokens * self._seconds / self._tokens / self.limits.workers

    def _later(self) -> int:
        """Return in how many seconds about half of what waits is answered."""
        return math.ceil(min(max(self._wait / 2, _SOON), _LATE))

    def _count_batch(self, lengths: Sequence[int], seconds: float) -> None:
        # By tokens: the first batch of all is short and slow, and would else count as much as a full one.
        self._tokens = _EARLIER * self._tokens + sum(lengths)
        self._seconds = _EARLIER * self._seconds + seconds
        self._metrics.batch(lengths, seconds)

    async def _answered(
        self,
        http: HttpRequest,
        texts: Sequence[object],
        where: Where,
        *,
        truncate: bool,
        prompt_name: str | None,
    ) -> Told:
        given = [self._given(text, index, where) for index, text in enumerate(texts)]
        characters = sum(len(one.text) + len(one.pair or "") for one in given)
        started = time.perf_counter()
        answering = self._prompted(prompt_name)
        windows = await self._read(answering, given, characters, truncate=truncate, where=where)
        tokenizing = time.perf_counter() - started
        request = await self._waited(http, windows)
        self._metrics.waited(request.began - request.since)
        answers = put_together(answering, given, windows, _outputs(request))
        if not all(answer.has_numbers for answer in answers):
            raise failed(NO_NUMBER)
        return Told(
            answers=answers,
            characters=characters,
            tokens=sum(len(window.row["input_ids"]) for window in windows),
            tokenizing=tokenizing,
            waiting=request.began - request.since,
            answering=request.ended - request.began,
        )

    def _given(self, text: object, index: int, where: Where) -> Given:
        try:
            return read_given(text, index, self.answering.wanted)
        except DataError as error:
            # Where it was in the body, in place of its index.
            reason = str(error).partition(f"input {index}")[2].lstrip(": ")
            raise wrong(where(index), reason) from None

    def _prompted(self, prompt_name: str | None) -> Answering:
        if prompt_name is None:
            return self.answering
        try:
            return self.served.answering(prompt_name)
        except PrensaError as error:
            reason = str(error).rpartition("; ")[2]
            raise wrong("prompt_name", f"the model has no such prompt; {reason}") from None

    async def _read(
        self,
        answering: Answering,
        given: Sequence[Given],
        characters: int,
        *,
        truncate: bool,
        where: Where,
    ) -> list[Window]:
        """Tokenize, and see that no text is too long."""
        # Whole first: what a tokenizer truncates does not show any more.
        whole = answering if truncate else _whole(answering)
        lock = alone(self.served.reader)
        # Never waited for in the event loop: somebody else may be reading a long text.
        if characters <= _AT_ONCE and lock.acquire(blocking=False):
            try:
                windows = _tokenized(whole, given, where)
            finally:
                lock.release()
        else:
            loop = asyncio.get_running_loop()
            work = partial(_tokenized_alone, self.served, whole, given, where)
            windows = await loop.run_in_executor(self._reader, work)
        for window in windows:
            _check_length(self.served, window.row, where(window.owner))
        return windows

    async def _waited(self, http: HttpRequest, windows: Sequence[Window]) -> Request:
        """Put rows in the line, and wait for their answers, or until the client leaves."""
        loop = asyncio.get_running_loop()
        finished: asyncio.Future[None] = loop.create_future()

        def finish() -> None:
            if not finished.done():
                finished.set_result(None)

        def done(_: Request) -> None:
            # The loop may be closed by now, and then nobody waits.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(finish)

        request = Request([window.row for window in windows], done=done)
        leaving = asyncio.ensure_future(_until_gone(http))
        self.desk.submit(request)
        try:
            await asyncio.wait({finished, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if not finished.done():
                raise gone()
        finally:
            leaving.cancel()
            # Does nothing where it is answered.
            self.desk.withdraw(request)
        return request


def _whole(answering: Answering) -> Answering:
    """Return how texts are read without being truncated, by neither of two models."""
    # The windows of a question have a limit by which nothing is lost.
    if not isinstance(answering, (OfTexts, OfWords)):
        return answering
    if isinstance(answering, OfTwo) and answering.other is not None:
        answering = dataclasses.replace(answering, other=dataclasses.replace(answering.other, limit=None))
    return dataclasses.replace(answering, limit=None)


def _check_length(served: Served, row: Row, place: str) -> None:
    """Raise :class:`~prensa.server.refused.Refused` (413) for a text longer than a model that may read it."""
    lengths = [("model", len(row["input_ids"]), served.record.longest)]
    if isinstance(served, Cascade) and isinstance(row, TwoRows):
        lengths.append(("original", len(row.original["input_ids"]), served.original.record.longest))
    for name, length, limit in lengths:
        if limit is not None and length > limit:
            raise too_large(
                f"{place}: {length} tokens, the {name} reads {limit}; shorten it, or send truncate: true",
                place,
            )


def _tokenized(answering: Answering, given: Sequence[Given], where: Where) -> list[Window]:
    try:
        return answering.read(given, 0)
    except DataError as error:
        # The question that leaves no room for its context; the message names its index.
        raise wrong(where(0), str(error).removeprefix("predict(): ")) from None


def _tokenized_alone(
    served: Served, answering: Answering, given: Sequence[Given], where: Where
) -> list[Window]:
    with alone(served.reader):
        return _tokenized(answering, given, where)


def _outputs(request: Request) -> list[Numbers]:
    """Return what the model gave. Raises :class:`~prensa.server.refused.Refused` (424) where it failed."""
    try:
        return request.in_order()
    except PrensaError as error:
        raise failed(f"the model failed ({first_line(error)})") from None
    except Exception as error:  # noqa: BLE001  a runtime's own; its words may hold what it was given
        raise failed(f"the model failed ({type(error).__name__})") from None


async def _until_gone(http: HttpRequest) -> None:
    """Wait until the client closes the connection."""
    while True:
        message = await http.receive()
        if message["type"] == "http.disconnect":
            return
