"""An exported model's own record: what runs it, how near it must stay, and a few answers to compare with."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from prensa.errors import DifferentAnswersError, FormatError
from prensa.files.records import from_plain, read_json, to_plain
from prensa.serving.distance import Comparison, Rows, as_rows, distance, thinned
from prensa.serving.facts import Known
from prensa.texts.encoding import Row
from prensa.version import VERSION

FILE = "prensa_export.json"
TORCH = "torch"
"""The runtime that needs no export."""

TOLERANCES = {"fp32": 1e-3, "fp16": 0.02, "bf16": 0.1, "int8": 0.25, "int4": 0.25}
"""For each precision, how far answers may be from PyTorch's in float32 when a model is exported, and whenever
it is loaded, as a :class:`~prensa.serving.distance.Comparison` measures it."""

LOGITS, VECTORS = "logits", "last_hidden_state"
STARTS, ENDS = "start_logits", "end_logits"
"""What an engine gives first: of a model with a head its logits, of one that answers questions those of where
the answer starts and ends, else the vector of each token."""

# Lengths are rounded up to a multiple of it.
_STEP = 16
_VERSION = 3
# Version 1 kept built-in texts and the first numbers of each answer, without a scale; version 2 nothing of
# what transformers says of the model.
_READABLE = (1, 2, _VERSION)

Inputs = Mapping[str, NDArray[np.int64]]
Engine = Callable[[Inputs], list[NDArray[np.float32]]]
"""Takes inputs ``[batch, length]`` by name and gives the outputs in order."""


@dataclass(frozen=True)
class Record:
    """What ``prensa_export.json`` holds.

    ``longest`` is how many tokens are read at most. ``difference`` was measured on ``texts`` when it was
    exported, and ``drop`` where a budget had to be kept, of which ``said`` has the sentences. ``rows`` are a
    few of those texts, as token ids, which this runtime answered as PyTorch does; ``answers`` are PyTorch's,
    in float32, :func:`~prensa.serving.distance.thinned`, and ``scale`` is what a distance of 1 is in those.
    ``is_paddable`` says that texts were answered alike with padding behind them: those of any other model are
    answered one by one. ``back`` are the layers that have more bits than the precision says (8, or 32 for
    float32), which 8 bits or 4 cost too much, and ``share`` is the share of the weights in products that are
    multiplied in 8 bits. ``known`` is what ``transformers`` said of the files beside it, None in records of
    earlier versions.
    """

    runtime: str
    precision: str
    inputs: tuple[str, ...]
    output: str
    longest: int | None
    texts: str
    difference: float
    rows: tuple[Row, ...]
    answers: tuple[tuple[float, ...], ...]
    drop: float | None = None
    scale: float | None = None
    is_paddable: bool = False
    known: Known | None = None
    back: dict[str, int] = field(default_factory=dict)
    share: float | None = None
    said: tuple[str, ...] = ()
    prensa_version: str = VERSION

    def length(self, tokens: int) -> int:
        """Return to how many tokens texts are padded of which the longest has ``tokens``."""
        # PyTorch prepares itself for no length.
        if not self.is_paddable or self.runtime == TORCH:
            return tokens
        return padded_length(tokens, self.longest)

    def save(self, directory: Path) -> None:
        """Write it into a directory."""
        # The version comes first, so that whoever looks at the file sees it.
        content = {"version": _VERSION}
        content |= cast("dict[str, int]", to_plain(self))
        (directory / FILE).write_text(json.dumps(content) + "\n", encoding="utf-8")


def padded_length(tokens: int, longest: int | None) -> int:
    """Return to how many tokens texts had best be padded of which the longest has ``tokens``.

    A runtime prepares itself for each length that it meets, and for a small model that takes longer than an
    answer does. Matrices of 16 rows are also what processors multiply at once.
    """
    rounded = -(-tokens // _STEP) * _STEP
    if longest is not None:
        rounded = min(rounded, longest)
    return max(tokens, rounded)


def is_export(directory: Path) -> bool:
    """Whether a directory holds an exported model."""
    return (directory / FILE).is_file()


def read_record(directory: Path) -> Record:
    """Read the record of an exported model. Raises :class:`FormatError` where it is damaged or unknown."""
    path = directory / FILE
    try:
        content = read_json(path)
        # Before the fields: those of a version that is not known would look like damage.
        version = None
        if isinstance(content, dict):
            version = content.pop("version", None)
        if version in _READABLE:
            return from_plain(content, Record)
    except ValueError as error:
        raise FormatError(f"{path}: damaged ({error}); export the model again") from error
    readable = ", ".join(map(str, _READABLE))
    raise FormatError(f"{path}: version {version!r}, this Prensa reads {readable}; export the model again")


def arrays(row: Row, names: Sequence[str]) -> dict[str, NDArray[np.int64]]:
    """Return one text as inputs ``[1, length]``."""
    return {name: np.array([row[name]], dtype=np.int64) for name in names}


def whole(outputs: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Return what an engine gives as one array: of several outputs, one behind the other for each token."""
    if len(outputs) == 1:
        return outputs[0]
    return np.stack(outputs, axis=-1)


def check(record: Record, engine: Engine, where: Path) -> None:
    """Have a runtime answer the record's texts on this machine and compare.

    Integers may saturate and kernels differ from one processor to the next. Raises
    :class:`DifferentAnswersError`.
    """
    apart = apart_on_record(record, engine)
    allowed = TOLERANCES[record.precision]
    if apart > allowed:
        raise DifferentAnswersError(
            f"{where}: {record.runtime} in {record.precision} gives different answers from PyTorch on this "
            f"machine (distance {apart:.3g}, allowed {allowed:g}); export it here, or with another "
            "`precision`"
        )


def apart_on_record(record: Record, engine: Engine) -> float:
    """Return how far an engine's answers are from the record's, by the scale that was measured with them."""
    outputs = []
    for row in record.rows:
        output = whole(engine(arrays(row, record.inputs)))
        outputs.append(as_rows(output[0]))
    exact = [np.array(answer, dtype=np.float32) for answer in record.answers]
    if record.scale is None:
        return _apart_of_first_numbers(outputs, exact)

    comparison = Comparison(record.scale)
    for output, truth in zip(outputs, exact, strict=True):
        # As exporting did, and in one row: the record has the numbers alone.
        kept = thinned(output)
        comparison.add(kept.reshape(1, -1), truth.reshape(1, -1))
    if comparison.broken:
        return math.inf
    return comparison.distance


def _apart_of_first_numbers(outputs: Sequence[Rows], exact: Sequence[Rows]) -> float:
    """Compare as version 1 of a record was: as many numbers of each answer as the shortest one has."""
    shortest = min(map(len, exact), default=0)
    first_outputs = []
    first_exact = []
    for output, truth in zip(outputs, exact, strict=True):
        first_outputs.append(output.reshape(1, -1)[:, :shortest])
        first_exact.append(truth.reshape(1, -1)[:, :shortest])
    return distance(first_outputs, first_exact)
