"""Answer all rows of all shards, window by window, and put each shard in place when it is whole."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from prensa.errors import DataError, OutputError, first_line
from prensa.files.temporary import is_full
from prensa.predicting.answers import Answered, Form, answer_rows, problem_of
from prensa.predicting.journal import Journal
from prensa.predicting.shards import Shard
from prensa.predicting.windows import Columns, Window
from prensa.progress import Progress
from prensa.serving.desk import Desk
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


def predict_all(
    shards: Sequence[Shard],
    served: Served,
    form: Form,
    journal: Journal,
    output: Path,
    max_batch_tokens: int,
    progress: Progress,
) -> Predicted:
    """Answer what ``journal``, which is kept meanwhile, does not have yet.

    Raises :class:`DataError` for input that cannot be read any more or has changed, in a strict ``form`` for
    a row without an answer, and :class:`OutputError` where the answers cannot be written.
    """
    total = sum(shard.content.count for shard in shards)
    before = journal.rows
    step = _Step(progress, total, before)
    # Batches are counted as they come: a window takes minutes.
    served.desk = Desk(max_batch_tokens, on_batch=step.count)
    start = time.perf_counter()
    for shard in shards:
        place = shard.place
        if place.name in journal.done:
            continue
        with _naming_what_is_full(journal, output):
            for window in shard.content.windows(shard.columns, journal.shards[place.name].rows):
                answered = answer_rows(served, form, window.texts)
                _refuse_problems(shard, form, window, answered)
                part = journal.part(place.name, journal.shards[place.name].parts)
                shard.output.write(part, window.kept, answered)
                journal.add(place.name, len(window), answered.problems)
                step.reach(journal.rows)
            _put_in_place(shard, journal)
    seconds = time.perf_counter() - start
    return Predicted(output, total, before, dict(journal.problems), seconds)


def check_strictly(shard: Shard) -> None:
    """Raise :class:`DataError`, naming file and row, for the first row that has no text to answer."""
    columns = Columns(shard.columns.texts, ())
    for window in shard.content.windows(columns, 0):
        for number, cells in enumerate(zip(*window.texts, strict=True), window.first):
            problem = problem_of(cells)
            if problem is not None:
                raise DataError(_strictly(shard, number, problem))


def _put_in_place(shard: Shard, journal: Journal) -> None:
    place = shard.place
    done = journal.shards[place.name]
    journal.check_unchanged(place)
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
