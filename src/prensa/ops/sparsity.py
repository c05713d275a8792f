"""Which weights to set to zero.

Magnitudes are compared as integers: the bits of a non-negative IEEE 754 number, read as an integer,
are in the same order as the numbers, and comparing integers is exact and fast in every dtype.
"""

from __future__ import annotations

import math
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from prensa.ops.parallel import map_parallel, row_blocks

Bits: TypeAlias = NDArray[np.unsignedinteger]
"""Floats as the unsigned integers with the same bits, flat."""

UNSIGNED: dict[int, type[np.unsignedinteger]] = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64}
"""By the bytes of an element."""

# Elements of the sample that narrows a selection down. Sorting as many takes no time beside reading a matrix.
_SAMPLE = 1 << 14


def prune_smallest(weight: Tensor, amount: float) -> Tensor:
    """Set the ``round(amount × numel)`` elements of smallest magnitude to zero. Works on all cores.

    Zeros that are there already count; of equal magnitudes the first in memory go first, so that the
    share is exact. This is unstructured L1 pruning per tensor (Han et al. 2015, section 3), with
    the count that ``torch.nn.utils.prune.l1_unstructured`` uses. Returns a new tensor.
    """
    count = round(amount * weight.numel())
    bits = _bits(weight)
    if count == 0:
        return weight.clone()
    kept = np.empty_like(bits)
    blocks = row_blocks(len(bits))
    limit = _kth_smallest(bits, count - 1)

    def keep_large(block: slice) -> int:
        large = _magnitude(bits[block]) >= limit
        np.multiply(bits[block], large, out=kept[block])
        return int(np.count_nonzero(large))

    kept_count = sum(map_parallel(keep_large, blocks))

    # Magnitudes that equal the limit were all kept, which may be too many. The missing zeros are taken from
    # them one block after the other: which of them go must not depend on the threads.
    zeros = len(bits) - kept_count
    missing = count - zeros
    for block in blocks:
        is_tie = _magnitude(bits[block]) == limit
        ties = np.flatnonzero(is_tie)[:missing]
        kept[block][ties] = 0
        missing -= len(ties)
        if not missing:
            break
    return _from_bits(kept, weight)


def zero_below(weight: Tensor, threshold: float) -> Tensor:
    """Set every element whose magnitude is smaller than ``threshold`` to zero. Returns a new tensor."""
    bits = _bits(weight)
    # Smaller than the threshold is smaller than the next number of the dtype that is not below it.
    smallest_kept = _round_up(threshold, weight.dtype)
    limit = _magnitude(_bits(smallest_kept))[0]
    is_kept = _magnitude(bits) >= limit
    return _from_bits(bits * is_kept, weight)


def count_zeros(tensor: Tensor) -> int:
    """Count the elements equal to zero, of either sign."""
    flat = tensor.contiguous().reshape(-1)
    if tensor.is_floating_point():
        # Minus zero has its sign bit set and is zero all the same.
        elements = _magnitude(_bits(flat))
    else:
        elements = flat.numpy()
    return flat.numel() - int(np.count_nonzero(elements))


def _from_bits(bits: Bits, like: Tensor) -> Tensor:
    # By way of bytes: PyTorch does not take NumPy's wider unsigned integers.
    data = torch.from_numpy(bits.view(np.uint8))
    return data.view(like.dtype).reshape(like.shape)


def _bits(weight: Tensor) -> Bits:
    """Return a float tensor's bits as flat unsigned integers, in the same memory if it is contiguous."""
    # By way of bytes: NumPy has no bfloat16.
    flat = weight.contiguous().reshape(-1)
    data = flat.view(torch.uint8).numpy()
    unsigned = UNSIGNED[weight.dtype.itemsize]
    bits: Bits = data.view(unsigned)
    return bits


def _magnitude(bits: Bits) -> Bits:
    """Clear the sign, which is the highest bit."""
    all_bits = np.iinfo(bits.dtype).max
    all_but_the_sign = bits.dtype.type(all_bits >> 1)
    magnitude: Bits = bits & all_but_the_sign
    return magnitude


def _round_up(threshold: float, dtype: torch.dtype) -> Tensor:
    """Return the smallest number of a dtype that is not below ``threshold``, ``[1]``."""
    nearest = torch.tensor([threshold], dtype=dtype)
    if nearest.item() >= threshold:
        return nearest
    return torch.nextafter(nearest, torch.full_like(nearest, math.inf))


def _kth_smallest(bits: Bits, k: int) -> np.unsignedinteger:
    """Return the magnitude that would be at ``k`` if they were sorted.

    A sorted sample gives a narrow window that nearly always holds it; only the window is sorted further. This
    is the idea of Floyd and Rivest (1975), and many times faster here than partitioning everything.
    """
    stride = max(1, len(bits) // _SAMPLE)
    sample = np.sort(_magnitude(bits[::stride]))

    # In a sample of n the place of the k-th smallest has a standard deviation of at most √n ÷ 2: the window
    # has eight of those to either side.
    expected = k / len(bits) * len(sample)
    margin = 4 * math.sqrt(len(sample))
    first = math.floor(expected - margin)
    last = math.ceil(expected + margin)
    low = sample[max(first, 0)]
    high = sample[min(last, len(sample) - 1)]

    def look(block: slice) -> tuple[int, Bits]:
        magnitude = _magnitude(bits[block])
        not_below = magnitude >= low
        not_above = magnitude <= high
        below = len(magnitude) - int(np.count_nonzero(not_below))
        return below, magnitude[not_below & not_above]

    below = 0
    windows = []
    for count, inside in map_parallel(look, row_blocks(len(bits))):
        below += count
        windows.append(inside)
    window = np.concatenate(windows)
    if not below <= k < below + len(window):
        # The sample misled, as it does if equal magnitudes lie side by side: look at all of them.
        below = 0
        window = _magnitude(bits)
    kth: np.unsignedinteger = np.partition(window, k - below)[k - below]
    return kth
