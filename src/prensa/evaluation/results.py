"""What an evaluation found, as frozen values that go to ``results.json`` and back.

Shares and probabilities are numbers from 0 to 1, times are seconds, sizes are bytes, divergences are nats.
What was not measured is None, or missing from its tuple.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Literal

from prensa.checkpoint.kinds import Task
from prensa.evaluation.budget import Budget
from prensa.evaluation.cascade_threshold import Choice
from prensa.evaluation.decision import KEPT, Decision
from prensa.evaluation.figures import Drop, Quality
from prensa.files.atomic import at_home, write_text
from prensa.files.records import to_plain

RESULTS_VERSION = 1


@dataclass(frozen=True)
class Settings:
    """The parameters of :func:`prensa.evaluate`, None where the default was taken."""

    original: str
    results: tuple[str, ...]
    data: str | None = None
    text_column: str | None = None
    label_column: str | None = None
    split: str | None = None
    limit: int | None = None
    batch_size: int | None = None
    max_length: int | None = None
    device: str | None = None
    dtype: str | None = None
    max_drop: float | None = None
    encoding: str | None = None
    labels: dict[str, str] | None = None
    cascade: float | None = None
    metric: str | None = None
    min_recall: dict[str, float] | None = None
    label_threshold: dict[str, float | str] | None = None

    @property
    def budget(self) -> Budget:
        """What a result must hold to."""
        return Budget(max_drop=self.max_drop, min_recall=self.min_recall)


@dataclass(frozen=True)
class Machine:
    """Where it ran. ``threads`` are PyTorch's on the processor; ``accelerator`` is empty without one."""

    processor: str
    instruction_sets: tuple[str, ...]
    cores: int
    threads: int
    memory_bytes: int
    system: str
    accelerator: str
    versions: dict[str, str]


@dataclass(frozen=True)
class Data:
    """The texts. ``measured`` of ``texts`` were predicted, fewer where the run was interrupted.

    ``account`` says in one line what was read, how the labels were understood, and which rows were left out.
    ``quartiles`` are lengths in tokens: shortest, 25 %, median, 75 %, longest. ``truncated`` texts were
    longer than ``max_length``. ``queries`` of them had passages to rank.
    """

    name: str
    columns: tuple[str, ...]
    label_columns: tuple[str, ...]
    texts: int
    measured: int
    labelled: bool
    is_smoke_test: bool
    truncated: int
    max_length: int | None
    quartiles: tuple[int, ...]
    account: str = ""
    queries: int = 0


@dataclass(frozen=True)
class File:
    """A file of a model directory. ``copy`` are weights that ``from_pretrained`` does not read."""

    name: str
    nbytes: int
    kind: Literal["weights", "copy", "other"]


@dataclass(frozen=True)
class Timing:
    """Seconds of every round at one length and batch size; the same round of another model ran beside it."""

    tokens: int
    batch_size: int
    seconds: tuple[float, ...]


@dataclass(frozen=True)
class Memory:
    """Load times and peak memory, measured in a separate process.

    ``load_seconds`` are those of each load; the peak includes memory used before loading. ``peak_bytes`` and
    ``before_bytes`` are resident memory, ``accelerator_bytes`` the peak of the device's allocator, None on a
    processor.
    """

    load_seconds: tuple[float, ...]
    before_bytes: int
    peak_bytes: int
    accelerator_bytes: int | None


@dataclass(frozen=True)
class Retokenized:
    """How many of the texts a trimmed vocabulary tokenizes differently, and what is lost on them alone.

    Of language models these texts were left out.
    """

    texts: int
    drop: Drop | None


@dataclass(frozen=True)
class Model:
    """One of the models. ``quality`` is None for the original; ``recipe`` is a result's TOML, or empty."""

    name: str
    path: str
    dtype: str
    files: tuple[File, ...]
    recipe: str = ""
    quality: Quality | None = None
    timings: tuple[Timing, ...] = ()
    memory: Memory | None = None
    retokenized: Retokenized | None = None

    @property
    def weight_bytes(self) -> int:
        """Bytes of the files that ``from_pretrained`` reads weights from."""
        return sum(file.nbytes for file in self.files if file.kind == "weights")

    @property
    def total_bytes(self) -> int:
        """Bytes of all files."""
        return sum(file.nbytes for file in self.files)

    @property
    def load_seconds(self) -> float | None:
        """Median time to load."""
        if self.memory is None:
            return None
        return median(self.memory.load_seconds)


@dataclass(frozen=True)
class Cascade:
    """A result before the original: it answers where it is sure, and the original the rest.

    ``quality`` is that on the texts that the threshold of ``choice`` was confirmed on. The timings are of the
    same texts, of which as large a share goes on: the original alone, the result alone, and both; None where
    they were not taken.
    """

    result: str
    choice: Choice
    quality: Quality
    of_original: Timing | None = None
    of_result: Timing | None = None
    of_both: Timing | None = None

    @property
    def times_as_fast(self) -> float | None:
        """How many times as fast as the original alone both are: the ratio of medians."""
        if self.of_original is None or self.of_both is None:
            return None
        return median(self.of_original.seconds) / median(self.of_both.seconds)


@dataclass(frozen=True)
class Evaluation:
    """Everything that was measured.

    ``missing`` names what an interruption left out, ``problems`` says why something could not be measured,
    ``notes`` what a user should know of the models' checkpoints.
    ``folded`` are the timings of the original with its attention folded, empty if it has none to fold.
    ``cascades`` are the results before the original, if that was asked for.
    """

    settings: Settings
    date: str
    machine: Machine
    task: Task
    data: Data
    device: str
    batch_size: int
    nbytes_float32: int
    original: Model
    results: tuple[Model, ...]
    missing: tuple[str, ...]
    problems: tuple[str, ...]
    prensa_version: str
    version: int = RESULTS_VERSION
    folded: tuple[Timing, ...] = ()
    notes: tuple[str, ...] = ()
    cascades: tuple[Cascade, ...] = ()

    def budget(self, result: Model) -> Decision:
        """Say whether a result, as measured, keeps to ``max_drop`` and ``min_recall``."""
        return self.settings.budget.decide(result.quality)

    @property
    def within_budget(self) -> bool:
        """Whether every result keeps to ``max_drop`` and ``min_recall``, or none was given."""
        return all(self.budget(result) in KEPT for result in self.results)

    def to_json(self) -> str:
        """Write everything out."""
        return json.dumps(to_plain(self), indent=1, ensure_ascii=False, allow_nan=False) + "\n"

    def save(self, path: Path) -> None:
        """Write ``path``, whole or not at all. Raises :class:`OutputError`."""
        write_text(at_home(path), self.to_json())
