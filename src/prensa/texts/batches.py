"""Texts of like length put together, so that little of what a model computes is padding."""

from __future__ import annotations

from collections.abc import Sequence


def by_tokens(
    lengths: Sequence[int], tokens: int, *, most: int | None = None, equal: bool = False
) -> list[list[int]]:
    """Return batches of indices, the longest texts first: up to ``tokens`` each, padding included.

    No batch has more than ``most`` texts, and with ``equal`` only texts of one length. A text that is longer
    than ``tokens`` is a batch alone.
    """
    # Sorting is stable: texts of one length stay in their order.
    order = sorted(range(len(lengths)), key=lambda index: -lengths[index])
    batches = []
    start = 0
    while start < len(order):
        # The first one is the longest, so it is what the others are padded to.
        longest = lengths[order[start]]
        size = max(1, tokens // max(1, longest))
        if most is not None:
            size = min(most, size)
        batch = order[start : start + size]
        if equal:
            batch = [index for index in batch if lengths[index] == longest]
        batches.append(batch)
        start += len(batch)
    return batches
