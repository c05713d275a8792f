"""What every format is, and what it answers where it says nothing else."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

from prensa.ops.affine import Quantized
from prensa.ops.spec import TensorSpec
from prensa.passes import Pass

Passes = tuple[Pass, ...]


@dataclass(frozen=True)
class Stored:
    """A tensor as it goes into the file: one or more named tensors, and how they hold its values."""

    tensors: Mapping[str, Tensor]
    codec: str

    @property
    def nbytes(self) -> int:
        """Bytes in the file, without the file's header."""
        return sum(tensor.nbytes for tensor in self.tensors.values())


# Planned with before a tensor is read, to reserve room in the header and on the disk.
@dataclass(frozen=True)
class Extent:
    """The most that a stored tensor can take: names, and bytes of all of them together."""

    names: tuple[str, ...]
    nbytes: int


class Format(ABC):
    """How dense and quantized tensors are laid out in safetensors files.

    The class attributes say what kind of format it is:

    ``needs_class``         the model's class must be known: the format depends on its modules
    ``imports``             lines that a program needs before it can load the files
    ``before_loading``      the same in words, in front of the call that loads them
    ``is_sized_by_noise``   more noise makes smaller files, so that a size can be searched for
    ``keeps_scales``        integers and scales stay apart, so that either can change and be stored again
    ``holds_structure``     layers may have uneven widths, which only Prensa's loader can make
    """

    name: ClassVar[str]
    needs_class: ClassVar[bool] = False
    imports: ClassVar[str] = ""
    before_loading: ClassVar[str] = ""
    is_sized_by_noise: ClassVar[bool] = False
    keeps_scales: ClassVar[bool] = False
    holds_structure: ClassVar[bool] = False

    def refuses_recipe(self, passes: Passes, *, state_dict: bool) -> str:
        """Why it does not go together with these passes, or with a copy as a state dict; empty if it does."""
        return ""

    def fitted_passes(self, passes: Passes, model: Path, class_name: str) -> tuple[Passes, str]:
        """Leave out passes that this model cannot have in this format, and say so in a note (else empty)."""
        return passes, ""

    def leaves_plain(self, model: Path, dense_layers: Collection[str]) -> Collection[str]:
        """Name the linear layers that must not become integers if ``dense_layers`` do not."""
        return ()

    def refuses_all_dense(self) -> str:
        """Why it cannot hold a model in which no tensor is quantized; empty if it can."""
        return ""

    @abstractmethod
    def refuses(self, spec: TensorSpec) -> str:
        """Why this format cannot hold ``spec`` quantized; empty if it can."""

    @abstractmethod
    def extent(self, spec: TensorSpec, dtype: torch.dtype, *, quantized: bool) -> Extent:
        """Bound what :meth:`store` returns for a tensor of this dtype."""

    @abstractmethod
    def store(self, spec: TensorSpec, value: Tensor | Quantized, codecs: Sequence[str]) -> Stored:
        """Lay out one tensor."""

    def quantization_config(
        self,
        dense_layers: Sequence[str],
        checksums: Mapping[str, str],
    ) -> dict[str, object] | None:
        """Return what ``config.json`` must say for the files to load, None if they load as they are.

        ``dense_layers`` are the linear layers that were not quantized, ``checksums`` the SHA-256 of
        each weight file.
        """
        return None

    def check(self, directory: Path) -> None:
        """Try the finished result. Raises :class:`~prensa.errors.RecipeError` if it does not work."""
        # Dense tensors and Prensa's own files are read as they were written: there is nothing to try.
        return


def dense_extent(spec: TensorSpec, dtype: torch.dtype) -> Extent:
    """Return the extent of a dense tensor under its own name."""
    return Extent((spec.name,), spec.numel * dtype.itemsize)
