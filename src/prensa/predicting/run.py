"""Answer all rows of all shards, window by window, and put each shard in place when it is whole."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from prensa.errors import DataError, OutputError, first_line
from prensa.files.temporary import is_full
from prensa.predicting.answers import NOTHING, Answered, Form, answer_rows, problem_of
from prensa.predicting.journal import Journal
from prensa.predicting.shards import Shard, check_free
from prensa.predicting.windows import Columns, Window
from prensa.progress import Progress
from prensa.serving.desk import Desk, OnBatch
from prensa.serving.served import Served


@dataclass(frozen=True)
class Predicted:
    """What came of it.

    ``texts`` rows are in ``output``, ``answered_before`` of which a stopped run had done. ``problems`` are
    why rows have no answer, and how many. ``seconds`` are those of this run, loading the model left out.
    """

    output: Path
    texts: int
    answered_before: int
    problems: Mapping[str, int] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def texts_a_second(self) -> float:
        """How fast it went, 0 where nothing was left to do."""
        if not self.seconds:
            return 0.0
        return (self.texts - self.answered_before) / self.seconds


@dataclass(frozen=True)
class Asked:
    """A window of a shard; None is behind its last one."""

    shard: Shard
    window: Window | None


class Answerers(Protocol):
    """Whoever answers windows: a model here, or several of them elsewhere."""

    def answers(self, asked: Iterable[Asked], on_batch: OnBatch) -> Iterator[tuple[Asked, Answered]]:
        """Yield windows with their answers, in order. ``on_batch`` is called as some of them come.

        Raises what reading a window raises, and what the model raises where it fails on every text.
        """


@dataclass(frozen=True)
class InProcess:
    """A model that is loaded here."""

    served: Served
    form: Form
    max_batch_tokens: int

    def answers(self, asked: Iterable[Asked], on_batch: OnBatch) -> Iterator[tuple[Asked, Answered]]:
        """Answer one window after the other."""
        # Batches are counted as they come: a window takes minutes.
        self.served.desk = Desk(self.max_batch_tokens, on_batch=on_batch)
        for one in asked:
            if one.window is None:
                yield one, NOTHING
            else:
                yield one, answer_rows(self.served, self.form, one.window.texts)


def predict_all(
    shards: Sequence[Shard],
    answerers: Answerers,
    form: Form,
    journal: Journal,
    output: Path,
    progress: Progress,
    *,
    force: bool,
) -> Predicted:
    """Answer what ``journal``, which is kept meanwhile, does not have yet. ``force`` replaces other files.

    Whoever answers, windows are read and written here, in their order: so what is written is the same, and
    the journal says of each file how many of its first rows are done.

    Raises :class:`DataError` for input that cannot be read any more or has changed, in a strict ``form`` for
    a row without an answer, and :class:`OutputError` where the answers cannot be written.
    """
    total = sum(shard.content.count for shard in shards)
    before = journal.rows
    step = _Step(progress, total, before)
    start = time.perf_counter()
    with _naming_what_is_full(journal, output):
        for asked, answered in answerers.answers(_asked(shards, journal), step.count):
            if asked.window is None:
                _put_in_place(asked.shard, journal, force=force)
            else:
                _write(asked.shard, asked.window, form, answered, journal)
                step.reach(journal.rows)
    seconds = time.perf_counter() - start
    return Predicted(output, total, before, dict(journal.problems), seconds)


def _asked(shards: Sequence[Shard], journal: Journal) -> Iterator[Asked]:
    """Read the windows that are not done yet."""
    for shard in shards:
        name = shard.place.name
        if name in journal.done:
            continue
        for window in shard.content.windows(shard.columns, journal.shards[name].rows):
            yield Asked(shard, window)
        yield Asked(shard, None)


def _write(shard: Shard, window: Window, form: Form, answered: Answered, journal: Journal) -> None:
    name = shard.place.name
    _refuse_problems(shard, form, window, answered)
    part = journal.part(name, journal.shards[name].parts)
    shard.output.write(part, window.kept, answered)
    journal.add(name, len(window), answered.problems)


def check_strictly(shard: Shard) -> None:
    """Raise :class:`DataError`, naming file and row, for the first row that has no text to answer."""
    columns = Columns(shard.columns.texts, ())
    for window in shard.content.windows(columns, 0):
        for number, cells in enumerate(zip(*window.texts, strict=True), window.first):
            problem = problem_of(cells)
            if problem is not None:
                raise DataError(_strictly(shard, number, problem))


def _put_in_place(shard: Shard, journal: Journal, *, force: bool) -> None:
    place = shard.place
    done = journal.shards[place.name]
    journal.check_unchanged(place)
    if not force:
        # Once more: hours may have passed, and another run may have written it.
        check_free(place, journal.ours)
    if done.rows != shard.content.count:
        raise DataError(
            f"{place.source}: {shard.content.count:,} rows were counted and {done.rows:,} read; it has "
            f"changed, remove {journal.place} and run again"
        )
    place.target.parent.mkdir(parents=True, exist_ok=True)
    journal.begin_joining(place)
    parts = [journal.part(place.name, number) for number in range(done.parts)]
    shard.output.join(parts, place.target)
    journal.finish(place)


def _refuse_problems(shard: Shard, form: Form, window: Window, answered: Answered) -> None:
    """Raise :class:`DataError` for the first row that the model has no answer to, in a strict form."""
    if not form.is_strict or not answered.problems:
        return
    for number, row in enumerate(answered.rows, window.first):
        if all(cell is None for cell in row.values()):
            problem = next(iter(answered.problems))
            raise DataError(_strictly(shard, number, problem))


def _strictly(shard: Shard, number: int, problem: str) -> str:
    names = ", ".join(map(repr, shard.columns.texts))
    return (
        f"{shard.place.source}: row {number:,}, {names}: {problem}; without `strict` its answer is left empty"
    )


@contextmanager
def _naming_what_is_full(journal: Journal, output: Path) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        kept = "nothing was answered yet"
        if journal.rows:
            kept = f"what is done is kept in {journal.place}, run the same again to go on"
        if is_full(error.__cause__ or error):
            raise OutputError(f"{output}: the disk is full; {kept}") from error
        if isinstance(error, OSError):
            raise OutputError(f"{output}: cannot be written ({first_line(error)}); {kept}") from error
        raise


class _Step:
    """Reports how many texts are answered, batch by batch."""

    def __init__(self, progress: Progress, total: int, done: int) -> None:
        self._progress = progress
        self._total = total
        self._reached = done
        self._count = done
        self._report()

    def count(self, lengths: Sequence[int], seconds: float) -> None:
        """Add a batch: of long contexts a text has several rows, so this may be too many for a while."""
        self._count = min(self._count + len(lengths), self._total)
        self._report()

    def reach(self, done: int) -> None:
        """Be exact again: so many rows are on disk."""
        self._count = done
        self._report()

    def _report(self) -> None:
        self._progress(f"answering {self._total:,} texts", self._count, self._total)
