"""Second moments, which are symmetric: their upper triangle, in strips of rows, is all that is kept."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

_STRIP = 256  # rows: of a large moment, little more than half is kept and computed


@dataclass(frozen=True)
class Moment:
    """A symmetric matrix ``[size, size]`` in float32. Strip i has rows and columns from 256·i on."""

    strips: tuple[Tensor, ...]

    @classmethod
    def zeros(cls, size: int, device: torch.device | str = "cpu") -> Moment:
        """Return that of no vectors at all."""
        return cls(
            tuple(
                torch.zeros(stop - start, size - start, dtype=torch.float32, device=device)
                for start, stop in _cuts(size)
            )
        )

    @classmethod
    def of(cls, matrix: Tensor) -> Moment:
        """Keep a symmetric matrix."""
        return cls(tuple(matrix[start:stop, start:].float().clone() for start, stop in _cuts(len(matrix))))

    @property
    def size(self) -> int:
        """Rows, and columns."""
        return self.strips[0].shape[1] if self.strips else 0

    def add(self, vectors: Tensor) -> None:
        """Add Σ v·vᵀ over the rows v of ``vectors`` ``[count, size]``, which may be on another device."""
        vectors = vectors.float()
        for (start, stop), strip in zip(_cuts(self.size), self.strips, strict=True):
            left, right = vectors[:, start:stop].t(), vectors[:, start:]
            if strip.device == vectors.device:
                strip.addmm_(left, right)
            else:
                strip.add_((left @ right).to(strip.device))

    def whole(self, dtype: torch.dtype = torch.float32) -> Tensor:
        """Return the matrix ``[size, size]``."""
        matrix = torch.empty(self.size, self.size, dtype=dtype)
        for (start, stop), strip in zip(_cuts(self.size), self.strips, strict=True):
            matrix[start:stop, start:] = strip
            matrix[stop:, start:stop] = strip[:, stop - start :].t()
        return matrix

    def diagonal(self) -> Tensor:
        """Return the diagonal ``[size]``."""
        return torch.cat([strip.diagonal() for strip in self.strips])

    def scaled(self, factor: float) -> Moment:
        """Return a multiple of it, in the same memory."""
        return Moment(tuple(strip.mul_(factor) for strip in self.strips))

    def plus(self, other: Moment) -> Moment:
        """Return the sum with another one of its size, in its own memory."""
        return Moment(tuple(a.add_(b) for a, b in zip(self.strips, other.strips, strict=True)))

    def to(self, device: str) -> Moment:
        """Return it on a device."""
        return Moment(tuple(strip.to(device) for strip in self.strips))

    def is_finite(self) -> bool:
        """Whether all of it are numbers."""
        return all(bool(torch.isfinite(strip).all()) for strip in self.strips)


def nbytes(size: int) -> int:
    """Bytes of a moment."""
    return sum(4 * (stop - start) * (size - start) for start, stop in _cuts(size))


def _cuts(size: int) -> Iterator[tuple[int, int]]:
    for start in range(0, size, _STRIP):
        yield start, min(start + _STRIP, size)
