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
from prensa.texts.batches import by_tokens
from prensa.texts.encoding import Encoded, Row, pad

Way = Literal["padded", "of equal length", "one by one"]

WAYS: tuple[Way, ...] = ("padded", "of equal length", "one by one")
"""From the fastest to the one that is always right."""

# Tokens of a batch, padding included: more is no faster.
_TOKENS = 2048
_PROBES = 4


def probes(encoded: Encoded) -> list[int]:
    """Choose texts to try a way with: short ones of different lengths, the shortest twice if possible."""
    lengths = encoded.lengths
    # Short ones, since each is answered several times.
    order = sorted(range(len(lengths)), key=lambda index: lengths[index])
    half = max(_PROBES, len(order) // 2)
    shorter = order[:half]
    last = len(shorter) - 1
    chosen = []
    for number in range(_PROBES):
        at = round(number * last / (_PROBES - 1))
        chosen.append(shorter[at])
    # Two of one length, for the way that answers texts of equal length together.
    shortest = lengths[chosen[0]]
    alike = [index for index in shorter if lengths[index] == shortest]
    chosen += alike[:2]
    # Each once, in this order.
    return list(dict.fromkeys(chosen))


def take(encoded: Encoded, indices: Sequence[int]) -> Encoded:
    """Keep some rows."""
    rows = [encoded.rows[index] for index in indices]
    return replace(encoded, rows=rows)


@dataclass(frozen=True)
class InBatches:
    """A PyTorch engine, the inputs that it is given, and the way in which it answers many texts."""

    engine: Engine
    names: tuple[str, ...]
    way: Way

    def answers(self, encoded: Encoded) -> Iterator[tuple[int, Rows]]:
        """Yield each text's number and answer, the longest first."""
        lengths = encoded.lengths
        for batch in _batches(lengths, self.way):
            rows = [encoded.rows[index] for index in batch]
            inputs = together(rows, encoded, self.names)
            outputs = whole(self.engine(inputs))
            for index, output in zip(batch, outputs, strict=True):
                answer = own_rows(output, lengths[index], encoded.side)
                yield index, answer


def one_by_one(engine: Engine, encoded: Encoded, names: tuple[str, ...]) -> list[Rows]:
    """Answer each text by itself, in order."""
    answers = []
    for row in encoded.rows:
        output = whole(engine(arrays(row, names)))
        answers.append(as_rows(output[0]))
    return answers


def find_way(
    engine: Engine,
    encoded: Encoded,
    names: tuple[str, ...],
    truth: Sequence[Rows],
    allowed: float = TOLERANCES["fp32"],
) -> Way | None:
    """Return the fastest way in which an engine gives ``truth``, None where it gives it in no way.

    ``allowed`` is the distance that the engine's arithmetic explains.
    """
    # From the fastest on: the first one that is right is the best one.
    for way in WAYS:
        answering = InBatches(engine, names, way)
        try:
            answers = dict(answering.answers(encoded))
        except Exception:  # noqa: BLE001, S112  a model that takes one text at a time, or one length
            continue
        in_order = [answers[index] for index in range(len(truth))]
        if distance(in_order, truth) <= allowed:
            return way
    return None


def together(rows: Sequence[Row], encoded: Encoded, names: Sequence[str], length: int = 0) -> Inputs:
    """Return texts as inputs ``[texts, longest]``, the shorter ones padded, of at least ``length`` tokens."""
    padded = pad(rows, encoded, "cpu", length)
    return {name: padded[name].numpy().astype(np.int64) for name in names}


def own_rows(output: NDArray[np.float32], length: int, side: str) -> Rows:
    """Return the rows of one text's output that are not padding's; a whole text's logits are one row."""
    if output.ndim == 1 or len(output) <= length:
        return as_rows(output)
    if side == "left":
        return as_rows(output[-length:])
    return as_rows(output[:length])


def _batches(lengths: Sequence[int], way: Way) -> list[list[int]]:
    most = 1 if way == "one by one" else None
    return by_tokens(lengths, _TOKENS, most=most, equal=way == "of equal length")
