"""Dense safetensors: anything can load them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from prensa.formats.base import Extent, Stored
from prensa.ops.affine import Quantized, dequantize
from prensa.spec import TensorSpec


class Plain:
    """Every tensor under its own name, in its own dtype."""

    name = "plain"

    def refuses(self, spec: TensorSpec) -> str:  # noqa: ARG002
        """Refuse every quantized tensor: stored dense it would be no smaller."""
        return "the plain format stores dense tensors"

    def extent(self, spec: TensorSpec, dtype: torch.dtype, *, quantized: bool) -> Extent:  # noqa: ARG002
        """Take its elements times the dtype's size."""
        return Extent((spec.name,), spec.numel * dtype.itemsize)

    def store(self, spec: TensorSpec, value: Tensor | Quantized, codecs: Sequence[str]) -> Stored:  # noqa: ARG002
        """Store the dense tensor."""
        return Stored({spec.name: dequantize(value) if isinstance(value, Quantized) else value}, "dense")

    def quantization_config(
        self,
        dense_layers: Sequence[str],
        checksums: Mapping[str, str],
    ) -> None:
        """Need nothing."""
