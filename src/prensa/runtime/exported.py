"""An exported model's own record: what runs it, how near it must stay, and a few answers to compare with."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prensa.errors import AccelerationError, FormatError
from prensa.texts.encoding import Row
from prensa.version import VERSION

FILE = "prensa_export.json"
TOLERANCES = {"fp32": 1e-3, "bf16": 0.1, "int8": 0.25}
"""For each precision, how far outputs may be from PyTorch's in float32, as :func:`distance` says it."""

SUFFIXES = {".xml", ".bin", ".onnx", ".data"}
"""Of the files that runtimes read."""

_VERSION = 1
_NUMBERS = 256  # of an output that are compared

Inputs = Mapping[str, NDArray[np.int64]]
Engine = Callable[[Inputs], list[NDArray[np.float32]]]
"""Takes inputs ``[batch, length]`` by name and gives the outputs in order."""


@dataclass(frozen=True)
class Gate:
    """What an export may lose: the share of right answers among ``inputs``, one text each, by ``max_drop``.

    ``right`` are the numbers of the right labels, or PyTorch's answers where labels are not known.
    """

    inputs: Sequence[Inputs]
    right: Sequence[int]
    max_drop: float

    def share(self, engine: Engine) -> float:
        """Return the share that an engine answers right."""
        found = (int(engine(each)[0].argmax()) for each in self.inputs)
        return sum(a == b for a, b in zip(found, self.right, strict=True)) / len(self.right)


@dataclass(frozen=True)
class Record:
    """What ``prensa_export.json`` holds.

    ``longest`` says how many pieces are read at most. ``difference`` was measured on ``texts`` when it was
    exported, and ``drop`` where a budget had to be kept. ``rows`` are texts, as pieces, and ``answers`` what
    PyTorch makes of each in float32.
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
    prensa_version: str = VERSION

    def save(self, directory: Path) -> None:
        """Write it into a directory."""
        content = {"version": _VERSION, **dataclasses.asdict(self)}
        (directory / FILE).write_text(json.dumps(content) + "\n", encoding="utf-8")


def is_export(directory: Path) -> bool:
    """Whether a directory holds an exported model."""
    return (directory / FILE).is_file()


def read_record(directory: Path) -> Record:
    """Read the record of an exported model. Raises :class:`FormatError` where it is damaged or unknown."""
    path = directory / FILE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        version = content.pop("version")
        if version != _VERSION:
            raise FormatError(
                f"{path}: version {version!r}, this Prensa knows {_VERSION}; export the model again"
            )
        for key in ("inputs", "rows"):
            content[key] = tuple(content[key])
        content["answers"] = tuple(tuple(answer) for answer in content["answers"])
        return Record(**content)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise FormatError(f"{path}: damaged ({error}); export the model again") from error


def arrays(row: Row, names: Sequence[str]) -> dict[str, NDArray[np.int64]]:
    """Return one text as inputs ``[1, length]``."""
    return {name: np.array([row[name]], dtype=np.int64) for name in names}


def whole(outputs: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Return what an engine gives as one array: of several outputs, one behind the other in each piece."""
    return outputs[0] if len(outputs) == 1 else np.stack(outputs, axis=-1)


def answer(output: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return what is compared of the output for one text: its numbers, of pieces those of the first ones."""
    return output.reshape(-1)[:_NUMBERS]


def distance(some: Sequence[NDArray[Any]], truth: Sequence[NDArray[Any]]) -> float:
    """Return how far answers are apart: root mean square, as a share of their spread over the texts.

    0 is the same; at 1 they are as far apart as the answers to any two texts. Of answers of several lengths
    the first numbers count.
    """
    shortest = min(map(len, truth))
    found, exact = (np.stack([each[:shortest] for each in answers]) for answers in (some, truth))
    spread = np.linalg.norm(exact - exact.mean(axis=0)) or np.linalg.norm(exact) or 1.0
    apart = float(np.linalg.norm(found.astype(np.float64) - exact) / spread)
    return apart if np.isfinite(apart) else float("inf")


def check(record: Record, engine: Engine, where: Path) -> None:
    """Have a runtime answer the record's texts on this machine and compare.

    Integers may saturate and kernels differ from one processor to the next. Raises
    :class:`AccelerationError`.
    """
    found = [answer(whole(engine(arrays(row, record.inputs)))) for row in record.rows]
    apart = distance(found, [np.array(each) for each in record.answers])
    allowed = TOLERANCES[record.precision]
    if apart > allowed:
        raise AccelerationError(
            f"{where}: {record.runtime} in {record.precision} answers otherwise than PyTorch on this machine "
            f"(distance {apart:.3g}, allowed {allowed:g}); export it here, or with another --precision"
        )
