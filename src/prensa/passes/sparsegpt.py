"""SparseGPT: prune what can be made good by the weights that stay.

Frantar and Alistarh 2023, arXiv 2301.00774, section 3: columns are pruned one after the other, and what each
loses is made good by the later ones, as in :mod:`prensa.passes.gptq`. Quantization after it keeps the zeros.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor

from prensa.ops.gptq import Feedback, feedback, prune_with_feedback
from prensa.ops.sparsity import prune_smallest, prune_smallest_of_each
from prensa.ops.statistics import MatrixStatistics
from prensa.passes.base import EVERYTHING, Bound, check_number, check_pattern, check_targets
from prensa.spec import TensorSpec


@dataclass(frozen=True)
class Sparsegpt:
    """Make ``amount`` (0 to 0.9) of each matrix zero, or with ``pattern`` '2:4' two of every four inputs.

    A matrix that no text reaches is pruned by magnitude.
    """

    name: ClassVar[str] = "sparsegpt"
    needs_whole: ClassVar[bool] = True
    needs_statistics: ClassVar[bool] = True
    amount: float = 0.5
    pattern: str = ""
    dampening: float = 0.3
    targets: tuple[str, ...] = ("linear",)
    ignore: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check the settings."""
        check_targets(self.name, self.targets, self.ignore)
        check_number(self.name, "amount", self.amount, 0.0, 0.9)
        check_number(self.name, "dampening", self.dampening, 1e-4, 1.0)
        check_pattern(self.name, self.pattern)

    def refuses(self, spec: TensorSpec) -> str:
        """Take matrices."""
        return "" if len(spec.shape) == 2 else "not a matrix"  # noqa: PLR2004

    def declines(self, largest: float, dtype: torch.dtype) -> str:  # noqa: ARG002
        """Decline nothing."""
        return ""

    def apply(self, rows: Tensor, spec: TensorSpec, at: slice = EVERYTHING) -> Tensor:  # noqa: ARG002
        """Prune by magnitude, for want of statistics."""
        if self.pattern:
            upright = rows.t() if spec.is_transposed else rows
            pruned = prune_smallest_of_each(upright, upright.abs())
            return pruned.t().contiguous() if spec.is_transposed else pruned
        return prune_smallest(rows, self.amount)

    def bind(self, known: MatrixStatistics, weights: int) -> Bound:  # noqa: ARG002
        """Return the pass for one matrix. Raises :class:`ValueError` where its moment is of no use."""
        spread = feedback(known.moment.whole(torch.float64), self.dampening, in_order=bool(self.pattern))
        return Bound(self, partial(_prune, spread=spread, amount=None if self.pattern else self.amount))


def _prune(rows: Tensor, spec: TensorSpec, at: slice, *, spread: Feedback, amount: float | None) -> Tensor:  # noqa: ARG001
    dense = (rows.t() if spec.is_transposed else rows).float()
    pruned = prune_with_feedback(dense, amount, spread)
    return (pruned.t() if spec.is_transposed else pruned).to(rows.dtype).contiguous()
