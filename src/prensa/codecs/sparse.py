"""Zeros apart: one bit for each element that says whether it is zero, then the others as byte planes.

Where zeros are common this beats plain planes for two reasons: in a wide element a zero is paid for
once and not once in every plane, and eight of the mask's bits are coded as one symbol, so that a
zero may cost less than the one bit that a Huffman code of single symbols takes at least.

An element counts as zero only if all its bits are: a negative zero comes back as one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from prensa.codecs.base import expect_sizes, from_bytes, join_planes, split_planes, to_bytes
from prensa.errors import FormatError
from prensa.ops import entropy
from prensa.ops.entropy import Stream
from prensa.ops.sparsity import count_zeros

_UNSIGNED = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64}

# Share of zeros from which it is tried. In one-byte elements planes code zeros as well until a zero is worth
# little more than one bit (at 30 % the mask would save 0.1 %); in wider ones it pays at once.
_WORTH_IN_BYTES, _WORTH_IN_WORDS = 0.4, 0.005


class Sparse:
    """The mask's stream (1 = not zero, lowest bit first), then one stream for each byte plane."""

    name = "sparse"

    def can_win(self, tensor: Tensor) -> bool:
        """Be tried where there are enough zeros."""
        worth = _WORTH_IN_BYTES if tensor.dtype.itemsize == 1 else _WORTH_IN_WORDS
        return tensor.numel() > 0 and count_zeros(tensor) > worth * tensor.numel()

    def encode(self, tensor: Tensor) -> list[Stream]:
        """Code the mask and the planes of what is not zero."""
        itemsize = tensor.dtype.itemsize
        elements = to_bytes(tensor).view(_UNSIGNED[itemsize])
        mask = elements != 0
        kept = elements[mask].view(np.uint8).reshape(-1, itemsize)
        bits = np.packbits(mask, bitorder="little")
        return [entropy.encode(bits), *map(entropy.encode, split_planes(kept))]

    def decode(self, streams: Sequence[Stream], shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """Put the kept elements back where the mask says."""
        count = math.prod(shape)
        kept = streams[-1].size if len(streams) > 1 else 0
        expect_sizes(streams, [(count + 7) // 8] + [min(kept, count)] * dtype.itemsize)
        mask = np.unpackbits(entropy.decode(streams[0]), count=count, bitorder="little").view(bool)
        if np.count_nonzero(mask) != kept:
            raise FormatError(f"the mask keeps {np.count_nonzero(mask)} elements, the planes hold {kept}")
        elements = np.zeros(count, dtype=_UNSIGNED[dtype.itemsize])
        elements[mask] = join_planes(streams[1:]).reshape(-1).view(elements.dtype)
        return from_bytes(elements.view(np.uint8), shape, dtype)
