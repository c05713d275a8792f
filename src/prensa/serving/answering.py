"""Answer many texts in PyTorch as fast as that goes without changing an answer.

Texts of like length are padded and answered together. That must not be taken for granted: some models mix
padding in, read the last position whatever is there, or count their tokens. So a few texts are answered one
by one first, by the model as it is, and the first way that gives the same answers is taken.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from prensa.serving.distance import Rows, as_rows, distance
from prensa.serving.exported import TOLERANCES, Engine, Inputs, arrays, whole
from prensa.texts.encoding import Encoded, Row, pad

Way = Literal["padded", "of equal length", "one by one"]

WAYS: tuple[Way, ...] = ("padded", "of equal length", "one by one")
"""From the fastest to the one that is always right."""

_TOKENS = 2048  # of a batch, padding included: more is no faster
_PROBES = 4


def probes(encoded: Encoded) -> list[int]:
    """Choose texts to try a way with: short ones of different lengths, the shortest twice if it can be."""
    order = sorted(range(len(encoded.rows)), key=lambda i: encoded.lengths[i])
    shorter = order[: max(_PROBES, len(order) // 2)]
    spread = [shorter[round(at * (len(shorter) - 1) / (_PROBES - 1))] for at in range(_PROBES)]
    alike = [i for i in shorter if encoded.lengths[i] == encoded.lengths[spread[0]]]
    return list(dict.fromkeys([*spread, *alike[:2]]))


def take(encoded: Encoded, indices: Sequence[int]) -> Encoded:
    """Keep some rows."""
    return replace(encoded, rows=[encoded.rows[i] for i in indices])


@dataclass(frozen=True)
class Answering:
    """A PyTorch engine, the inputs that it is given, and the way in which it answers many texts."""

    engine: Engine
    names: tuple[str, ...]
    way: Way

    def answers(self, encoded: Encoded) -> Iterator[tuple[int, Rows]]:
        """Yield each text's number and answer, the longest first."""
        for indices in _batches(encoded.lengths, self.way):
            rows = [encoded.rows[i] for i in indices]
            output = whole(self.engine(together(rows, encoded, self.names)))
            for number, index in enumerate(indices):
                yield index, own_rows(output[number], len(rows[number]["input_ids"]), encoded.side)


def one_by_one(engine: Engine, encoded: Encoded, names: tuple[str, ...]) -> list[Rows]:
    """Answer each text by itself, in order."""
    return [as_rows(whole(engine(arrays(row, names)))[0]) for row in encoded.rows]


def find_way(engine: Engine, encoded: Encoded, names: tuple[str, ...], truth: Sequence[Rows]) -> Way | None:
    """Return the fastest way in which an engine gives ``truth``, None where it gives it in no way."""
    for way in WAYS:
        try:
            found = dict(Answering(engine, names, way).answers(encoded))
        except Exception:  # noqa: BLE001, S112  a model that takes one text at a time, or one length
            continue
        if distance([found[i] for i in range(len(truth))], truth) <= TOLERANCES["fp32"]:
            return way
    return None


def together(rows: Sequence[Row], encoded: Encoded, names: Sequence[str]) -> Inputs:
    """Return texts as inputs ``[texts, longest]``, the shorter ones padded."""
    padded = pad(rows, encoded, "cpu")
    return {name: padded[name].numpy().astype(np.int64) for name in names}


def own_rows(output: NDArray[np.float32], length: int, side: str) -> Rows:
    """Return the rows of one text's output that are not padding's; a whole text's logits are one row."""
    if output.ndim == 1 or len(output) <= length:
        return as_rows(output)
    return as_rows(output[-length:] if side == "left" else output[:length])


def _batches(lengths: Sequence[int], way: Way) -> Iterator[list[int]]:
    order = sorted(range(len(lengths)), key=lambda i: -lengths[i])
    while order:
        size = 1 if way == "one by one" else max(1, _TOKENS // lengths[order[0]])
        chosen = order[:size]
        if way == "of equal length":
            chosen = [i for i in chosen if lengths[i] == lengths[order[0]]]
        yield chosen
        order = order[len(chosen) :]
