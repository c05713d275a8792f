"""What a layer computes in 8 or 4 bits, worked out in float32: near enough to know what that costs."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from prensa.serving.layers import Use
from prensa.serving.onnx_nibbles import near_in_nibbles

_LARGEST = 127
# Of activations: 8 bits from the smallest number to the largest.
_STEPS = 255
_FOUR = 4


def rounded_weight(weight: Tensor, use: Use, bits: int) -> Tensor:
    """Round a weight as runtimes do: a scale for each number of the output, or for each row of a table."""
    # A table's rows, and the columns of [in, out].
    turned = weight.T if use.given is not None and use.by_rows else weight
    axis = -1 if use.given is None else 0
    scales = turned.abs().amax(dim=axis, keepdim=True) / _LARGEST
    scales[scales == 0] = 1
    integers = torch.round(turned / scales)
    if bits == _FOUR:
        nearest = near_in_nibbles(integers.numpy().astype(np.int8))
        if nearest is not None:
            integers = torch.from_numpy(nearest.astype(np.float32))
    result = integers * scales
    return result.T if turned is not weight else result


def rounded_input(numbers: Tensor) -> Tensor:
    """Round what a layer is given to 8 bits, with one scale for all: a large number costs all others."""
    # Zero is always among the levels.
    low = torch.clamp(numbers.amin(), max=0)
    high = torch.clamp(numbers.amax(), min=0)
    scale = (high - low) / _STEPS
    if scale == 0:
        return numbers
    return torch.round(numbers / scale) * scale
