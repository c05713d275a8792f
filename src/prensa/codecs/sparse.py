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
from prensa.ops.sparsity import UNSIGNED, count_zeros

# Share of zeros from which it is tried. In one-byte elements planes code zeros as well until a zero is worth
# little more than one bit (at 30 % the mask would save 0.1 %); in wider ones it pays at once.
_ENOUGH_IN_BYTES = 0.4
_ENOUGH_IN_WIDER_ELEMENTS = 0.005


class Sparse:
    """The mask's stream (1 = not zero, lowest bit first), then one stream for each byte plane."""

    name = "sparse"

    def can_win(self, tensor: Tensor) -> bool:
        """Try it if there are enough zeros."""
        if not tensor.numel():
            return False
        enough = _ENOUGH_IN_BYTES if tensor.dtype.itemsize == 1 else _ENOUGH_IN_WIDER_ELEMENTS
        return count_zeros(tensor) > enough * tensor.numel()

    def encode(self, tensor: Tensor) -> list[Stream]:
        """Code the mask and the planes of what is not zero."""
        itemsize = tensor.dtype.itemsize
        # As integers: of a float, minus zero would count as zero and lose its sign.
        elements = to_bytes(tensor).view(UNSIGNED[itemsize])
        mask = elements != 0
        bits = np.packbits(mask, bitorder="little")
        kept = elements[mask].view(np.uint8)
        planes = split_planes(kept.reshape(-1, itemsize))
        streams = [entropy.encode(bits)]
        for plane in planes:
            streams.append(entropy.encode(plane))
        return streams

    def decode(self, streams: Sequence[Stream], shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """Put the kept elements back where the mask says."""
        count = math.prod(shape)
        mask_bytes = (count + 7) // 8
        # How many elements are kept is known from the planes alone; more than all is a damaged file, and is
        # found here, before the planes are decoded.
        kept = streams[-1].size if len(streams) > 1 else 0
        plane_bytes = [min(kept, count)] * dtype.itemsize
        expect_sizes(streams, [mask_bytes, *plane_bytes])

        bits = entropy.decode(streams[0])
        mask = np.unpackbits(bits, count=count, bitorder="little").view(bool)
        set_bits = np.count_nonzero(mask)
        if set_bits != kept:
            raise FormatError(f"the mask keeps {set_bits} elements, the planes hold {kept}")
        elements = np.zeros(count, dtype=UNSIGNED[dtype.itemsize])
        values = join_planes(streams[1:]).reshape(-1)
        elements[mask] = values.view(elements.dtype)
        return from_bytes(elements.view(np.uint8), shape, dtype)
