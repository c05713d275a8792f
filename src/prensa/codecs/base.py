"""What every codec does, and the view of a tensor as bytes that they share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from prensa.errors import FormatError
from prensa.ops import entropy
from prensa.ops.entropy import Bytes, Stream


class Codec(Protocol):
    """A lossless way to turn a dense tensor into streams of bytes and back."""

    @property
    def name(self) -> str:
        """The name in recipes, manifests and packed files."""

    def can_win(self, tensor: Tensor) -> bool:
        """Whether trying it is likely to pay off: false if it saves next to nothing over another codec."""

    def encode(self, tensor: Tensor) -> list[Stream]:
        """Return the streams that hold ``tensor``. Raises :class:`ValueError` for a kind it cannot hold."""

    def decode(self, streams: Sequence[Stream], shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """Return the tensor. Raises :class:`FormatError` if the streams cannot hold it."""


def to_bytes(tensor: Tensor) -> Bytes:
    """View a tensor as its bytes, in memory order."""
    flat = tensor.contiguous().reshape(-1)
    return flat.view(torch.uint8).numpy()


def from_bytes(data: Bytes, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """View bytes as a tensor."""
    if not data.size:
        # PyTorch refuses to view an empty array of bytes as a wider dtype.
        return torch.empty(shape, dtype=dtype)
    return torch.from_numpy(data).view(dtype).reshape(shape)


def split_planes(elements: Bytes) -> list[Bytes]:
    """Turn elements ``[n, itemsize]`` into ``itemsize`` planes of ``n`` bytes."""
    planes = []
    for place in range(elements.shape[1]):
        # Contiguous, because the coder reads memory from front to back.
        planes.append(np.ascontiguousarray(elements[:, place]))
    return planes


def join_planes(streams: Sequence[Stream]) -> Bytes:
    """Decode planes of ``n`` bytes each and weave them into elements ``[n, itemsize]``."""
    if len(streams) == 1:
        # Elements of one byte are the plane itself: no copy.
        return entropy.decode(streams[0]).reshape(-1, 1)
    shape = (streams[0].size, len(streams))
    elements = np.empty(shape, dtype=np.uint8)
    for place, stream in enumerate(streams):
        elements[:, place] = entropy.decode(stream)
    return elements


def expect_sizes(streams: Sequence[Stream], sizes: Sequence[int]) -> None:
    """Raise :class:`FormatError` unless the streams say these sizes, before any is decoded."""
    stated = [stream.size for stream in streams]
    if stated != list(sizes):
        raise FormatError(f"expected streams of {list(sizes)} bytes, found {stated}")
