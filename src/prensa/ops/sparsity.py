"""Which weights to set to zero.

Magnitudes are compared as integers: the bits of a non-negative IEEE 754 number, read as an integer,
are in the same order as the numbers, and comparing integers is exact and fast in every dtype.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from prensa.ops.parallel import map_parallel, pieces

_UNSIGNED: dict[int, Any] = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64}
_SAMPLE = 1 << 14

Bits = npt.NDArray[Any]


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
    cuts = pieces(len(bits))
    cut = _kth_smallest(bits, count - 1)

    def keep_large(part: slice) -> int:
        large = _magnitude(bits[part]) >= cut
        np.multiply(bits[part], large, out=kept[part])
        return int(np.count_nonzero(large))

    missing = count - len(bits) + sum(map_parallel(keep_large, cuts))
    for part in cuts:
        ties = np.flatnonzero(_magnitude(bits[part]) == cut)[:missing]
        kept[part][ties] = 0
        missing -= len(ties)
        if not missing:
            break
    return _from_bits(kept, weight)


def prune_smallest_in_rows(weight: Tensor, scores: Tensor, amount: float) -> Tensor:
    """Set the ``round(amount × columns)`` elements of lowest score in each row to zero, in a new tensor."""
    count = round(amount * weight.shape[1])
    if count == 0:
        return weight.clone()
    lowest = scores.argsort(dim=1, stable=True)[:, :count]
    return weight.scatter(1, lowest, 0)


def prune_smallest_of_each(weight: Tensor, scores: Tensor) -> Tensor:
    """Set the two elements of lowest score in every four columns to zero; columns at the end are kept.

    That is the 2:4 pattern which sparse tensor cores run (Mishra et al. 2021, arXiv 2104.08378, section 3).
    Returns a new tensor.
    """
    whole = weight.shape[1] // 4 * 4
    pruned = weight.clone()
    fours = scores[:, :whole].reshape(len(weight), -1, 4)
    lowest = fours.argsort(dim=2, stable=True)[:, :, :2]
    pruned[:, :whole] = (
        pruned[:, :whole].reshape(fours.shape).scatter(2, lowest, 0).reshape(len(weight), whole)
    )
    return pruned


def zero_below(weight: Tensor, threshold: float) -> Tensor:
    """Set every element whose magnitude is smaller than ``threshold`` to zero. Returns a new tensor."""
    bits = _bits(weight)
    cut = _magnitude(_bits(_round_up(threshold, weight.dtype)))[0]
    return _from_bits(bits * (_magnitude(bits) >= cut), weight)


def count_zeros(tensor: Tensor) -> int:
    """Count the elements equal to zero, of either sign."""
    flat = tensor.contiguous().reshape(-1)
    if not tensor.is_floating_point():
        return flat.numel() - int(np.count_nonzero(flat.numpy()))
    return flat.numel() - int(np.count_nonzero(_magnitude(_bits(flat))))


def _from_bits(bits: Bits, like: Tensor) -> Tensor:
    return torch.from_numpy(bits.view(np.uint8)).view(like.dtype).reshape(like.shape)


def _bits(weight: Tensor) -> Bits:
    """Return a float tensor's bits as flat unsigned integers, in the same memory where it is contiguous."""
    unsigned: Bits = weight.contiguous().reshape(-1).view(torch.uint8).numpy()
    return unsigned.view(_UNSIGNED[weight.dtype.itemsize])


def _magnitude(bits: Bits) -> Bits:
    """Clear the sign."""
    magnitude: Bits = bits & bits.dtype.type(np.iinfo(bits.dtype).max >> 1)
    return magnitude


def _round_up(threshold: float, dtype: torch.dtype) -> Tensor:
    """Return the smallest number of a dtype that is not below ``threshold``, ``[1]``."""
    nearest = torch.tensor([threshold], dtype=dtype)
    return (
        nearest
        if nearest.item() >= threshold
        else torch.nextafter(nearest, torch.full_like(nearest, math.inf))
    )


def _kth_smallest(bits: Bits, k: int) -> Any:  # noqa: ANN401  a NumPy scalar
    """Return the magnitude that would be at ``k`` if they were sorted.

    A sorted sample gives a narrow window that nearly always holds it; only the window is sorted further. This
    is the idea of Floyd and Rivest (1975), and many times faster here than partitioning everything.
    """
    sample = np.sort(_magnitude(bits[:: max(1, len(bits) // _SAMPLE)]))
    position, margin = k / len(bits) * len(sample), 4 * math.sqrt(len(sample))
    low = sample[max(0, math.floor(position - margin))]
    high = sample[min(len(sample) - 1, math.ceil(position + margin))]

    def look(part: slice) -> tuple[int, Bits]:
        magnitude = _magnitude(bits[part])
        above = magnitude >= low
        return len(magnitude) - int(np.count_nonzero(above)), magnitude[above & (magnitude <= high)]

    found = map_parallel(look, pieces(len(bits)))
    below, window = sum(count for count, _ in found), np.concatenate([inside for _, inside in found])
    if below <= k < below + len(window):
        return np.partition(window, k - below)[k - below]
    return np.partition(_magnitude(bits), k)[k]
