"""What a change of values cost: relative squared error and zeros."""

from __future__ import annotations

import torch
from torch import Tensor

from prensa.ops.affine import Quantized
from prensa.ops.blocks import blocks


def relative_squared_error(before: Tensor, after: Tensor | Quantized) -> float:
    """``‖before − after‖² ÷ ‖before‖²`` of the dense tensors, 0 where both are zero.

    Computed in float32 piece by piece; the pieces are added up in float64.
    """
    if isinstance(after, Quantized) and after.transposed:
        before = before.t()
    rows = before.reshape(len(before), -1) if before.dim() > 1 else before.reshape(-1, 1)
    error = energy = 0.0
    for block in blocks(*rows.shape):
        reference = rows[block].float()
        difference = reference - _dense_rows(after, block).reshape(reference.shape)
        energy += _squared_norm(reference)
        error += _squared_norm(difference)
    return error / energy if energy else 0.0


def count_zeros(value: Tensor | Quantized) -> int:
    """Number of elements equal to zero (of either sign)."""
    tensor = value.values if isinstance(value, Quantized) else value
    return tensor.numel() - int(torch.count_nonzero(tensor))


def _dense_rows(value: Tensor | Quantized, block: slice) -> Tensor:
    if isinstance(value, Quantized):
        return value.values[block] * (value.scale[block] / value.levels)[:, None]
    return value.reshape(-1)[block] if value.dim() < 2 else value[block]  # noqa: PLR2004


def _squared_norm(tensor: Tensor) -> float:
    flat = tensor.reshape(-1)
    return torch.dot(flat, flat).item()
