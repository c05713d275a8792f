"""Near-zero thresholding: weights too small to matter become zero."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from prensa.ops.sparsity import zero_below
from prensa.passes.base import EVERYTHING, check_number, check_targets
from prensa.spec import TensorSpec


@dataclass(frozen=True)
class Threshold:
    """Zero every weight whose magnitude is smaller than ``threshold`` (0 to 1)."""

    name: ClassVar[str] = "threshold"
    needs_statistics: ClassVar[bool] = False
    needs_whole: ClassVar[bool] = False
    threshold: float = 1e-3
    targets: tuple[str, ...] = ("linear", "embedding")
    ignore: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check the settings."""
        check_targets(self.name, self.targets, self.ignore)
        check_number(self.name, "threshold", self.threshold, 0.0, 1.0)

    def refuses(self, spec: TensorSpec) -> str:  # noqa: ARG002
        """Take every float tensor."""
        return ""

    def declines(self, largest: float, dtype: torch.dtype) -> str:  # noqa: ARG002
        """Decline nothing."""
        return ""

    def apply(self, rows: Tensor, spec: TensorSpec, at: slice = EVERYTHING) -> Tensor:  # noqa: ARG002
        """Zero what is small."""
        return zero_below(rows, self.threshold)
