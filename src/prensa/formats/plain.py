"""Dense safetensors: anything can load them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from prensa.formats.base import Extent, Format, Passes, Stored, dense_extent
from prensa.ops.affine import Quantized, dequantize
from prensa.ops.spec import TensorSpec


class Plain(Format):
    """Every tensor under its own name, in its own dtype."""

    name: ClassVar[str] = "plain"

    def refuses_recipe(self, passes: Passes, *, state_dict: bool) -> str:
        """Refuse integers: stored dense they would be no smaller than before."""
        for step in passes:
            if step.makes_integers:
                return (
                    "format plain: stores dense tensors, so quantization would cost accuracy and save "
                    "nothing; take `preset=half` or `bits=16`, or `format=packed` or `format=bitsandbytes`"
                )
        return ""

    def refuses(self, spec: TensorSpec) -> str:
        """Refuse every quantized tensor."""
        return "the plain format stores dense tensors"

    def extent(self, spec: TensorSpec, dtype: torch.dtype, *, quantized: bool) -> Extent:
        """Take its elements times the dtype's size."""
        return dense_extent(spec, dtype)

    def store(self, spec: TensorSpec, value: Tensor | Quantized, codecs: Sequence[str]) -> Stored:
        """Store the dense tensor."""
        if isinstance(value, Quantized):
            value = dequantize(value)
        return Stored({spec.name: value}, "dense")
