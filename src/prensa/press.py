"""Press one tensor: its passes over its rows, on all cores, and what they did.

Rows go through all passes piece by piece while they are in the processor's cache. Only where a pass must
see the whole tensor is the whole tensor one piece.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from prensa.checkpoint.manifest import PassReport
from prensa.errors import CheckpointError
from prensa.ops.affine import Quantized
from prensa.ops.parallel import map_parallel, pieces, submit
from prensa.ops.sparsity import count_zeros
from prensa.passes import Pass
from prensa.spec import TensorSpec

Read = Callable[[slice], Tensor]
_ALL = slice(None)


@dataclass(frozen=True)
class Pressed:
    """A tensor after its passes. Zeros and error are those of ``value`` against the original."""

    value: Tensor | Quantized
    zeros: int
    relative_squared_error: float
    reports: tuple[PassReport, ...]


@dataclass(frozen=True)
class _Piece:
    """Some rows after all passes, with numbers that add up over pieces.

    ``low`` and ``high`` are the range of the rows as they were, and NaN where one of them is; ``energy`` is
    their squared norm. ``zeros`` are counted before the first pass and after each. ``errors`` are the
    squared errors of each pass, and at last of all together.
    """

    value: Tensor | Quantized
    low: float
    high: float
    energy: float
    zeros: list[int]
    errors: list[float]


def start(read: Read, spec: TensorSpec, steps: Sequence[Pass]) -> Callable[[], Pressed]:
    """Begin to press a tensor on other threads; call what is returned to wait for the result.

    ``read`` returns some rows of the tensor. Waiting raises :class:`CheckpointError` where they hold NaN or
    infinite values.
    """
    if not spec.is_float or not spec.numel:
        value = read(_ALL)
        return lambda: Pressed(value, count_zeros(value), 0.0, ())
    futures = [submit(lambda rows: _press_rows(read(rows), spec, steps), rows) for rows in _cuts(spec, steps)]
    return lambda: _finish([future.result() for future in futures], read, spec, steps)


def _finish(done: list[_Piece], read: Read, spec: TensorSpec, steps: Sequence[Pass]) -> Pressed:
    largest = _largest_magnitude(done, spec)
    notes = [step.declines(largest, spec.dtype) for step in steps]
    if any(notes):  # only now is the range known: press again without the passes that decline
        accepted = [step for step, note in zip(steps, notes, strict=True) if not note]
        cuts = _cuts(spec, accepted)
        done = map_parallel(lambda rows: _press_rows(read(rows), spec, accepted), cuts)
    return _join(done, steps, notes)


def _cuts(spec: TensorSpec, steps: Sequence[Pass]) -> list[slice]:
    if not spec.shape or spec.is_transposed or any(step.needs_whole for step in steps):
        return [_ALL]
    return pieces(spec.shape[0], math.prod(spec.shape[1:]))


def _press_rows(rows: Tensor, spec: TensorSpec, steps: Sequence[Pass]) -> _Piece:
    low, high = rows.aminmax()
    value: Tensor | Quantized = rows
    original = dense = rows.float()
    zeros, errors = [count_zeros(rows)], []
    for step in steps:
        if isinstance(value, Quantized):
            break
        before, value = dense, step.apply(value, spec)
        dense = _dense(value)
        zeros.append(count_zeros(value.values if isinstance(value, Quantized) else value))
        errors.append(_squared_norm(before - dense))
    errors.append(_squared_norm(original - dense) if len(errors) > 1 else sum(errors))
    return _Piece(value, low.item(), high.item(), _squared_norm(original), zeros, errors)


def _dense(value: Tensor | Quantized) -> Tensor:
    if not isinstance(value, Quantized):
        return value.float()
    rows = value.values * (value.scale / value.levels)[:, None]
    return rows.t() if value.transposed else rows


def _squared_norm(tensor: Tensor) -> float:
    flat = tensor.reshape(-1)
    return torch.dot(flat, flat).item()


def _largest_magnitude(done: list[_Piece], spec: TensorSpec) -> float:
    bounds = [bound for piece in done for bound in (piece.low, piece.high)]
    if all(map(math.isfinite, bounds)):
        return max(map(abs, bounds))
    kind = "NaN" if any(map(math.isnan, bounds)) else "infinite values"
    raise CheckpointError(
        f"{spec.file}: tensor {spec.name} holds {kind}, expected finite weights; the model was broken "
        "before it was saved, use an earlier checkpoint"
    )


def _join(done: list[_Piece], steps: Sequence[Pass], notes: Sequence[str]) -> Pressed:
    energy = math.fsum(piece.energy for piece in done) or 1.0
    zeros = [sum(counts) for counts in zip(*(piece.zeros for piece in done), strict=True)]
    errors = [math.fsum(parts) / energy for parts in zip(*(piece.errors for piece in done), strict=True)]
    made = zip((after - before for before, after in pairwise(zeros)), errors, strict=False)
    reports = tuple(
        PassReport(step.name, 0, 0.0, note) if note else PassReport(step.name, *next(made, (0, 0.0)))
        for step, note in zip(steps, notes, strict=True)
    )
    return Pressed(_concatenate([piece.value for piece in done]), zeros[-1], errors[-1], reports)


def _concatenate(values: list[Tensor | Quantized]) -> Tensor | Quantized:
    first = values[0]
    if len(values) == 1:
        return first
    if not isinstance(first, Quantized):
        return torch.cat([value for value in values if isinstance(value, Tensor)])
    grids = [value for value in values if isinstance(value, Quantized)]
    return dataclasses.replace(
        first,
        values=torch.cat([grid.values for grid in grids]),
        scale=torch.cat([grid.scale for grid in grids]),
    )
