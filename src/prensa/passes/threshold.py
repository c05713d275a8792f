"""Near-zero thresholding: weights too small to matter become zero."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from prensa.ops.sparsity import zero_below
from prensa.ops.spec import TensorSpec
from prensa.passes.base import EVERYTHING, Pass, check_number


@dataclass(frozen=True)
class Threshold(Pass):
    """Zero every weight whose magnitude is smaller than ``threshold`` (0 to 1)."""

    name: ClassVar[str] = "threshold"
    threshold: float = 1e-3
    targets: tuple[str, ...] = ("linear", "embedding")
    ignore: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check the settings."""
        super().__post_init__()
        check_number(self.name, "threshold", self.threshold, 0.0, 1.0)

    def apply(self, rows: Tensor, spec: TensorSpec, at: slice = EVERYTHING) -> Tensor:
        """Zero what is small; weights are looked at one by one, so any block of rows will do."""
        return zero_below(rows, self.threshold)
