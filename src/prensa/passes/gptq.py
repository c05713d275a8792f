"""Calibrated quantization: steps that follow what each row is worth, and errors that cancel in the outputs.

One number rules the whole model: ``noise``, how much its outputs may change, as a share of their own
variance. To second order the change is Σ importance · (step² ÷ 12) · variance over all weights (see
:class:`~prensa.ops.statistics.MatrixStatistics`), and the fewest bits are spent where each weight
adds the same to it: so a row's step is large where little hangs on it, whatever the size of its weights
(reverse water-filling, Cover & Thomas 2006, section 10.3). Integers are chosen by :mod:`prensa.ops.gptq` and
are small; entropy coding then makes bits follow steps.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor

from prensa.ops.affine import INT8_LEVELS, Quantized, quantize
from prensa.ops.gptq import Feedback, feedback, round_with_feedback
from prensa.ops.statistics import MatrixStatistics
from prensa.passes.base import EVERYTHING, Bound, check_number, check_targets
from prensa.spec import TensorSpec

_TRUST = 0.6
"""How much of the spread of importances is believed, in logarithms: a few hundred texts say who is worth
more, but exaggerate it. See ``docs/LOG.md``."""

LEAST_NOISE, MOST_NOISE = 1e-7, 10.0
"""What noises may be. At the least one, steps are as small as 8 bits can have them."""

_LEAST = 1e-6  # importance of a row, as a share of the matrix's mean


@dataclass(frozen=True)
class Gptq:
    """Quantize with error feedback, on row steps from calibration.

    ``noise`` (1e-7 to 10) is the wanted change of the outputs as a share of their variance, of a language
    model's predictions twice the divergence in nats. ``dampening`` (1e-4 to 1) is what is added to the
    moments' diagonals, as a share of themselves. A matrix that no text reaches is rounded to 8 bits.
    """

    name: ClassVar[str] = "gptq"
    needs_whole: ClassVar[bool] = False
    needs_statistics: ClassVar[bool] = True
    noise: float = 0.002
    dampening: float = 0.3
    targets: tuple[str, ...] = ("linear", "embedding", "head")
    ignore: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check the settings."""
        check_targets(self.name, self.targets, self.ignore)
        check_number(self.name, "noise", self.noise, LEAST_NOISE, MOST_NOISE)
        check_number(self.name, "dampening", self.dampening, 1e-4, 1.0)

    def refuses(self, spec: TensorSpec) -> str:
        """Take matrices."""
        return "" if len(spec.shape) == 2 else "not a matrix"  # noqa: PLR2004

    def declines(self, largest: float, dtype: torch.dtype) -> str:  # noqa: ARG002
        """Decline nothing."""
        return ""

    def apply(self, rows: Tensor, spec: TensorSpec, at: slice = EVERYTHING) -> Quantized:  # noqa: ARG002
        """Round to nearest, for want of statistics."""
        return quantize(rows, transposed=spec.is_transposed)

    def bind(self, known: MatrixStatistics, weights: int) -> Bound:
        """Return the pass for one matrix of a model with ``weights`` calibrated weights.

        Raises :class:`ValueError` where the matrix's moment is of no use.
        """
        spread = feedback(known.moment.whole(torch.float64), self.dampening)
        step = row_steps(known.importance, self.noise / (weights * spread.variance))
        return Bound(self, partial(quantize_rows, spread=spread, step=step, offset=known.offset))


def row_steps(importance: Tensor, noise: float) -> Tensor:
    """Share a noise out among a matrix's rows: steps ``[rows]`` with which weights cost it on average."""
    importance = importance.clamp_min(_LEAST * float(importance.mean()))
    believed = importance**_TRUST
    return (12 * noise / (believed * (importance / believed).mean())).sqrt()


def quantize_rows(
    rows: Tensor, spec: TensorSpec, at: slice, *, spread: Feedback, step: Tensor, offset: Tensor | None
) -> Quantized:
    """Quantize the rows that are at ``at`` of the matrix.

    What earlier passes made zero stays zero, except where a mean row is taken off.
    """
    dense = (rows.t() if spec.is_transposed else rows).float()
    kept = dense != 0 if offset is None else None
    if offset is not None:
        dense = dense - offset
    largest = dense.abs().amax(dim=1) if dense.numel() else dense.new_zeros(len(dense))
    steps = torch.maximum(_coarse(step[at]), _coarse(largest / INT8_LEVELS, up=True))
    values = round_with_feedback(dense, steps, spread, kept)
    return Quantized(values, steps, 1, spec.is_transposed, rows.dtype, offset)


def _coarse(step: Tensor, *, up: bool = False) -> Tensor:
    """Round positive float32 numbers to two bits behind their leading one: half a byte each when coded."""
    dropped = 21
    half = (1 << dropped) - 1 if up else 1 << (dropped - 1)
    bits = step.view(torch.int32) + half
    return (bits >> dropped << dropped).view(torch.float32).clamp_min(torch.finfo(torch.float32).tiny)
