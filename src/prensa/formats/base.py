"""What every format does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from prensa.ops.affine import Quantized
from prensa.spec import TensorSpec


@dataclass(frozen=True)
class Stored:
    """A tensor as it goes into the file: one or more named tensors, and how they hold its values."""

    tensors: Mapping[str, Tensor]
    codec: str

    @property
    def nbytes(self) -> int:
        """Bytes in the file, without the file's header."""
        return sum(tensor.nbytes for tensor in self.tensors.values())


@dataclass(frozen=True)
class Extent:
    """The most that a stored tensor can take: names, and bytes of all of them together."""

    names: tuple[str, ...]
    nbytes: int


class Format(Protocol):
    """How dense and quantized tensors are laid out in safetensors files."""

    @property
    def name(self) -> str:
        """The name in recipes and on the command line."""

    def refuses(self, spec: TensorSpec) -> str:
        """Why this format cannot hold ``spec`` quantized; empty if it can."""

    def extent(self, spec: TensorSpec, dtype: torch.dtype, *, quantized: bool) -> Extent:
        """Bound what :meth:`store` returns for a tensor of this dtype."""

    def store(self, spec: TensorSpec, value: Tensor | Quantized, codecs: Sequence[str]) -> Stored:
        """Lay out one tensor."""

    def quantization_config(
        self, dense_layers: Sequence[str], checksums: Mapping[str, str]
    ) -> dict[str, Any] | None:
        """Return what ``config.json`` must say for the files to load.

        ``dense_layers`` are the linear layers that were not quantized, ``checksums`` the SHA-256 of
        each weight file.
        """
