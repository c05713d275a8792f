"""Press one tensor: its passes over its rows, on all cores, and what they did.

Rows go through the passes block by block, while they are in the processor's cache. A pass that needs the
whole tensor is a point where the blocks wait for each other.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

from prensa.checkpoint.manifest import PassReport
from prensa.errors import ModelError
from prensa.ops.affine import Quantized
from prensa.ops.parallel import map_parallel, row_blocks
from prensa.ops.sparsity import count_zeros
from prensa.pressing.block import Block, Steps, dense_values, joined
from prensa.spec import TensorSpec

Read = Callable[[slice], Tensor]
Number = TypeVar("Number", int, float)
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

    Raises :class:`ModelError` if they hold NaN or infinite values.
    """
    if not spec.is_float or not spec.numel:
        value = read(_ALL)
        return Pressed(value, count_zeros(value), 0.0, ())
    blocks = _begin(read, spec, steps)
    largest = _largest_magnitude(blocks, spec)
    notes = [step.declines(largest, spec.dtype) for step in steps]
    accepted = [step for step, note in zip(steps, notes, strict=True) if not note]
    if len(accepted) < len(steps):
        # The range is known only now that all has been read: begin again without the passes that decline.
        blocks = _begin(read, spec, accepted)
    while not blocks[0].is_done:
        _apply_to_whole(blocks, accepted, spec)
    return _result(blocks, steps, notes)


def _begin(read: Read, spec: TensorSpec, steps: Steps) -> list[Block]:
    """Read all blocks and take each through the passes as far as it gets alone."""

    def begin(rows: slice) -> Block:
        block = Block.of(read(rows), rows)
        block.go_through(steps, spec)
        return block

    return map_parallel(begin, _blocks(spec))


def _blocks(spec: TensorSpec) -> list[slice]:
    # A scalar has no rows. A transposed matrix has its outputs along the columns: a block of its rows has a
    # part of every output.
    if not spec.shape or spec.is_transposed:
        return [_ALL]
    return row_blocks(spec.shape[0], math.prod(spec.shape[1:]))


def _apply_to_whole(blocks: list[Block], steps: Steps, spec: TensorSpec) -> None:
    """Apply the next pass, which needs the whole tensor, and those behind it up to another one."""
    # Each pass that was applied has left an error.
    at = len(blocks[0].errors)
    before = dense_values(blocks)
    whole = before[0] if len(before) == 1 else torch.cat(before)
    after = steps[at].apply(whole, spec)

    parts: Sequence[Tensor | Quantized] = [after]
    if spec.shape and isinstance(after, Tensor):
        parts = torch.split(after, [len(rows) for rows in before])

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
    # A tensor of zeros has no energy that an error could be a share of; its errors are zero.
    energy = math.fsum(block.energy for block in blocks) or 1.0
    zeros = _sums([block.zeros for block in blocks], sum)
    errors = _sums([block.errors for block in blocks], math.fsum)

    reports = []
    applied = 0
    for step, note in zip(steps, notes, strict=True):
        if note or applied == len(errors):
            # A pass that declined, or that came after quantization, has changed nothing.
            reports.append(PassReport(step.name, 0, 0.0, note))
            continue
        zeros_added = zeros[applied + 1] - zeros[applied]
        reports.append(PassReport(step.name, zeros_added, errors[applied] / energy))
        applied += 1

    error = math.fsum(block.error for block in blocks) / energy
    return Pressed(joined(blocks), zeros[-1], error, tuple(reports))


def _sums(lists: Sequence[Sequence[Number]], add: Callable[[Iterable[Number]], Number]) -> list[Number]:
    """Add up the first numbers of all lists, the second ones, and so on."""
    return [add(numbers) for numbers in zip(*lists, strict=True)]
