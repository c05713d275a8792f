"""DeBERTa's positions: which one stands for each distance between two tokens."""

from __future__ import annotations

import torch
from torch import Tensor
from transformers.models.deberta_v2 import modeling_deberta_v2 as v2

# The farthest offset that is looked at.
_FARTHEST = 1 << 16


def positions_of_offsets(most: int, buckets: int) -> Tensor:
    """Return which position stands for each offset −m … m; farther ones are as the last on their side.

    ``most`` is the largest distance that a model tells apart, ``buckets`` how many positions there are on
    each side where farther ones share one, else at most 0.
    """
    span = buckets if buckets > 0 else most
    last = 2 * span - 1
    reach = most
    while True:
        offsets = torch.arange(-reach, reach + 1)
        if buckets > 0:
            offsets = v2.make_log_bucket_position(offsets, buckets, most).long()
        positions = (offsets + span).clamp(0, last)
        first_found = int(positions[0])
        last_found = int(positions[-1])
        reaches_ends = {first_found, last_found} == {0, last}
        if reaches_ends or reach > _FARTHEST:
            return positions
        # There are more buckets than positions: they go on beyond the last one.
        reach *= 2
