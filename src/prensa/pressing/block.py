"""A block of a tensor's rows on its way through the passes, and what each of them did to it.

The numbers are measured here, while the rows are in the processor's cache. They add up over the blocks of a
tensor: zeros, squared errors and squared norms, not shares of them.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from prensa.ops.affine import Quantized
from prensa.ops.sparsity import count_zeros
from prensa.ops.spec import TensorSpec
from prensa.passes import Bound, Pass

Steps = Sequence[Pass | Bound]


@dataclass
class Block:
    """The rows at ``at`` of a tensor.

    ``original`` are the rows as they were, None once all passes are done. ``value`` is what the passes have
    made of them so far, and ``dense`` the same in float32 (None while nothing needs it). ``low`` and ``high``
    are the range of the original rows, NaN if one of them is, and ``energy`` is their squared norm. ``zeros``
    are counted before the first pass and after each, ``errors`` are the squared errors of each pass, and
    ``error`` is that of all together.
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

    @classmethod
    def of(cls, rows: Tensor, at: slice) -> Block:
        """Measure the rows before the first pass."""
        # NaN if there is one: the range also shows whether all weights are finite.
        low, high = rows.aminmax()
        dense = rows.float()
        return cls(
            at=at,
            original=rows,
            value=rows,
            dense=dense,
            low=low.item(),
            high=high.item(),
            energy=_squared_norm(dense),
            zeros=[count_zeros(rows)],
        )

    @property
    def is_done(self) -> bool:
        """Whether it went through all passes."""
        return self.original is None

    def go_through(self, steps: Steps, spec: TensorSpec) -> None:
        """Apply passes up to one that needs the whole tensor, or to the end."""
        for step in steps:
            if step.needs_whole:
                # The block waits for all others, and its place in the cache is lost anyway.
                self.dense = None
                return
            # Integers stay as they are: what may follow quantization leaves them alone.
            if not isinstance(self.value, Quantized):
                self._take(step.apply(self.value, spec, self.at))
        self._finish()

    def go_on(self, value: Tensor | Quantized, steps: Steps, spec: TensorSpec) -> None:
        """Take over what a pass made of the whole tensor, and apply those that follow."""
        self.dense = _dense(self.value)
        self._take(value)
        self.go_through(steps, spec)

    def _take(self, value: Tensor | Quantized) -> None:
        """Take over what a pass made of the rows, and measure what it changed."""
        before = self.dense
        after = _dense(value)
        if before is not None:
            # The difference takes the memory of what is needed no more. Before the first pass that may be the
            # original itself, since ``float()`` of float32 is no copy.
            scratch = before if self.errors else None
            difference = torch.sub(before, after, out=scratch)
            self.errors.append(_squared_norm(difference))
        self.value = value
        self.dense = after
        integers = value.values if isinstance(value, Quantized) else value
        self.zeros.append(count_zeros(integers))

    def _finish(self) -> None:
        """Measure the error of all passes together, and let go of what was needed for it."""
        # Of a single pass the error is known already.
        if len(self.errors) == 1:
            self.error = self.errors[0]
        elif self.errors and self.original is not None and self.dense is not None:
            # A float32 result is its own dense tensor, which must not be overwritten.
            scratch = None if self.dense is self.value else self.dense
            difference = torch.sub(self.original, self.dense, out=scratch)
            self.error = _squared_norm(difference)
        self.original = None
        self.dense = None


def joined(blocks: Sequence[Block]) -> Tensor | Quantized:
    """Put the values of all blocks together."""
    first = blocks[0].value
    if len(blocks) == 1:
        return first
    if not isinstance(first, Quantized):
        return torch.cat(dense_values(blocks))
    values = []
    scales = []
    for block in blocks:
        if isinstance(block.value, Quantized):
            values.append(block.value.values)
            scales.append(block.value.scale)
    # Levels, dtype and offset are the same in all of them.
    return dataclasses.replace(
        first,
        values=torch.cat(values),
        scale=torch.cat(scales),
    )


def dense_values(blocks: Sequence[Block]) -> list[Tensor]:
    """Return the values of blocks that are not quantized."""
    values = []
    for block in blocks:
        if isinstance(block.value, Tensor):
            values.append(block.value)
    return values


def _dense(value: Tensor | Quantized) -> Tensor:
    if not isinstance(value, Quantized):
        return value.float()
    # ``ops.affine.dequantize`` would work on all cores, and this is inside of that already.
    step = (value.scale / value.levels)[:, None]
    rows = value.values.float().mul_(step)
    if value.offset is not None:
        rows.add_(value.offset)
    if value.transposed:
        return rows.t()
    return rows


def _squared_norm(tensor: Tensor) -> float:
    flat = tensor.reshape(-1)
    # A dot product reads the block once, and makes no tensor of squares.
    norm = torch.dot(flat, flat).item()
    if math.isfinite(norm):
        return norm
    # Squares of huge weights leave float32, but not float64.
    wide = flat.double()
    return torch.dot(wide, wide).item()
