"""Which linear layers ``transformers`` turns into 8-bit ones when it loads a bitsandbytes checkpoint."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import torch
from torch import nn
from transformers.pytorch_utils import Conv1D
from transformers.quantizers.base import HfQuantizer
from transformers.quantizers.quantizers_utils import should_convert_module

from prensa.checkpoint.roles import meta_model


def pinned_to_float32(path: Path) -> str:
    """Name a parameter that its class makes in float32 whatever the model's dtype, empty if it has none.

    ``transformers`` leaves it so in an 8-bit model, where it does not mix with the float16 around it (the
    biases of DeBERTa's queries, in version 1).
    """
    # A class that does not say a dtype takes the default one, so those that are float32 now were told to be.
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float16)
    try:
        model = meta_model(path)
    finally:
        torch.set_default_dtype(before)
    for name, weight in model.named_parameters():
        if weight.dtype == torch.float32:
            return str(name)
    return ""


def kept_plain(path: Path, skipped: Iterable[str]) -> set[str]:
    """Name the linear layers of a model that stay plain if ``skipped`` is its ``llm_int8_skip_modules``.

    The library's own quantizer decides. It also skips layers whose names end like one in the list
    (``classifier`` skips DistilBERT's ``pre_classifier``), those that the class keeps in float32 (T5's
    ``wo``), and those of other classes than ``Linear`` and ``Conv1D``. What is skipped joins the list, so
    it is worked out again until it stays the same.
    """
    model = meta_model(path)
    layers = []
    for name, module in model.named_modules():
        # Not isinstance(): a class that inherits from Linear is left plain.
        if type(module) is nn.Linear or type(module) is Conv1D:
            layers.append(name)
    plain = set(skipped)
    while True:
        patterns = HfQuantizer.get_modules_to_not_convert(model, sorted(plain), model._keep_in_fp32_modules)
        left_out = {name for name in layers if not should_convert_module(name, patterns)}
        if left_out <= plain:
            return plain
        plain |= left_out
