"""Two models as one: a small one answers where it is sure, and passes the rest on to the original.

The idea is old (Viola and Jones 2001, for faces; Wang et al., arXiv 2012.01988, for deep models): most texts
are easy, and a model knows rather well which are not.
"""

from __future__ import annotations

import dataclasses
import math
import threading
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from prensa.checkpoint.kinds import Kind, Task
from prensa.errors import DataError, SettingError
from prensa.serving.answers import Answering, Numbers, OfTexts, Window
from prensa.serving.exported import Inputs
from prensa.serving.margins import check_has_margins, margins, unsure
from prensa.serving.served import Served
from prensa.serving.waiting import Request
from prensa.texts.encoding import Row
from prensa.texts.given import Given
from prensa.texts.library import reads_alike
from prensa.texts.reader import Reader

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class TwoRows(Row):
    """What the small model reads of a text, and beside it what the original reads, where that differs."""

    original: Row


class PassedOn(Row):
    """What the original reads of a text that the small model was not sure of."""


class Cascade(Served):
    """A served model that asks another one where it is not sure enough. It answers whatever ``Served`` does.

    An answer is the small model's if its margin (see :func:`~prensa.serving.margins.margins`) is at least the
    threshold, else the original's. ``answered`` and ``passed_on`` count texts since it was loaded.
    """

    def __init__(self, small: Served, original: Served, threshold: float) -> None:
        """Put a small model before an original.

        Raises :class:`~prensa.errors.ModelError` for models that are no classifiers, and
        :class:`SettingError` where their labels differ or the threshold is no such number.
        """
        common_task(small.path, original.path, (small.facts.task, original.facts.task))
        if not (math.isfinite(threshold) and threshold >= 0):
            raise SettingError(f"`threshold` must be a margin from 0 to 1, found {threshold}")
        self.small = small
        self.original = original
        self.threshold = threshold
        # Such as how the threshold was found; whoever loads it knows.
        self.account = ""
        self.answered = 0
        self.passed_on = 0
        self._counting = threading.Lock()
        # Tokens are then the same for both, and each text is read once.
        self.reads_once = small.record.longest == original.record.longest and _read_alike(small, original)
        # What either of the two reads.
        inputs = dict.fromkeys((*small.record.inputs, *original.record.inputs))
        record = dataclasses.replace(small.record, inputs=tuple(inputs))
        super().__init__(self._answer_arrays, record, small.path)

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """That of the small model: one object, so that one lock guards it."""
        return self.small.tokenizer

    @property
    def reader(self) -> Reader:
        """Likewise."""
        return self.small.reader

    def __reduce__(self) -> tuple[Callable[..., Served], tuple[object, ...]]:
        return Cascade, (self.small, self.original, self.threshold)

    def counts(self) -> dict[str, int]:
        """Return how many texts each of the two has answered since it was loaded."""
        with self._counting:
            return {"small": self.answered - self.passed_on, "original": self.passed_on}

    def answering(self, prompt_name: str | None = None) -> Answering:
        """Return how texts are read, for both models, and answered."""
        own = self.small.answering(prompt_name)
        if self.reads_once:
            return own
        other = self.original.answering(prompt_name)
        if not (isinstance(own, OfTexts) and isinstance(other, OfTexts)):
            return own
        return OfTwo(
            own.tokenizer, own.limit, own.kind, own.labels, own.vector, own.prompt, own.wanted, other=other
        )

    def outputs_of(self, rows: Sequence[Row], kind: Kind) -> list[Numbers]:
        """Return what the two give for each row of a batch."""
        outputs = self.small.outputs_of(rows, kind)
        return self._completed(rows, outputs, kind, partial(self.original.outputs_of, kind=kind))

    def _in_line(
        self,
        rows: Sequence[Row],
        kind: Kind,
        batch_size: int,
        entered: Callable[[Request], None] | None,
    ) -> list[Numbers]:
        """Have all rows answered by the small model, and then those that go on, in batches of their own.

        The few of each batch that go on would be small batches, which cost more a text.
        """
        answer = partial(self._outputs_by_turn, kind=kind)

        def ask(some: Sequence[Row]) -> list[Numbers]:
            return self.desk.outputs(some, answer, batch_size, entered)

        return self._completed(rows, ask(rows), kind, ask)

    def _completed(
        self,
        rows: Sequence[Row],
        outputs: list[Numbers],
        kind: Kind,
        ask: Callable[[Sequence[Row]], list[Numbers]],
    ) -> list[Numbers]:
        """Put what ``ask`` gives of the original in place of outputs that the small model is not sure of."""
        later = self._unsure_of(outputs, kind)
        if later:
            theirs = ask([_passed_on(rows[number]) for number in later])
            for number, output in zip(later, theirs, strict=True):
                outputs[number] = output
        return outputs

    def _outputs_by_turn(self, rows: Sequence[Row], kind: Kind) -> list[Numbers]:
        """Return what each row's model gives: in one line wait rows for the one and rows for the other."""
        outputs: dict[int, Numbers] = {}
        for model, is_second in ((self.small, False), (self.original, True)):
            numbers = [number for number, row in enumerate(rows) if isinstance(row, PassedOn) == is_second]
            if numbers:
                own = model.outputs_of([rows[number] for number in numbers], kind)
                outputs.update(zip(numbers, own, strict=True))
        return [outputs[number] for number in range(len(rows))]

    def _unsure_of(self, outputs: Sequence[Numbers], kind: Kind) -> list[int]:
        """Return which answers of the small model do not count, and count them."""
        numbers = unsure(margins(kind, outputs), self.threshold)
        with self._counting:
            self.answered += len(outputs)
            self.passed_on += len(numbers)
        return numbers

    def _answer_arrays(self, inputs: Inputs) -> list[NDArray[np.float32]]:
        """Answer what a tokenizer gives, as an engine does: a pipeline calls it so."""
        if not self.reads_once:
            raise DataError(
                f"{self.path}: its tokenizer is not that of {self.original.path}, so that token ids are not "
                "enough for both; call predict() with texts"
            )
        task = self.facts.task
        assert task is not None  # noqa: S101  checked when it was made
        return [np.stack(self.outputs_of(_rows(inputs), task.kind))]


@dataclasses.dataclass
class OfTwo(OfTexts):
    """Answers to whole texts that two models read, each by its own tokenizer."""

    other: OfTexts | None = None

    def read(self, given: Sequence[Given], first: int) -> list[Window]:
        """Tokenize texts twice."""
        own = super().read(given, first)
        if self.other is None:
            return own
        others = self.other.read(given, first)
        windows = []
        for window, other in zip(own, others, strict=True):
            row = TwoRows(window.row)
            row.original = other.row
            windows.append(Window(row, window.owner))
        return windows


def common_task(small: Path, original: Path, tasks: tuple[Task | None, Task | None]) -> Task:
    """Return what both models do, ``tasks`` being those of their configs. Raises as :class:`Cascade`."""
    for path, task in zip((small, original), tasks, strict=True):
        check_has_margins(path, None if task is None else task.kind)
    if tasks[0] is None or tasks[0] != tasks[1]:
        raise SettingError(
            f"`then`: {original} has other labels than {small}; name the model that the small one was made "
            "from"
        )
    return tasks[0]


def _read_alike(small: Served, original: Served) -> bool:
    """Whether both models get the same ids and the same prompt of any text."""
    readers = (small.reader, original.reader)
    # Of one kind, so that they can be compared.
    if type(readers[0]) is not type(readers[1]):
        readers = (small.tokenizer, original.tokenizer)
    prompts = [getattr(reader, "prompt", "") for reader in readers]
    return prompts[0] == prompts[1] and reads_alike(*readers)


def _passed_on(row: Row) -> PassedOn:
    """Return what the original reads of a text that the small model reads as ``row``."""
    if isinstance(row, TwoRows):
        return PassedOn(row.original)
    return PassedOn(row)


def _rows(inputs: Inputs) -> list[Row]:
    """Turn inputs ``[batch, length]`` into a row for each text, without the padding behind it."""
    mask = inputs.get("attention_mask", np.ones_like(inputs["input_ids"]))
    rows = []
    for index, own in enumerate(mask):
        # Padding in front stays, with its mask: without it positions would be others.
        end = int(np.flatnonzero(own).max(initial=0)) + 1
        row: Row = {}
        for name, values in inputs.items():
            row[name] = values[index, :end].tolist()
        rows.append(row)
    return rows
