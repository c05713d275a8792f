"""Byte planes: first the lowest byte of every element, then the next, each entropy coded.

The high byte of a half-precision weight (sign, exponent, top of the mantissa) is very uneven, the
low byte nearly random; apart, the first shrinks to some 5.5 bits and the second is merely copied.
An int8 tensor has one plane. The idea is the byte shuffle of HDF5 and Blosc.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from prensa.codecs.base import expect_sizes, from_bytes, join_planes, split_planes, to_bytes
from prensa.ops import entropy
from prensa.ops.entropy import Stream


class Planes:
    """One stream for each byte of an element, lowest byte first."""

    name = "planes"

    def can_win(self, tensor: Tensor) -> bool:
        """Try it unless there is nothing to code."""
        return tensor.numel() > 0

    def encode(self, tensor: Tensor) -> list[Stream]:
        """Split into planes and code each."""
        elements = to_bytes(tensor).reshape(-1, tensor.dtype.itemsize)
        planes = split_planes(elements)
        return [entropy.encode(plane) for plane in planes]

    def decode(self, streams: Sequence[Stream], shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """Decode the planes and weave them together."""
        count = math.prod(shape)
        expect_sizes(streams, [count] * dtype.itemsize)
        elements = join_planes(streams)
        return from_bytes(elements.reshape(-1), shape, dtype)
