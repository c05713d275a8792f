"""Calibrated quantization: steps that follow what each row is worth, and errors that cancel in the outputs.

One number rules the whole model: ``noise``, how much its outputs may change, as a share of their own
variance. To second order the change is Σ importance · (step² ÷ 12) · variance over all weights (see
:class:`~prensa.ops.statistics.MatrixStatistics`), and the fewest bits are spent where each weight
adds the same to it: so a row's step is large if the outputs depend little on it, whatever its weights are
(reverse water-filling, Cover & Thomas 2006, section 10.3). Integers are chosen by :mod:`prensa.ops.gptq` and
are small; entropy coding then makes bits follow steps.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor

from prensa.ops.affine import INT8_LEVELS, Quantized, quantize
from prensa.ops.gptq import Feedback, feedback, round_with_feedback
from prensa.ops.spec import TensorSpec
from prensa.ops.statistics import MatrixStatistics
from prensa.passes.base import EVERYTHING, Bound, Pass, check_number, refuses_all_but_matrices

LEAST_NOISE, MOST_NOISE = 1e-7, 10.0
"""The range of noises. At the least one, steps are as small as 8 bits allow."""

# How much of the spread of importances is believed, in logarithms: a few hundred texts show which rows matter
# more, but exaggerate it. See docs/LOG.md.
_TRUST = 0.6

# Importance of a row is at least this share of the matrix's mean: a row that no text reached would have an
# infinite step.
_LEAST_IMPORTANCE = 1e-6

# Of the 23 bits of a float32 mantissa, how many are dropped from a step. With the two that stay, neighbouring
# steps differ by a quarter at most, and a step takes half a byte when coded.
_DROPPED_BITS = 21


@dataclass(frozen=True)
class Gptq(Pass):
    """Quantize with error feedback, on row steps from calibration.

    ``noise`` (1e-7 to 10) is the allowed change of the outputs as a share of their variance; for a language
    model, twice the divergence of its predictions in nats. ``dampening`` (1e-4 to 1) is what is added to the
    moments' diagonals, as a share of themselves. A matrix that no text reaches is rounded to 8 bits.
    """

    name: ClassVar[str] = "gptq"
    needs_statistics: ClassVar[bool] = True
    goes_by_columns: ClassVar[bool] = True
    makes_integers: ClassVar[bool] = True
    noise: float = 0.002
    dampening: float = 0.3
    targets: tuple[str, ...] = ("linear", "embedding", "head")
    ignore: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check the settings."""
        super().__post_init__()
        check_number(self.name, "noise", self.noise, LEAST_NOISE, MOST_NOISE)
        check_number(self.name, "dampening", self.dampening, 1e-4, 1.0)

    def with_noise(self, noise: float, relative_to: float) -> Gptq:
        """Return the pass with its noise times ``noise ÷ relative_to``, or the nearest that a pass takes."""
        # The quotient comes first: the pass that the noise is relative to then has exactly ``noise``.
        own = noise * (self.noise / relative_to)
        # That one was asked for, and is refused where no pass takes it; the others follow as far as they can.
        if relative_to != self.noise:
            own = min(max(own, LEAST_NOISE), MOST_NOISE)
        return replace(self, noise=own)

    def refuses(self, spec: TensorSpec) -> str:
        """Take matrices."""
        return refuses_all_but_matrices(spec)

    def apply(self, rows: Tensor, spec: TensorSpec, at: slice = EVERYTHING) -> Quantized:
        """Round to nearest: there are no statistics."""
        return quantize(rows, transposed=spec.is_transposed)

    def bind(self, statistics: MatrixStatistics, weights: int) -> Bound:
        """Return the pass for one matrix of a model with ``weights`` calibrated weights.

        Raises :class:`ValueError` if the matrix's moment or importances cannot be used, or no weights count.
        """
        if weights <= 0:
            raise ValueError(f"expected calibrated weights that share the noise, found {weights}")
        # Handed over, and held nowhere else: it is the largest matrix there is.
        spread = feedback(statistics.moment.whole(torch.float64), self.dampening)
        # Feedback leaves of each unit error only its conditional variance, so steps may be larger by that.
        noise_per_weight = self.noise / (weights * spread.variance)
        step = row_steps(statistics.importance, noise_per_weight)
        work = partial(
            quantize_rows,
            spread=spread,
            step=step,
            offset=statistics.offset,
        )
        return Bound(self, work)


def row_steps(importance: Tensor, noise: float) -> Tensor:
    """Share a noise out among a matrix's rows: steps ``[rows]`` whose average cost per weight is ``noise``.

    A weight that is rounded to a step has the error variance step² ÷ 12, times its row's importance. Raises
    :class:`ValueError` for steps that are not finite: importances may be as small as float32 can be.
    """
    least = _LEAST_IMPORTANCE * float(importance.mean())
    importance = importance.clamp_min(least)
    believed = importance**_TRUST
    # What is believed only shares the noise out; the true importances keep its average what it should be.
    correction = (importance / believed).mean()
    squared_steps = 12 * noise / (believed * correction)
    steps = squared_steps.sqrt()
    if not torch.isfinite(steps).all():
        largest = float(importance.max())
        raise ValueError(f"expected importances that give finite steps, found {largest:g} as the largest")
    return steps


def quantize_rows(
    rows: Tensor, spec: TensorSpec, at: slice, *, spread: Feedback, step: Tensor, offset: Tensor | None
) -> Quantized:
    """Quantize the rows that are at ``at`` of the matrix.

    What earlier passes made zero stays zero, unless a mean row is subtracted: then zero is no longer special.
    """
    upright = rows.t() if spec.is_transposed else rows
    dense = upright.float()
    if offset is None:
        kept = dense != 0
    else:
        kept = None
        dense = dense - offset
    if dense.numel():
        largest = dense.abs().amax(dim=1)
    else:
        largest = dense.new_zeros(len(dense))
    # A step is at least so large that its row's largest weight fits int8; that one is rounded up, since a
    # smaller one would cut the weight off.
    wanted = _coarse(step[at])
    smallest = _coarse(largest / INT8_LEVELS, up=True)
    steps = torch.maximum(wanted, smallest)
    values = round_with_feedback(dense, steps, spread, kept)
    return Quantized(values, steps, 1, spec.is_transposed, rows.dtype, offset)


def _coarse(step: Tensor, *, up: bool = False) -> Tensor:
    """Round positive float32 numbers to two bits behind their leading one, to nearest or ``up``."""
    # The bits of a positive float, read as an integer, are in the order of the numbers, so that adding to
    # them before the low bits are dropped rounds; a carry into the exponent is right, too.
    to_nearest = 1 << (_DROPPED_BITS - 1)
    upwards = (1 << _DROPPED_BITS) - 1
    added = upwards if up else to_nearest
    bits = step.view(torch.int32) + added
    shortened = bits >> _DROPPED_BITS << _DROPPED_BITS
    rounded = shortened.view(torch.float32)
    # A row of zeros needs a step that can be divided by.
    smallest = torch.finfo(torch.float32).tiny
    return rounded.clamp_min(smallest)
