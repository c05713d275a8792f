"""Entropy-coded tensors: what was pruned, thresholded or rounded to small integers takes few bytes.

A packed tensor ``x`` of shape ``[rows, …]`` lies in the file as ``x_packed``, a run of bytes (see
``codecs.container``), and under its own name is a tensor of shape ``[rows, 0]`` without elements. A reader
that does not know Prensa therefore meets a wrong shape at every packed tensor and must fail; it can never
run on random weights. (The rows are kept because libraries size biases by them.) Vectors, tensors that the
model class does not have, and those that packing would not shrink are stored dense under their own names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from prensa.codecs.container import Packed, pack
from prensa.formats.base import Extent, Stored
from prensa.ops.affine import Quantized
from prensa.spec import FLOATS, TensorSpec

QUANT_METHOD = "prensa"
FORMAT_VERSION = 1
SUFFIX = "_packed"

_MATRIX = 2  # dimensions
_SMALLEST = 4096  # bytes; below, the headers cost more than the coding saves
_OVERHEAD = 1024  # bytes; header and padding of one packed tensor, generously


class PackedFormat:
    """The smallest of Prensa's codecs for each tensor."""

    name = "packed"

    def refuses(self, spec: TensorSpec) -> str:
        """Take every matrix that the model class has, since loading swaps its parameters."""
        return "" if spec.in_model else "the model class has no such tensor"

    def extent(self, spec: TensorSpec, dtype: torch.dtype, *, quantized: bool) -> Extent:
        """Never take more than the dense tensor, or than its integers and scales as they are."""
        dense = spec.numel * dtype.itemsize
        nbytes = spec.numel + 4 * max(spec.shape) + _OVERHEAD if quantized else dense
        may_be_packed = quantized or _may_be_packed(spec, spec.nbytes)  # it may have to keep its dtype
        return Extent((spec.name, spec.name + SUFFIX) if may_be_packed else (spec.name,), nbytes)

    def store(self, spec: TensorSpec, value: Tensor | Quantized, codecs: Sequence[str]) -> Stored:
        """Pack where that is smaller."""
        if isinstance(value, Quantized):
            return _packed(spec.name, value, pack(value, codecs))
        is_candidate = _may_be_packed(spec, value.nbytes) and value.dtype in FLOATS
        packed = pack(value, codecs) if is_candidate else None
        if packed is None or packed.data.nbytes >= value.nbytes:
            return Stored({spec.name: value}, "dense")
        return _packed(spec.name, value, packed)

    def quantization_config(
        self,
        dense_layers: Sequence[str],  # noqa: ARG002
        checksums: Mapping[str, str],
    ) -> dict[str, Any]:
        """Name the method, its version, and the files' checksums."""
        return {
            "quant_method": QUANT_METHOD,
            "format_version": FORMAT_VERSION,
            "sha256": dict(checksums),
        }


def _may_be_packed(spec: TensorSpec, nbytes: int) -> bool:
    return spec.in_model and len(spec.shape) >= _MATRIX and nbytes >= _SMALLEST


def placeholder(shape: Sequence[int], dtype: torch.dtype, device: str = "cpu") -> Tensor:
    """Return the tensor without elements that stands in for a packed one."""
    return torch.empty((shape[0], 0), dtype=dtype, device=device)


def _packed(name: str, value: Tensor | Quantized, packed: Packed) -> Stored:
    tensors = {name: placeholder(value.shape, value.dtype), name + SUFFIX: packed.data}
    return Stored(tensors, packed.codec)
