"""Lossy steps: each chooses new values for a tensor, and none of them writes a file.

A new pass is one file beside this one and one line in the table.
"""

from __future__ import annotations

from prensa.passes.base import Bound, Pass
from prensa.passes.gptq import Gptq
from prensa.passes.half import Half
from prensa.passes.prune import Prune
from prensa.passes.quantize import Quantize
from prensa.passes.sparsegpt import Sparsegpt
from prensa.passes.threshold import Threshold

# In the order in which a recipe has them by default: what removes weights comes before what rounds them.
PASSES: dict[str, type[Pass]] = {
    Half.name: Half,
    Prune.name: Prune,
    Sparsegpt.name: Sparsegpt,
    Threshold.name: Threshold,
    Quantize.name: Quantize,
    Gptq.name: Gptq,
}

__all__ = [
    "PASSES",
    "Bound",
    "Gptq",
    "Half",
    "Pass",
    "Prune",
    "Quantize",
    "Sparsegpt",
    "Threshold",
]
