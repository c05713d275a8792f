"""Unstructured L1 pruning: in each tensor the weights of smallest magnitude become zero."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from prensa.ops.sparsity import prune_smallest
from prensa.passes.base import EVERYTHING, check_number, check_targets
from prensa.spec import TensorSpec


@dataclass(frozen=True)
class Prune:
    """Make ``amount`` (0 to 0.9) of each tensor zero, to the element."""

    name: ClassVar[str] = "prune"
    needs_statistics: ClassVar[bool] = False
    needs_whole: ClassVar[bool] = True
    amount: float = 0.3
    targets: tuple[str, ...] = ("linear",)
    ignore: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check the settings."""
        check_targets(self.name, self.targets, self.ignore)
        check_number(self.name, "amount", self.amount, 0.0, 0.9)

    def refuses(self, spec: TensorSpec) -> str:  # noqa: ARG002
        """Take every float tensor."""
        return ""

    def declines(self, largest: float, dtype: torch.dtype) -> str:  # noqa: ARG002
        """Decline nothing."""
        return ""

    def apply(self, rows: Tensor, spec: TensorSpec, at: slice = EVERYTHING) -> Tensor:  # noqa: ARG002
        """Prune."""
        return prune_smallest(rows, self.amount)
