"""Unstructured L1 pruning: in each tensor the weights of smallest magnitude become zero."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from prensa.ops.sparsity import prune_smallest
from prensa.ops.spec import TensorSpec
from prensa.passes.base import EVERYTHING, Pass, check_number


@dataclass(frozen=True)
class Prune(Pass):
    """Make ``amount`` (0 to 0.9) of each tensor zero, to the element."""

    name: ClassVar[str] = "prune"
    needs_whole: ClassVar[bool] = True
    prunes_by: ClassVar[str] = "magnitude"
    amount: float = 0.3
    targets: tuple[str, ...] = ("linear",)
    ignore: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check the settings."""
        super().__post_init__()
        check_number(self.name, "amount", self.amount, 0.0, 0.9)

    def apply(self, rows: Tensor, spec: TensorSpec, at: slice = EVERYTHING) -> Tensor:
        """Zero the smallest magnitudes of the whole tensor."""
        return prune_smallest(rows, self.amount)
