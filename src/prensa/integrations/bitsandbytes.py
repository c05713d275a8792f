"""Which linear layers ``transformers`` turns into 8-bit ones when it loads a bitsandbytes checkpoint."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from torch import nn
from transformers.pytorch_utils import Conv1D
from transformers.quantizers.base import HfQuantizer
from transformers.quantizers.quantizers_utils import should_convert_module

from prensa.checkpoint.roles import meta_model


def kept_plain(path: Path, skipped: Iterable[str]) -> set[str]:
    """Name the linear layers of a model that stay plain where ``skipped`` is its ``llm_int8_skip_modules``.

    The library's own quantizer is asked. It also skips layers whose names end like one in the list
    (``classifier`` skips DistilBERT's ``pre_classifier``), those that the class keeps in float32 (T5's
    ``wo``), and those of other classes than ``Linear`` and ``Conv1D``. What is skipped joins the list, so
    the question is asked again until it stays the same.
    """
    model = meta_model(path)
    layers = [
        name for name, module in model.named_modules() if type(module) is nn.Linear or type(module) is Conv1D
    ]
    plain = set(skipped)
    while True:
        patterns = HfQuantizer.get_modules_to_not_convert(model, sorted(plain), model._keep_in_fp32_modules)
        more = {name for name in layers if not should_convert_module(name, patterns)} - plain
        if not more:
            return plain
        plain |= more
