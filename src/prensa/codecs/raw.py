"""The tensor's bytes as they are: the measure that every other codec has to beat."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from prensa.codecs.base import expect_sizes, from_bytes, to_bytes
from prensa.errors import FormatError
from prensa.ops.entropy import Stream


class Raw:
    """One stream, not coded."""

    name = "raw"

    def can_win(self, tensor: Tensor) -> bool:
        """Try it always: it is what is left if nothing else helps."""
        return True

    def encode(self, tensor: Tensor) -> list[Stream]:
        """View the bytes."""
        data = to_bytes(tensor).data
        return [Stream(len(data), [data])]

    def decode(self, streams: Sequence[Stream], shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """Copy the bytes back."""
        size = math.prod(shape) * dtype.itemsize
        expect_sizes(streams, [size])
        if streams[0].nbytes != size:
            raise FormatError(f"expected {size} bytes, found {streams[0].nbytes}")
        joined = b"".join(streams[0].frames)
        # Copied, because bytes are read-only and a tensor's memory must not be.
        data = np.frombuffer(joined, dtype=np.uint8).copy()
        return from_bytes(data, shape, dtype)
