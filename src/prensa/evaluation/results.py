"""What an evaluation found, as frozen values that go to ``results.json`` and back.

Shares and probabilities are numbers from 0 to 1, times are seconds, sizes are bytes, divergences are nats.
What was not measured is None, or missing from its tuple.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Literal

from prensa.checkpoint.task import Task
from prensa.evaluation.decision import KEPT, decide
from prensa.files.atomic import at_home, write_text
from prensa.files.records import to_plain

ACCURACY, MACRO_F1, SPEARMAN = "accuracy", "macro F1", "Spearman correlation"
BITS, DISTANCE, CHANGED = "bits per byte", "1 − cosine", "changed answers"
"""What a drop may be of."""

RESULTS_VERSION = 1

AGREEMENT = "same answer"
"""The figure that says how many of the answers are the original's."""

FEW_SAME = 0.9
"""Below this share of the original's answers a score alone does not hold a budget for certain."""

Budget = Literal["none", "held", "doubtful", "undecided", "exceeded", "unknown"]
"""What became of the largest drop that was allowed.

``none``       none was given
``held``       the drop is within it, and so is its interval
``doubtful``   the drop is within it, but its interval reaches beyond or is missing, or fewer than
               ``FEW_SAME`` of the answers are the original's
``undecided``  the interval reaches beyond it and is wider than twice the budget: too few texts
``exceeded``   the drop is beyond it, or the result gives no numbers
``unknown``    the drop was not measured, or the original answers every text alike, so that it proves nothing
"""

Alike = Literal["", "constant", "one-sided"]
"""Whether an original answers every text alike.

``constant``   the same numbers for every text: nothing can be judged by it
``one-sided``  the same label for every text, with numbers that differ: agreement proves little
"""


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
    longer than ``max_length``.
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
class Metric:
    """A metric of both models, and its difference (result minus original) with a 95 % interval.

    ``note`` says why a number is None.
    """

    name: str
    original: float | None
    result: float | None
    interval: tuple[float, float] | None = None
    higher_is_better: bool = True
    is_share: bool = True
    note: str = ""

    @property
    def difference(self) -> float | None:
        """Result minus original."""
        if self.original is None or self.result is None:
            return None
        return self.result - self.original


def number_or_none(value: float) -> float | None:
    """Return a number that a file of JSON can hold: None in place of NaN."""
    if math.isnan(value):
        return None
    return value


@dataclass(frozen=True)
class Figure:
    """A number that compares the result's outputs with the original's, whatever the right answer is.

    ``interval`` is the 95 % interval, None if it was not computed.
    """

    name: str
    value: float
    is_share: bool = False
    interval: tuple[float, float] | None = None


@dataclass(frozen=True)
class Bin:
    """Predictions of like confidence: how many, how confident, and the share of them that was right."""

    count: int
    confidence: float
    right: float


@dataclass(frozen=True)
class Disagreement:
    """A text on which the models differ, what each says, and by how much (``Quality.disagreement``)."""

    text: str
    label: str
    original: str
    result: str
    amount: float


@dataclass(frozen=True)
class McNemar:
    """McNemar's exact test: answers that only one of the models has right."""

    only_original: int
    only_result: int
    p_value: float


@dataclass(frozen=True)
class Drop:
    """How much worse the result is, by the figure that its task is judged by; negative where it is better.

    All of them are shares: of accuracy or another score, of bits per byte (relative), of changed answers.
    The interval is missing if an interruption left no time for it.
    """

    of: str
    value: float
    interval: tuple[float, float] | None


@dataclass(frozen=True)
class Guessing:
    """The original does no better than guessing: its accuracy, and that of its answers when shuffled."""

    accuracy: float
    shuffled: float


@dataclass(frozen=True)
class Quality:
    """What the result answers, beside what the original answers.

    ``broken`` counts texts on which the result gives no number (NaN or infinity); then there is nothing else.
    ``disagreement`` names what the disagreements are sorted by. ``alike`` and ``guessing`` say what the
    original's own answers are worth as a measure; ``guessing`` is None where they are.
    """

    drop: Drop | None = None
    metrics: tuple[Metric, ...] = ()
    figures: tuple[Figure, ...] = ()
    mcnemar: McNemar | None = None
    reliability_original: tuple[Bin, ...] = ()
    reliability: tuple[Bin, ...] = ()
    disagreement: str = ""
    disagreements: tuple[Disagreement, ...] = ()
    broken: int = 0
    alike: Alike = ""
    guessing: Guessing | None = None

    @property
    def agreement(self) -> Figure | None:
        """The share of answers that are the original's, None if answers are no choices."""
        for figure in self.figures:
            if figure.name == AGREEMENT:
                return figure
        return None

    @property
    def has_few_same(self) -> bool:
        """Whether a score may stay as it was although many answers are others."""
        agreement = self.agreement
        if agreement is None or not self.is_of_a_score:
            return False
        return agreement.value < FEW_SAME

    @property
    def is_of_a_score(self) -> bool:
        """Whether the drop is one of right answers, which may be right about other texts than before."""
        return self.drop is not None and self.drop.of in {ACCURACY, MACRO_F1}


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
class Evaluation:
    """Everything that was measured.

    ``missing`` names what an interruption left out, ``problems`` says why something could not be measured,
    ``notes`` what a user should know of the models' checkpoints.
    ``folded`` are the timings of the original with its attention folded, empty if it has none to fold.
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

    def budget(self, result: Model) -> Budget:
        """Return whether a result's drop, as measured, is within ``max_drop``."""
        allowed = self.settings.max_drop
        quality = result.quality
        if allowed is None:
            return "none"
        # Before everything else: a result without numbers has no drop either, and is no doubt worse.
        if quality is not None and quality.broken:
            return "exceeded"
        if quality is None or quality.drop is None or quality.alike == "constant":
            return "unknown"
        decision = decide(quality.drop.value, quality.drop.interval, allowed)
        # The same score from other answers may be luck with these texts.
        if decision == "held" and quality.has_few_same:
            return "doubtful"
        return decision

    @property
    def within_budget(self) -> bool:
        """Whether every result is within ``max_drop``, or none was given."""
        return all(self.budget(result) in {"none", *KEPT} for result in self.results)

    def to_json(self) -> str:
        """Write everything out."""
        return json.dumps(to_plain(self), indent=1, ensure_ascii=False, allow_nan=False) + "\n"

    def save(self, path: Path) -> None:
        """Write ``path``, whole or not at all. Raises :class:`OutputError`."""
        write_text(at_home(path), self.to_json())
