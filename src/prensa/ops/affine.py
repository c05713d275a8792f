"""Row-wise quantization: a row of weights as small integers times one number.

``weight ≈ values × scale ÷ levels``, plus an offset row that all rows share if there is one.
``scale`` is the magnitude that the integer ``levels`` stands for. With ``levels = 127`` and ``scale`` the
row's largest magnitude this is absmax quantization as in LLM.int8() (Dettmers et al. 2022, section 2.1) and
as bitsandbytes stores it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from prensa.ops.parallel import map_parallel, row_blocks

INT8_LEVELS = 127


@dataclass(frozen=True)
class Quantized:
    """A matrix on an integer grid.

    ``values``      int8 ``[rows, columns]``, one row for each output
    ``scale``       float32 ``[rows]``
    ``levels``      the integer that ``scale`` stands for
    ``transposed``  the dense tensor is ``values`` turned over (``Conv1D``)
    ``dtype``       dtype of the dense tensor
    ``offset``      float32 ``[columns]``, added to every row, or None
    """

    values: Tensor
    scale: Tensor
    levels: int
    transposed: bool
    dtype: torch.dtype
    offset: Tensor | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the dense tensor."""
        shape = tuple(self.values.shape)
        if self.transposed:
            return shape[::-1]
        return shape


def quantize(weight: Tensor, *, transposed: bool = False) -> Quantized:
    """Round a float matrix ``[rows, columns]`` to the nearest of 255 integers, row by row.

    ``transposed`` says that outputs run along the columns. A row of zeros has scale 0. The arithmetic
    (float32, times ``127 / absmax``, halves to even) is that of bitsandbytes, so that its format can
    hold the result unchanged.
    """
    upright = weight.t() if transposed else weight
    rows = upright.float()
    if rows.numel():
        scale = rows.abs().amax(dim=1)
    else:
        # amax over no columns at all is an error.
        scale = rows.new_zeros(rows.shape[0])
    # A row of zeros would divide by zero; whatever its factor is, its values stay zero.
    factor = torch.where(scale > 0, INT8_LEVELS / scale, 0.0)
    # The product is a new tensor, so rounding it in place leaves the weight alone.
    products = rows * factor[:, None]
    values = products.round_().to(torch.int8)
    return Quantized(values, scale, INT8_LEVELS, transposed, weight.dtype)


def dequantize(quantized: Quantized, dtype: torch.dtype | None = None) -> Tensor:
    """Return the dense tensor in ``dtype`` (its own if not given), computed in float32 on all cores."""
    if dtype is None:
        dtype = quantized.dtype
    # As a column, so that each row of integers is multiplied with its own step.
    step = (quantized.scale / quantized.levels)[:, None]
    dense = torch.empty(quantized.values.shape, dtype=dtype)

    def multiply(rows: slice) -> None:
        # In float32 however narrow the result: it is rounded once, where it is assigned.
        product = quantized.values[rows] * step[rows]
        if quantized.offset is not None:
            product.add_(quantized.offset)
        dense[rows] = product

    map_parallel(multiply, row_blocks(*dense.shape))
    if quantized.transposed:
        return dense.t().contiguous()
    return dense
