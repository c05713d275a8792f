"""How packed tensors lie in a safetensors file: what writes, loads and runs them agrees on this.

A packed tensor ``x`` of shape ``[rows, …]`` lies in the file as ``x_packed``, a run of bytes (see
``codecs.container``), and under the name ``x`` is a tensor of shape ``[rows, 0]`` without elements.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

QUANT_METHOD = "prensa"
"""The method in a config's ``quantization_config``."""

FORMAT_VERSION = 1
SUFFIX = "_packed"


def placeholder(shape: Sequence[int], dtype: torch.dtype, device: str = "cpu") -> Tensor:
    """Return the tensor without elements that stands in for a packed one.

    A reader that does not know Prensa meets a wrong shape and must fail: it can never run on random weights.
    The rows are kept because libraries size biases by them.
    """
    return torch.empty((shape[0], 0), dtype=dtype, device=device)


def packed_names(names: Iterable[str]) -> set[str]:
    """Return the packed tensors among the entries of a file, by the names of the tensors themselves."""
    present = set(names)
    packed = set()
    for name in present:
        tensor = name.removesuffix(SUFFIX)
        # A model may have a tensor that ends like one: only pairs are packed.
        if name != tensor and tensor in present:
            packed.add(tensor)
    return packed
