"""8-bit quantization: row-wise, symmetric, rounded to nearest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from prensa.errors import RecipeError
from prensa.ops.affine import Quantized, quantize
from prensa.passes.base import EVERYTHING, check_targets
from prensa.spec import TensorSpec


@dataclass(frozen=True)
class Quantize:
    """Round each row of a matrix to 255 integers."""

    name: ClassVar[str] = "quantize"
    needs_statistics: ClassVar[bool] = False
    needs_whole: ClassVar[bool] = False
    bits: int = 8
    targets: tuple[str, ...] = ("linear", "embedding")
    ignore: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check the settings."""
        check_targets(self.name, self.targets, self.ignore)
        if self.bits != 8 or isinstance(self.bits, bool):  # noqa: PLR2004
            raise RecipeError(f"pass quantize: bits must be 8, found {self.bits!r}")

    def refuses(self, spec: TensorSpec) -> str:
        """Take matrices."""
        return "" if len(spec.shape) == 2 else "not a matrix"  # noqa: PLR2004

    def declines(self, largest: float, dtype: torch.dtype) -> str:  # noqa: ARG002
        """Decline nothing."""
        return ""

    def apply(self, rows: Tensor, spec: TensorSpec, at: slice = EVERYTHING) -> Quantized:  # noqa: ARG002
        """Quantize."""
        return quantize(rows, transposed=spec.is_transposed)
