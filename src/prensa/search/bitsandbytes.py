"""What ``transformers`` makes of a model with bitsandbytes: the reference that users know."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from prensa.checkpoint.companions import copy_companions
from prensa.checkpoint.roles import model_shape
from prensa.runtime.torch import load

BITSANDBYTES: Mapping[str, Mapping[str, Any]] = {
    "bitsandbytes int8": {"load_in_8bit": True},
    "bitsandbytes nf4": {
        "load_in_4bit": True,
        "bnb_4bit_quant_type": "nf4",
        "bnb_4bit_use_double_quant": True,
        "bnb_4bit_compute_dtype": torch.float32,
    },
}


@dataclass(frozen=True)
class WithBitsandbytes:
    """Linear layers quantized but for the last, which kernels may not take; the rest in float16; saved."""

    model: Path
    settings: Mapping[str, Any]

    def __call__(self, output: Path) -> None:
        """Write the result to ``output``."""
        from transformers import BitsAndBytesConfig

        parameters = model_shape(self.model).parameters
        heads = [name.removesuffix(".weight") for name, each in parameters.items() if each.role == "head"]
        config = BitsAndBytesConfig(**self.settings, llm_int8_skip_modules=heads or None)
        load(self.model, quantization_config=config, dtype=torch.float16).save_pretrained(output)
        copy_companions(self.model, output)
