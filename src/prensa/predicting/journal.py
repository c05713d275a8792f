"""How far a run is, on disk after each part, so that one that was stopped goes on where it was.

It lies with the parts in a hidden directory beside the output, and says what they follow from: input, model,
options. Another input or another model would give a file of two halves, so they are refused.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from prensa.errors import DataError, FormatError, OutputError
from prensa.files.atomic import write_text
from prensa.files.kept import hidden_place
from prensa.files.lock import locked
from prensa.files.records import from_plain, read_json, to_plain
from prensa.predicting.shards import Place
from prensa.version import VERSION

_VERSION = 1
_FILE = "journal.json"
# Bytes at the start and the end of a file whose digest is kept.
_ENDS = 1 << 16
# Different reasons that are counted each by itself.
_REASONS = 20
_OTHER = "other reasons"


@dataclass(frozen=True)
class State:
    """The state of an input: for a directory, of all files in it."""

    name: str
    nbytes: int
    changed_ns: int
    ends: str


@dataclass(frozen=True)
class Done:
    """What is done of a shard: ``rows`` in ``parts``, and why rows of them have no answer.

    While it ``is_joined`` its file may be in place already.
    """

    rows: int = 0
    parts: int = 0
    problems: Mapping[str, int] = field(default_factory=dict)
    is_joined: bool = False
    is_whole: bool = False


@dataclass(frozen=True)
class _Content:
    """What the file holds."""

    version: int
    facts: Mapping[str, str]
    inputs: tuple[State, ...]
    shards: Mapping[str, Done]


class Journal:
    """What is done, by the names of shards."""

    def __init__(self, output: Path, facts: Mapping[str, str], places: Sequence[Place]) -> None:
        """Read what a stopped run left, if there is anything.

        ``facts`` are what the answers follow from, by words. Raises :class:`FormatError` where that run's
        were others or its input is another one, and where the file is damaged.
        """
        self.place = hidden_place(output, "predict")
        self.facts = {"version of Prensa": VERSION, **facts}
        self.inputs = tuple(map(state_of, places))
        self.shards: dict[str, Done] = {place.name: Done() for place in places}
        self._path = self.place / _FILE
        self._found = self._written()
        if self._found is not None:
            self._read()
            for place in places:
                # What was put in place and is gone is done again.
                if self.shards[place.name].is_whole and not place.target.exists():
                    self.shards[place.name] = Done()

    def _read(self) -> None:
        try:
            content = from_plain(read_json(self._path), _Content)
        except ValueError as error:
            raise FormatError(
                f"{self._path}: a damaged journal ({error}); remove {self.place} to begin again"
            ) from error
        self._compare(content.facts)
        # Some become known again only once the model is loaded.
        self.facts = {**content.facts, **self.facts}
        before = {state.name: state for state in content.inputs}
        for state in self.inputs:
            if before.get(state.name) != state:
                raise self._refused(f"other input ({state.name} is another file or has changed)")
        if content.version != _VERSION or len(before) != len(self.inputs):
            raise self._refused(f"other input ({len(before):,} files, now {len(self.inputs):,})")
        self.shards = dict(content.shards)

    def _compare(self, facts: Mapping[str, str]) -> None:
        for name, value in self.facts.items():
            if name in facts and facts[name] != value:
                raise self._refused(f"another {name}")

    def _refused(self, what: str) -> FormatError:
        return FormatError(
            f"{self.place}: left by a stopped run with {what}; remove it to begin again, or choose another "
            "`output`"
        )

    @property
    def ours(self) -> set[str]:
        """The shards whose files were put in place by the stopped run, or may have been."""
        return {name for name, done in self.shards.items() if done.is_whole or done.is_joined}

    @property
    def done(self) -> set[str]:
        """The shards whose answers are in place."""
        return {name for name, done in self.shards.items() if done.is_whole}

    @property
    def rows(self) -> int:
        """How many rows are done."""
        return sum(done.rows for done in self.shards.values())

    @property
    def problems(self) -> Counter[str]:
        """Why rows have no answer, and how many."""
        total: Counter[str] = Counter()
        for done in self.shards.values():
            total.update(done.problems)
        return total

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Keep what is done on disk while the block runs. What ends well leaves nothing behind.

        Raises :class:`OutputError` where another process is at it, or nothing can be written.
        """
        try:
            self.place.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"{self.place}: cannot be written ({error.strerror})") from error
        handle = _locked(self.place)
        try:
            # Between reading the journal and locking it, another run may have gone on, or ended.
            if self._written() != self._found:
                with suppress(OSError):
                    self.place.rmdir()
                raise OutputError(f"{self.place}: another run has written there meanwhile; run again")
            self._write()
            try:
                yield
            except BaseException:
                # With what has not begun nobody goes on.
                if not self.rows and not self.ours:
                    shutil.rmtree(self.place, ignore_errors=True)
                raise
            shutil.rmtree(self.place, ignore_errors=True)
        finally:
            if handle is not None:
                os.close(handle)

    def know(self, name: str, value: str) -> None:
        """Note one more fact. Raises :class:`FormatError` where it was another one."""
        if self.facts.get(name, value) != value:
            raise self._refused(f"another {name} ({self.facts[name]}, now {value})")
        self.facts[name] = value

    def part(self, name: str, number: int) -> Path:
        """Return where a part of a shard lies."""
        # Names of shards may have folders in them.
        key = hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:16]
        return self.place / f"{key}-{number:08d}"

    def add(self, name: str, rows: int, problems: Mapping[str, int]) -> None:
        """Remember a part that was written."""
        before = self.shards[name]
        total = Counter(before.problems)
        for reason, count in problems.items():
            known = reason if reason in total or len(total) < _REASONS else _OTHER
            total[known] += count
        self.shards[name] = replace(before, rows=before.rows + rows, parts=before.parts + 1, problems=total)
        self._write()

    def begin_joining(self, place: Place) -> None:
        """Remember that a shard is about to be put in place."""
        self.shards[place.name] = replace(self.shards[place.name], is_joined=True)
        self._write()

    def finish(self, place: Place) -> None:
        """Remember that a shard is in place, and remove its parts."""
        self.shards[place.name] = replace(self.shards[place.name], is_whole=True)
        self._write()
        for number in range(self.shards[place.name].parts):
            self.part(place.name, number).unlink(missing_ok=True)

    def check_unchanged(self, place: Place) -> None:
        """Raise :class:`DataError` if an input is not what it was when the run began."""
        names = [state.name for state in self.inputs]
        if state_of(place) != self.inputs[names.index(place.name)]:
            raise DataError(
                f"{place.source}: has changed while it was read; remove {self.place} and run again"
            )

    def _written(self) -> bytes | None:
        """Return what is in the journal's file, None if there is none."""
        try:
            return self._path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise OutputError(f"{self._path}: cannot be read ({error.strerror})") from error

    def _write(self) -> None:
        content = _Content(_VERSION, self.facts, self.inputs, self.shards)
        write_text(self._path, json.dumps(to_plain(content), indent=1) + "\n")


def state_of(place: Place) -> State:
    """Return the state of an input: sizes, times, and a digest of where files begin and end.

    Raises :class:`DataError` for a file that cannot be read.
    """
    try:
        return _state_of(place)
    except OSError as error:
        raise DataError(f"{place.source}: cannot be read ({error.strerror})") from error


def _state_of(place: Place) -> State:
    files = [place.source]
    if place.source.is_dir():
        files = sorted(path for path in place.source.rglob("*") if path.is_file())
    digest = hashlib.sha256()
    nbytes, changed = 0, 0
    for path in files:
        facts = path.stat()
        nbytes += facts.st_size
        changed = max(changed, facts.st_mtime_ns)
        with path.open("rb") as file:
            digest.update(file.read(_ENDS))
            file.seek(max(0, facts.st_size - _ENDS))
            digest.update(file.read(_ENDS))
    return State(place.name, nbytes, changed, digest.hexdigest())


def _locked(place: Path) -> int | None:
    """Lock the directory; None where the file system has no locks."""
    try:
        return locked(place)
    except BlockingIOError as error:
        raise OutputError(
            f"{place}: another run is writing there; wait for it, or choose another `output`"
        ) from error
    except OSError:
        return None
