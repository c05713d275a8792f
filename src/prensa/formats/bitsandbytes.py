"""The files that ``transformers`` with ``bitsandbytes`` would have saved with ``load_in_8bit``.

A linear layer is stored as int8 ``weight`` ``[out, in]``, float32 row maxima ``SCB`` and the layout
mark ``weight_format`` (0: row major); everything else is dense. bitsandbytes is not needed to write
this, only to load it. Layout after ``Linear8bitLt._save_to_state_dict`` of bitsandbytes 0.50.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from prensa.formats.base import Extent, Stored
from prensa.ops.affine import INT8_LEVELS, Quantized
from prensa.spec import TensorSpec

_ROW_MAJOR = 0


class BitsAndBytes:
    """Linear layers in LLM.int8() serialization."""

    name = "bitsandbytes"

    def refuses(self, spec: TensorSpec) -> str:
        """Take the layers that transformers replaces on loading, and no others."""
        if spec.layer in {"Linear", "Conv1D"}:
            return ""
        return "bitsandbytes holds linear layers only"

    def extent(self, spec: TensorSpec, dtype: torch.dtype, *, quantized: bool) -> Extent:
        """Take a byte for each element and four for each row, or the dense tensor."""
        if not quantized:
            return Extent((spec.name,), spec.numel * dtype.itemsize)
        return Extent(_names(spec.name), spec.numel + 4 * max(spec.shape) + 1)

    def store(self, spec: TensorSpec, value: Tensor | Quantized, codecs: Sequence[str]) -> Stored:  # noqa: ARG002
        """Store the integers as they are, and the row maxima."""
        if not isinstance(value, Quantized):
            return Stored({spec.name: value}, "dense")
        row_maxima = value.scale * (INT8_LEVELS / value.levels)
        parts = (value.values, row_maxima, torch.tensor(_ROW_MAJOR, dtype=torch.uint8))
        return Stored(dict(zip(_names(spec.name), parts, strict=True)), "bitsandbytes")

    def quantization_config(
        self,
        dense_layers: Sequence[str],
        checksums: Mapping[str, str],  # noqa: ARG002
    ) -> dict[str, Any]:
        """Say LLM.int8() with its default outlier threshold, and name the layers that stay dense."""
        return {
            "quant_method": "bitsandbytes",
            "load_in_8bit": True,
            "load_in_4bit": False,
            "llm_int8_threshold": 6.0,
            "llm_int8_skip_modules": sorted(dense_layers),
            "llm_int8_enable_fp32_cpu_offload": False,
            "llm_int8_has_fp16_weight": False,
        }


def _names(name: str) -> tuple[str, str, str]:
    layer = name.removesuffix("weight")
    return name, f"{layer}SCB", f"{layer}weight_format"
