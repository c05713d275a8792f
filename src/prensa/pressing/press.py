"""Press one tensor: its passes over its rows, on all cores, and what they did.

Rows go through the passes block by block, while they are in the processor's cache. A pass that needs the
whole tensor is a point where the blocks wait for each other.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from prensa.checkpoint.manifest import PassReport
from prensa.errors import ModelError
from prensa.ops.affine import Quantized
from prensa.ops.parallel import BY_COLUMNS, map_parallel, row_blocks
from prensa.ops.sparsity import count_zeros
from prensa.ops.spec import TensorSpec
from prensa.pressing.block import Block, Steps, dense_values, joined

Read = Callable[[slice], Tensor]
_ALL = slice(None)


@dataclass(frozen=True)
class Pressed:
    """A tensor after its passes. Zeros and error are those of ``value`` against the original."""

    value: Tensor | Quantized
    zeros: int
    relative_squared_error: float
    reports: tuple[PassReport, ...]


def press(read: Read, spec: TensorSpec, steps: Steps) -> Pressed:
    """Put a tensor through its passes. ``read`` returns some of its rows.

    Raises :class:`ModelError` if they hold NaN or infinite values, or if the passes make some.
    """
    if not spec.is_float or not spec.numel:
        value = read(_ALL)
        return Pressed(value, count_zeros(value), 0.0, ())
    blocks = _begin(read, spec, steps)
    largest = _largest_magnitude(blocks, spec)
    accepted = []
    notes = []
    for step in steps:
        note = step.declines(largest, spec.dtype)
        notes.append(note)
        if not note:
            accepted.append(step)
    if len(accepted) < len(steps):
        # The range is known only now that all has been read: begin again without the passes that decline.
        blocks = _begin(read, spec, accepted)
    while not blocks[0].is_done:
        _apply_to_whole(blocks, accepted, spec)
    pressed = _result(blocks, steps, notes)
    _check_finite(pressed, spec)
    return pressed


def _begin(read: Read, spec: TensorSpec, steps: Steps) -> list[Block]:
    """Read all blocks and take each through the passes as far as it gets alone."""

    def begin(rows: slice) -> Block:
        block = Block.of(read(rows), rows)
        block.go_through(steps, spec)
        return block

    return map_parallel(begin, _blocks(spec, steps))


def _blocks(spec: TensorSpec, steps: Steps) -> list[slice]:
    # A scalar has no rows. A transposed matrix has its outputs along the columns: a block of its rows has a
    # part of every output.
    if not spec.shape or spec.is_transposed:
        return [_ALL]
    rows, *rest = spec.shape
    columns = math.prod(rest)
    if any(step.goes_by_columns for step in steps):
        return row_blocks(rows, columns, BY_COLUMNS)
    return row_blocks(rows, columns)


def _apply_to_whole(blocks: list[Block], steps: Steps, spec: TensorSpec) -> None:
    """Apply the next pass, which needs the whole tensor, and those behind it up to another one."""
    # Each pass that was applied has left an error.
    at = len(blocks[0].errors)
    before = dense_values(blocks)
    # A single block is the whole tensor already, without a copy.
    whole = before[0] if len(before) == 1 else torch.cat(before)
    after = steps[at].apply(whole, spec)

    # The result is split where it was joined. A scalar, or a tensor of integers, comes from a single block.
    parts: Sequence[Tensor | Quantized] = [after]
    if spec.shape and isinstance(after, Tensor):
        sizes = list(map(len, before))
        parts = torch.split(after, sizes)

    def go_on(pair: tuple[Block, Tensor | Quantized]) -> None:
        block, part = pair
        block.go_on(part, steps[at + 1 :], spec)

    map_parallel(go_on, list(zip(blocks, parts, strict=True)))


def _largest_magnitude(blocks: list[Block], spec: TensorSpec) -> float:
    """Return the largest magnitude of the original. Raises :class:`ModelError` if it is not finite."""
    bounds = []
    for block in blocks:
        bounds += [block.low, block.high]
    if all(map(math.isfinite, bounds)):
        return max(map(abs, bounds))
    kind = "NaN" if any(map(math.isnan, bounds)) else "infinite values"
    raise ModelError(
        f"{spec.file}: tensor {spec.name} holds {kind}, expected finite weights; the model was broken "
        "before it was saved, use an earlier checkpoint"
    )


def _result(blocks: list[Block], steps: Steps, notes: Sequence[str]) -> Pressed:
    """Put the blocks together and add up what was measured of each."""
    energies = []
    errors = []
    for block in blocks:
        energies.append(block.energy)
        errors.append(block.error)
    # A tensor of zeros has no energy that an error could be a share of; its errors are zero.
    energy = math.fsum(energies) or 1.0

    reports = []
    applied = 0
    for step, note in zip(steps, notes, strict=True):
        # A pass that declined, or that came after quantization, has changed nothing.
        if note or applied == len(blocks[0].errors):
            reports.append(PassReport(step.name, 0, 0.0, note))
            continue
        zeros_added = _zeros(blocks, applied + 1) - _zeros(blocks, applied)
        error = _error(blocks, applied) / energy
        reports.append(PassReport(step.name, zeros_added, error))
        applied += 1
    return Pressed(
        value=joined(blocks),
        zeros=_zeros(blocks, applied),
        relative_squared_error=math.fsum(errors) / energy,
        reports=tuple(reports),
    )


def _check_finite(pressed: Pressed, spec: TensorSpec) -> None:
    """Raise :class:`ModelError` if passes made values that are not finite: their error is not, either."""
    if math.isfinite(pressed.relative_squared_error):
        return
    names = ", ".join(report.name for report in pressed.reports)
    raise ModelError(
        f"{spec.file}: tensor {spec.name} has NaN or infinite values after its passes ({names}), expected "
        "finite ones; have these passes ignore it"
    )


def _zeros(blocks: list[Block], applied: int) -> int:
    """Count the zeros of all blocks after so many passes."""
    count = 0
    for block in blocks:
        count += block.zeros[applied]
    return count


def _error(blocks: list[Block], applied: int) -> float:
    """Return the squared error that the pass after so many others added."""
    errors = []
    for block in blocks:
        errors.append(block.errors[applied])
    # Exact whatever the order, so that a report does not depend on how the tensor was split.
    return math.fsum(errors)
