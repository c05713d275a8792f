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
from prensa.passes.wanda import Wanda

PASSES: dict[str, type[Pass]] = {
    kind.name: kind for kind in (Half, Prune, Sparsegpt, Wanda, Threshold, Quantize, Gptq)
}

INTEGERS = (Quantize, Gptq)
"""The passes that leave integers on a grid."""

CALIBRATED = (Gptq, Sparsegpt, Wanda)
"""The passes that take what calibration knows of a matrix."""

__all__ = [
    "CALIBRATED",
    "INTEGERS",
    "PASSES",
    "Bound",
    "Gptq",
    "Half",
    "Pass",
    "Prune",
    "Quantize",
    "Sparsegpt",
    "Threshold",
    "Wanda",
]
