"""Entropy-coded tensors: what was pruned, thresholded or rounded to small integers takes few bytes.

A packed tensor ``x`` lies in the file as ``x_packed``, a run of bytes (see ``codecs.container``), and
under its own name is a tensor of no elements. A reader that does not know Prensa therefore meets
a wrong shape at every packed tensor and must fail; it can never run on random weights.
A tensor that packing would not shrink is stored dense under its own name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from prensa.codecs.container import pack
from prensa.formats.base import Extent, Stored
from prensa.ops.affine import Quantized
from prensa.spec import FLOATS, TensorSpec

QUANT_METHOD = "prensa"
FORMAT_VERSION = 1
SUFFIX = "_packed"

_SMALLEST = 4096  # bytes; below, the headers cost more than the coding saves
_OVERHEAD = 1024  # bytes; header and padding of one packed tensor, generously


class PackedFormat:
    """The smallest of Prensa's codecs for each tensor."""

    name = "packed"

    def refuses(self, spec: TensorSpec) -> str:  # noqa: ARG002
        """Take every matrix."""
        return ""

    def extent(self, spec: TensorSpec, dtype: torch.dtype, *, quantized: bool) -> Extent:
        """Never take more than the dense tensor, or than its integers and scales as they are."""
        dense = spec.numel * dtype.itemsize
        nbytes = spec.numel + 4 * max(spec.shape) + _OVERHEAD if quantized else dense
        names = (spec.name, spec.name + SUFFIX) if quantized or nbytes >= _SMALLEST else (spec.name,)
        return Extent(names, nbytes)

    def store(self, name: str, value: Tensor | Quantized, codecs: Sequence[str]) -> Stored:
        """Pack where that is smaller."""
        if not isinstance(value, Quantized) and (value.nbytes < _SMALLEST or value.dtype not in FLOATS):
            return Stored({name: value}, "dense")
        packed = pack(value, codecs)
        if not isinstance(value, Quantized) and packed.data.nbytes >= value.nbytes:
            return Stored({name: value}, "dense")
        placeholder = torch.empty(0, dtype=value.dtype)
        return Stored({name: placeholder, name + SUFFIX: packed.data}, packed.codec)

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
