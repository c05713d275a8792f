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
from prensa.ops.sparsity import prune_smallest
from prensa.ops.spec import TensorSpec
from prensa.ops.statistics import MatrixStatistics
from prensa.passes.base import EVERYTHING, Bound, Pass, check_number, refuses_all_but_matrices


@dataclass(frozen=True)
class Sparsegpt(Pass):
    """Make ``amount`` (0 to 0.9) of each matrix zero.

    ``dampening`` is as for :class:`~prensa.passes.gptq.Gptq`. A matrix that no text reaches is pruned by
    magnitude.
    """

    name: ClassVar[str] = "sparsegpt"
    needs_whole: ClassVar[bool] = True
    needs_statistics: ClassVar[bool] = True
    prunes_by: ClassVar[str] = "sparsegpt"
    amount: float = 0.5
    dampening: float = 0.3
    targets: tuple[str, ...] = ("linear",)
    ignore: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check the settings."""
        super().__post_init__()
        check_number(self.name, "amount", self.amount, 0.0, 0.9)
        check_number(self.name, "dampening", self.dampening, 1e-4, 1.0)

    def refuses(self, spec: TensorSpec) -> str:
        """Take matrices."""
        return refuses_all_but_matrices(spec)

    def apply(self, rows: Tensor, spec: TensorSpec, at: slice = EVERYTHING) -> Tensor:
        """Prune by magnitude: there are no statistics."""
        return prune_smallest(rows, self.amount)

    def bind(self, statistics: MatrixStatistics, weights: int) -> Bound:
        """Return the pass for one matrix. Raises :class:`ValueError` if its moment cannot be used."""
        # Handed over, and held nowhere else: it is the largest matrix there is.
        spread = feedback(statistics.moment.whole(torch.float64), self.dampening)
        work = partial(_prune, spread=spread, amount=self.amount)
        return Bound(self, work)


def _prune(rows: Tensor, spec: TensorSpec, at: slice, *, spread: Feedback, amount: float) -> Tensor:
    # Feedback runs along a layer's inputs, which are the rows of a transposed (Conv1D) weight.
    upright = rows.t() if spec.is_transposed else rows
    pruned = prune_with_feedback(upright.float(), amount, spread)
    if spec.is_transposed:
        pruned = pruned.t()
    return pruned.to(rows.dtype).contiguous()
