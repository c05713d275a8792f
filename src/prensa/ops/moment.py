"""Second moments, which are symmetric: their upper triangle, in strips of rows, is all that is kept."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

# Rows of a strip. Of a large moment little more than half is then kept and computed, in products that are
# still large enough to be fast.
_STRIP = 256


@dataclass(frozen=True)
class Moment:
    """A symmetric matrix ``[size, size]`` in float32. Strip i has rows and columns from 256·i on."""

    strips: tuple[Tensor, ...]

    @classmethod
    def zeros(cls, size: int, device: torch.device | str = "cpu") -> Moment:
        """Return the moment of no vectors at all."""
        strips = []
        for start, stop in _strip_bounds(size):
            shape = (stop - start, size - start)
            strips.append(torch.zeros(shape, dtype=torch.float32, device=device))
        return cls(tuple(strips))

    @classmethod
    def of(cls, matrix: Tensor) -> Moment:
        """Keep a symmetric matrix."""
        strips = []
        for start, stop in _strip_bounds(len(matrix)):
            strip = matrix[start:stop, start:].float()
            # In its own memory: sums are added in place, and must not reach the matrix.
            strips.append(strip.clone())
        return cls(tuple(strips))

    @property
    def size(self) -> int:
        """Number of rows, and of columns."""
        if not self.strips:
            return 0
        return self.strips[0].shape[1]

    def add(self, vectors: Tensor) -> None:
        """Add Σ v·vᵀ over the rows v of ``vectors`` ``[count, size]``, which may be on another device."""
        vectors = vectors.float()
        bounds = _strip_bounds(self.size)
        for (start, stop), strip in zip(bounds, self.strips, strict=True):
            left = vectors[:, start:stop].t()
            right = vectors[:, start:]
            if strip.device == vectors.device:
                # Multiplies and adds in one step, without a matrix for the product.
                strip.addmm_(left, right)
            else:
                # Multiplied where the vectors are: the product is smaller than they are.
                product = left @ right
                strip.add_(product.to(strip.device))

    def whole(self, dtype: torch.dtype = torch.float32) -> Tensor:
        """Return the matrix ``[size, size]``."""
        matrix = torch.empty(self.size, self.size, dtype=dtype)
        bounds = _strip_bounds(self.size)
        for (start, stop), strip in zip(bounds, self.strips, strict=True):
            matrix[start:stop, start:] = strip
            # What lies right of the strip's own square is mirrored below it.
            right = strip[:, stop - start :]
            matrix[stop:, start:stop] = right.t()
        return matrix

    def diagonal(self) -> Tensor:
        """Return the diagonal ``[size]``."""
        return torch.cat([strip.diagonal() for strip in self.strips])

    def scaled(self, factor: float) -> Moment:
        """Return a multiple of it, in the same memory."""
        for strip in self.strips:
            strip.mul_(factor)
        return self

    def plus(self, other: Moment) -> Moment:
        """Return the sum with another one of its size, in its own memory."""
        for strip, added in zip(self.strips, other.strips, strict=True):
            strip.add_(added)
        return self

    def to(self, device: str) -> Moment:
        """Return it on a device."""
        strips = []
        for strip in self.strips:
            strips.append(strip.to(device))
        return Moment(tuple(strips))

    def is_finite(self) -> bool:
        """Whether all of its elements are numbers."""
        for strip in self.strips:
            if not torch.isfinite(strip).all():
                return False
        return True


def nbytes(size: int) -> int:
    """Bytes of a moment."""
    total = 0
    for start, stop in _strip_bounds(size):
        rows = stop - start
        columns = size - start
        total += rows * columns
    return total * torch.float32.itemsize


def _strip_bounds(size: int) -> Iterator[tuple[int, int]]:
    for start in range(0, size, _STRIP):
        yield start, min(start + _STRIP, size)
