"""Which weights to set to zero.

Magnitudes are compared as integers: the bits of a non-negative IEEE 754 number, read as an integer,
are in the same order as the numbers, and integer comparisons are exact and fast in every dtype.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

_UNSIGNED = {2: np.uint16, 4: np.uint32, 8: np.uint64}


def prune_smallest(weight: Tensor, amount: float) -> Tensor:
    """Set the ``round(amount × numel)`` elements of smallest magnitude to zero.

    Zeros that are there already count; of equal magnitudes the first in memory go first, so that the
    share is exact. This is unstructured L1 pruning per tensor (Han et al. 2015, section 3), with
    the count that ``torch.nn.utils.prune.l1_unstructured`` uses. Returns a new tensor.
    """
    count = round(amount * weight.numel())
    pruned = weight.clone(memory_format=torch.contiguous_format)
    if count == 0:
        return pruned
    magnitude = _magnitude_bits(pruned)
    cut = np.partition(magnitude, count - 1)[count - 1]
    zero = magnitude < cut
    ties = np.flatnonzero(magnitude == cut)[: count - np.count_nonzero(zero)]
    zero[ties] = True
    pruned.view(-1)[torch.from_numpy(zero)] = 0
    return pruned


def zero_below(weight: Tensor, threshold: float) -> Tensor:
    """Set every element whose magnitude is smaller than ``threshold`` to zero. Returns a new tensor."""
    return weight.masked_fill(weight.abs() < threshold, 0)


def _magnitude_bits(weight: Tensor) -> np.ndarray[tuple[int], np.dtype[np.unsignedinteger]]:
    """Flatten to the bits of the magnitudes, as unsigned integers in the order of the magnitudes."""
    unsigned = _UNSIGNED[weight.dtype.itemsize]
    bits = weight.view(-1).view(torch.uint8).numpy().view(unsigned)
    return bits & unsigned(np.iinfo(unsigned).max >> 1)
