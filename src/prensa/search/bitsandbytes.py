"""What ``transformers`` makes of a model with bitsandbytes: the reference that users know."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch

from prensa.checkpoint.companions import copy_companions
from prensa.checkpoint.roles import model_shape
from prensa.runtime.torch import load

BITSANDBYTES: Mapping[str, Mapping[str, object]] = {
    "bitsandbytes int8": {"load_in_8bit": True},
    "bitsandbytes nf4": {
        "load_in_4bit": True,
        "bnb_4bit_quant_type": "nf4",
        "bnb_4bit_use_double_quant": True,
        "bnb_4bit_compute_dtype": torch.float32,
    },
}


def write_with_bitsandbytes(model: Path, settings: Mapping[str, object], output: Path) -> None:
    """Write ``model`` to ``output``, linear layers quantized by bitsandbytes and the rest in float16."""
    from transformers import BitsAndBytesConfig

    # The head stays as it is: bitsandbytes' kernels do not take the head of every class.
    heads: list[str] = []
    for name, parameter in model_shape(model).parameters.items():
        if parameter.role == "head":
            heads.append(name.removesuffix(".weight"))
    config = BitsAndBytesConfig(**settings, llm_int8_skip_modules=heads or None)
    quantized = load(model, quantization_config=config, dtype=torch.float16)
    quantized.save_pretrained(output)
    copy_companions(model, output)
