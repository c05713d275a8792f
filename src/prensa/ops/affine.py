"""Row-wise quantization: a row of weights as small integers times one number.

``weight ≈ values × scale ÷ levels``, plus a row that all have in common where there is one.
``scale`` is the magnitude that the integer ``levels`` stands for. With ``levels = 127`` and ``scale`` the
row's largest magnitude this is absmax quantization as in LLM.int8() (Dettmers et al. 2022, section 2.1) and
as bitsandbytes stores it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from prensa.ops.parallel import map_parallel, pieces

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
        return shape[::-1] if self.transposed else shape


def quantize(weight: Tensor, *, transposed: bool = False) -> Quantized:
    """Round a float matrix ``[rows, columns]`` to the nearest of 255 integers, row by row.

    ``transposed`` says that outputs run along the columns. A row of zeros has scale 0. The arithmetic
    (float32, times ``127 / absmax``, halves to even) is that of bitsandbytes, so that its format can
    hold the result unchanged.
    """
    rows = (weight.t() if transposed else weight).float()
    scale = rows.abs().amax(dim=1) if rows.numel() else rows.new_zeros(rows.shape[0])
    factor = torch.where(scale > 0, INT8_LEVELS / scale, 0.0)
    values = (rows * factor[:, None]).round_().to(torch.int8)
    return Quantized(values, scale, INT8_LEVELS, transposed, weight.dtype)


def dequantize(quantized: Quantized, dtype: torch.dtype | None = None) -> Tensor:
    """Return the dense tensor in ``dtype`` (its own if not given), computed in float32 on all cores."""
    step = (quantized.scale / quantized.levels)[:, None]
    dense = torch.empty(quantized.values.shape, dtype=dtype or quantized.dtype)

    def multiply(rows: slice) -> None:
        product = quantized.values[rows] * step[rows]
        dense[rows] = product if quantized.offset is None else product.add_(quantized.offset)

    map_parallel(multiply, pieces(*dense.shape))
    return dense.t().contiguous() if quantized.transposed else dense
