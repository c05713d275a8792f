"""One vector for a text, from the vectors of its pieces, as Sentence Transformers does."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

Mode = Literal["mean", "cls", "max", "last"]

_MODES: dict[str, Mode] = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_lasttoken": "last",
}


@dataclass(frozen=True)
class Pool:
    """The mean of the pieces' vectors, the first, the largest in each place, or the last."""

    mode: Mode = "mean"

    def __call__(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Pool ``[texts, pieces, size]`` to ``[texts, size]``; pieces where ``mask`` is 0 do not count."""
        if self.mode == "cls":
            return hidden[:, 0]
        if self.mode == "last":
            return hidden[torch.arange(len(hidden), device=hidden.device), mask.sum(dim=1) - 1]
        where = mask.unsqueeze(-1).bool()
        if self.mode == "max":
            return hidden.masked_fill(~where, float("-inf")).amax(dim=1)
        return (hidden * where).sum(dim=1) / where.sum(dim=1)


def read_pool(model: Path) -> Pool:
    """Read how a Sentence Transformers model pools; the mean for any other."""
    try:
        config = json.loads((model / "1_Pooling" / "config.json").read_text(encoding="utf-8"))
        return Pool(next((mode for key, mode in _MODES.items() if config.get(key)), "mean"))
    except (OSError, ValueError, AttributeError):
        return Pool()
