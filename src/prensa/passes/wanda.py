"""Wanda: prune where weight times input is smallest, row by row, and leave the others as they are.

Sun et al. 2024, arXiv 2306.11695, section 3: a weight's score is its magnitude times the norm of its input
over the calibration texts, and scores are compared within a row.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor

from prensa.ops.sparsity import prune_smallest_in_rows, prune_smallest_of_each
from prensa.ops.statistics import MatrixStatistics
from prensa.passes.base import EVERYTHING, Bound, check_number, check_pattern, check_targets
from prensa.spec import TensorSpec


@dataclass(frozen=True)
class Wanda:
    """Make ``amount`` (0 to 0.9) of each row zero, or with ``pattern`` '2:4' two of every four inputs.

    A matrix that no text reaches is pruned by magnitude, row by row.
    """

    name: ClassVar[str] = "wanda"
    needs_whole: ClassVar[bool] = False
    needs_statistics: ClassVar[bool] = True
    amount: float = 0.5
    pattern: str = ""
    targets: tuple[str, ...] = ("linear",)
    ignore: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check the settings."""
        check_targets(self.name, self.targets, self.ignore)
        check_number(self.name, "amount", self.amount, 0.0, 0.9)
        check_pattern(self.name, self.pattern)

    def refuses(self, spec: TensorSpec) -> str:
        """Take matrices."""
        return "" if len(spec.shape) == 2 else "not a matrix"  # noqa: PLR2004

    def declines(self, largest: float, dtype: torch.dtype) -> str:  # noqa: ARG002
        """Decline nothing."""
        return ""

    def apply(self, rows: Tensor, spec: TensorSpec, at: slice = EVERYTHING) -> Tensor:
        """Prune by magnitude, for want of statistics."""
        inputs = rows.shape[0 if spec.is_transposed else 1]
        return _prune(
            rows,
            spec,
            at,
            norms=torch.ones(inputs, dtype=torch.float32),
            amount=None if self.pattern else self.amount,
        )

    def bind(self, known: MatrixStatistics, weights: int) -> Bound:  # noqa: ARG002
        """Return the pass for one matrix."""
        norms = known.moment.diagonal().sqrt()
        return Bound(self, partial(_prune, norms=norms, amount=None if self.pattern else self.amount))


def _prune(rows: Tensor, spec: TensorSpec, at: slice, *, norms: Tensor, amount: float | None) -> Tensor:  # noqa: ARG001
    upright = rows.t() if spec.is_transposed else rows
    scores = upright.float().abs() * norms
    if amount is None:
        pruned = prune_smallest_of_each(upright, scores)
    else:
        pruned = prune_smallest_in_rows(upright, scores, amount)
    return pruned.t().contiguous() if spec.is_transposed else pruned
