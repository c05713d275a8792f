"""Whether a model answers texts alike with padding behind them: some mix it in (FNet, ConvBERT)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from prensa.serving.exported import TOLERANCES
from prensa.serving.program import input_names
from prensa.serving.pytorch import Engine
from prensa.serving.ways import find_way, one_by_one, probes, take
from prensa.texts.encoding import Encoded

if TYPE_CHECKING:
    from transformers import PreTrainedModel

# How far apart answers may be that differ in the order of their sums alone.
_ROUNDED = {
    torch.float32: TOLERANCES["fp32"],
    torch.float16: TOLERANCES["fp16"],
    torch.bfloat16: TOLERANCES["bf16"],
}


def pads_alike(model: PreTrainedModel, encoded: Encoded) -> bool:
    """Whether a model gives the answers of each text alone when texts are padded and answered together."""
    tried = take(encoded, probes(encoded))
    names = input_names(model, encoded.rows[0])
    engine = Engine(model)
    allowed = _ROUNDED.get(model.dtype, TOLERANCES["fp32"])
    return find_way(engine, tried, names, one_by_one(engine, tried, names), allowed) == "padded"
