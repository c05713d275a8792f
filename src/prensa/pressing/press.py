"""Press one tensor: its passes over its rows, on all cores, and what they did.

Rows go through the passes piece by piece, while they are in the processor's cache. A pass that needs the
whole tensor is a point where the pieces wait for each other.
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
from prensa.errors import ModelError
from prensa.ops.affine import Quantized
from prensa.ops.parallel import map_parallel, pieces
from prensa.ops.sparsity import count_zeros
from prensa.passes import Bound, Pass
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


@dataclass
class _Piece:
    """Some rows, those at ``at``, on their way through the passes, with numbers that add up over pieces.

    ``dense`` is ``value`` in float32. ``low`` and ``high`` are the range of the original rows, NaN where one
    of them is, and ``energy`` is their squared norm. ``zeros`` are counted before the first pass and after
    each, ``errors`` are the squared errors of each, ``error`` is that of all together.
    """

    at: slice
    original: Tensor | None
    value: Tensor | Quantized
    dense: Tensor | None
    low: float
    high: float
    energy: float
    zeros: list[int]
    errors: list[float] = dataclasses.field(default_factory=list)
    error: float = 0.0


def press(read: Read, spec: TensorSpec, steps: Sequence[Pass | Bound]) -> Pressed:
    """Put a tensor through its passes. ``read`` returns some of its rows.

    Raises :class:`ModelError` where they hold NaN or infinite values.
    """
    if not spec.is_float or not spec.numel:
        value = read(_ALL)
        return Pressed(value, count_zeros(value), 0.0, ())
    done = map_parallel(lambda rows: _begin(read(rows), rows, steps, spec), _cuts(spec))
    largest = _largest_magnitude(done, spec)
    notes = [step.declines(largest, spec.dtype) for step in steps]
    accepted = [step for step, note in zip(steps, notes, strict=True) if not note]
    if len(accepted) < len(steps):  # only now is the range known: begin again without those that decline
        done = map_parallel(lambda rows: _begin(read(rows), rows, accepted, spec), _cuts(spec))
    while done[0].original is not None:
        _go_on(done, accepted, spec)
    return _join(done, steps, notes)


def _cuts(spec: TensorSpec) -> list[slice]:
    if not spec.shape or spec.is_transposed:
        return [_ALL]
    return pieces(spec.shape[0], math.prod(spec.shape[1:]))


def _begin(rows: Tensor, at: slice, steps: Sequence[Pass | Bound], spec: TensorSpec) -> _Piece:
    low, high = rows.aminmax()
    dense = rows.float()
    norm = _squared_norm(dense)
    piece = _Piece(at, rows, rows, dense, low.item(), high.item(), norm, [count_zeros(rows)])
    _through(piece, steps, spec)
    return piece


def _go_on(done: list[_Piece], steps: Sequence[Pass | Bound], spec: TensorSpec) -> None:
    """Apply the next pass, which needs the whole tensor, and those behind it up to another one."""
    at = len(done[0].errors)
    before = [piece.value for piece in done if isinstance(piece.value, Tensor)]
    after = steps[at].apply(torch.cat(before) if len(before) > 1 else before[0], spec)
    sizes = [len(part) for part in before] if spec.shape else []
    parts = torch.split(after, sizes) if sizes and isinstance(after, Tensor) else [after]

    def go_on(pair: tuple[_Piece, Tensor | Quantized]) -> None:
        piece, part = pair
        piece.dense = _dense(piece.value)
        _record(piece, part)
        _through(piece, steps[at + 1 :], spec)

    map_parallel(go_on, list(zip(done, parts, strict=True)))


def _through(piece: _Piece, steps: Sequence[Pass | Bound], spec: TensorSpec) -> None:
    """Apply passes up to one that needs the whole tensor, or to the end."""
    for step in steps:
        if step.needs_whole:
            piece.dense = None  # its place in the cache is lost anyway
            return
        if not isinstance(piece.value, Quantized):
            _record(piece, step.apply(piece.value, spec, piece.at))
    if len(piece.errors) == 1:
        piece.error = piece.errors[0]
    elif piece.errors and piece.original is not None and piece.dense is not None:
        scratch = piece.dense if piece.dense is not piece.value else None  # the same where it is float32
        piece.error = _squared_norm(torch.sub(piece.original, piece.dense, out=scratch))
    piece.original = piece.dense = None


def _record(piece: _Piece, value: Tensor | Quantized) -> None:
    """Take over what a pass made of a piece, and what that cost."""
    before, dense = piece.dense, _dense(value)
    if before is not None:
        is_ours = bool(piece.errors)  # before the first pass it may be the original itself
        piece.errors.append(_squared_norm(torch.sub(before, dense, out=before if is_ours else None)))
    piece.value, piece.dense = value, dense
    piece.zeros.append(count_zeros(value.values if isinstance(value, Quantized) else value))


def _dense(value: Tensor | Quantized) -> Tensor:
    if not isinstance(value, Quantized):
        return value.float()
    rows = value.values.float().mul_((value.scale / value.levels)[:, None])
    if value.offset is not None:
        rows.add_(value.offset)
    return rows.t() if value.transposed else rows


def _squared_norm(tensor: Tensor) -> float:
    flat = tensor.reshape(-1)
    norm = torch.dot(flat, flat).item()
    return norm if math.isfinite(norm) else torch.dot(flat.double(), flat.double()).item()


def _largest_magnitude(done: list[_Piece], spec: TensorSpec) -> float:
    bounds = [bound for piece in done for bound in (piece.low, piece.high)]
    if all(map(math.isfinite, bounds)):
        return max(map(abs, bounds))
    kind = "NaN" if any(map(math.isnan, bounds)) else "infinite values"
    raise ModelError(
        f"{spec.file}: tensor {spec.name} holds {kind}, expected finite weights; the model was broken "
        "before it was saved, use an earlier checkpoint"
    )


def _join(done: list[_Piece], steps: Sequence[Pass | Bound], notes: Sequence[str]) -> Pressed:
    energy = math.fsum(piece.energy for piece in done) or 1.0
    zeros = [sum(counts) for counts in zip(*(piece.zeros for piece in done), strict=True)]
    errors = [math.fsum(parts) / energy for parts in zip(*(piece.errors for piece in done), strict=True)]
    made = zip((after - before for before, after in pairwise(zeros)), errors, strict=True)
    reports = tuple(
        PassReport(step.name, 0, 0.0, note) if note else PassReport(step.name, *next(made, (0, 0.0)))
        for step, note in zip(steps, notes, strict=True)
    )
    value = _concatenate([piece.value for piece in done])
    return Pressed(value, zeros[-1], math.fsum(piece.error for piece in done) / energy, reports)


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
