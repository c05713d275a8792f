"""The files that ``transformers`` with ``bitsandbytes`` would have saved with ``load_in_8bit``.

A linear layer is stored as int8 ``weight`` ``[out, in]``, float32 row maxima ``SCB`` and the layout
mark ``weight_format`` (0: row major); everything else is dense. bitsandbytes is not needed to write
this, only to load it. Layout after ``Linear8bitLt._save_to_state_dict`` of bitsandbytes 0.50.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

from prensa.formats.base import Extent, Format, Passes, Stored, dense_extent
from prensa.ops.affine import INT8_LEVELS, Quantized
from prensa.ops.spec import TensorSpec
from prensa.passes.gptq import LEAST_NOISE

# What imports transformers is imported in the methods: every recipe looks its format up, and most need none
# of it.

_ROW_MAJOR = 0


class BitsAndBytes(Format):
    """Linear layers in LLM.int8() serialization."""

    before_loading: ClassVar[str] = "with bitsandbytes installed, "
    name: ClassVar[str] = "bitsandbytes"
    needs_class: ClassVar[bool] = True

    def refuses_recipe(self, passes: Passes, *, state_dict: bool) -> str:
        """Refuse noise: the integers take a byte each, however small they are."""
        for step in passes:
            if step.noise is not None and step.noise > LEAST_NOISE:
                return (
                    "format bitsandbytes: takes a byte for each weight, so noise would save nothing; "
                    f"give `noise={LEAST_NOISE:g}`, or `format=packed`"
                )
        return ""

    def fitted_passes(self, passes: Passes, model: Path, class_name: str) -> tuple[Passes, str]:
        """Leave out rounding to 16 bits if the class makes a parameter in float32 whatever the dtype."""
        from prensa.integrations.bitsandbytes import pinned_to_float32

        pinned = pinned_to_float32(model)
        if not pinned:
            return passes, ""
        # transformers loads a model in the dtype of its files. In float16 that parameter would not mix with
        # the others, so all that is not in 8 bits stays in float32.
        fitted = tuple(step for step in passes if step.dtype_after(torch.float32) == torch.float32)
        return fitted, f"{class_name} has {pinned} in float32 always: what is not in 8 bits stays in float32"

    def leaves_plain(self, model: Path, dense_layers: Collection[str]) -> Collection[str]:
        """Name the layers that transformers would not replace: in 8 bits nothing could read them."""
        from prensa.integrations.bitsandbytes import kept_plain

        return kept_plain(model, dense_layers)

    def refuses_all_dense(self) -> str:
        """Refuse a model without 8-bit layers: bitsandbytes would be needed for nothing."""
        return "format bitsandbytes: the recipe quantizes no linear layer; use `format=plain`"

    def refuses(self, spec: TensorSpec) -> str:
        """Take the layers that transformers replaces on loading, and no others."""
        if spec.layer in {"Linear", "Conv1D"}:
            return ""
        return "bitsandbytes holds linear layers only"

    def extent(self, spec: TensorSpec, dtype: torch.dtype, *, quantized: bool) -> Extent:
        """Take a byte for each element and four for each row, or the dense tensor."""
        if not quantized:
            return dense_extent(spec, dtype)
        # A transposed weight is turned over, so that its rows may be either dimension.
        row_maxima = 4 * max(spec.shape)
        return Extent(_names(spec.name), spec.numel + row_maxima + 1)

    def store(self, spec: TensorSpec, value: Tensor | Quantized, codecs: Sequence[str]) -> Stored:
        """Store the integers as they are, and the row maxima."""
        if not isinstance(value, Quantized):
            return Stored({spec.name: value}, "dense")
        # The library divides by 127 on loading, whatever the integers' own levels are.
        row_maxima = value.scale * (INT8_LEVELS / value.levels)
        layout = torch.tensor(_ROW_MAJOR, dtype=torch.uint8)
        weight_name, maxima_name, layout_name = _names(spec.name)
        tensors = {weight_name: value.values, maxima_name: row_maxima, layout_name: layout}
        return Stored(tensors, "bitsandbytes")

    def quantization_config(
        self,
        dense_layers: Sequence[str],
        checksums: Mapping[str, str],
    ) -> dict[str, object]:
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

    def check(self, directory: Path) -> None:
        """Let the result answer one text: whether each layer can be read depends on the library's modules."""
        from prensa.runtime.trial import check_answers

        check_answers(directory)


def _names(name: str) -> tuple[str, str, str]:
    layer = name.removesuffix("weight")
    return name, f"{layer}SCB", f"{layer}weight_format"
