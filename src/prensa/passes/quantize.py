"""8-bit quantization: row-wise, symmetric, rounded to nearest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from prensa.errors import RecipeError
from prensa.ops.affine import Quantized, quantize
from prensa.ops.spec import TensorSpec
from prensa.passes.base import EVERYTHING, Pass, refuses_all_but_matrices

BITS = 8


@dataclass(frozen=True)
class Quantize(Pass):
    """Round each row of a matrix to 255 integers."""

    name: ClassVar[str] = "quantize"
    makes_integers: ClassVar[bool] = True
    bits: int = BITS
    targets: tuple[str, ...] = ("linear", "embedding")
    ignore: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check the settings."""
        super().__post_init__()
        if self.bits != BITS or isinstance(self.bits, bool):
            raise RecipeError(f"pass quantize: bits must be {BITS}, found {self.bits!r}")

    def refuses(self, spec: TensorSpec) -> str:
        """Take matrices: vectors are small and sensitive."""
        return refuses_all_but_matrices(spec)

    def apply(self, rows: Tensor, spec: TensorSpec, at: slice = EVERYTHING) -> Quantized:
        """Round to the nearest multiple of each row's largest magnitude ÷ 127."""
        return quantize(rows, transposed=spec.is_transposed)
