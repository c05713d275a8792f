"""Entropy-coded tensors: what was pruned, thresholded or rounded to small integers takes few bytes.

How a packed tensor lies in the file is said in ``codecs.layout``. Vectors, tensors that the model class does
not have, and those that packing would not shrink are stored dense under their own names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor

from prensa.codecs.container import Packed, pack
from prensa.codecs.layout import FORMAT_VERSION, QUANT_METHOD, SUFFIX, placeholder
from prensa.formats.base import Extent, Format, Passes, Stored, dense_extent
from prensa.ops.affine import Quantized
from prensa.ops.spec import FLOATS, TensorSpec

_MATRIX = 2
"""Dimensions of a matrix."""

# Bytes of a tensor below which it is not packed: the headers would cost more than the coding saves.
_SMALLEST = 4096

# Bytes of header and padding of one packed tensor, generously.
_OVERHEAD = 1024


class PackedFormat(Format):
    """The smallest of Prensa's codecs for each tensor."""

    name: ClassVar[str] = "packed"
    before_loading: ClassVar[str] = "import prensa, then "
    imports: ClassVar[str] = "import prensa  # makes from_pretrained understand the packed format\n"
    is_sized_by_noise: ClassVar[bool] = True
    keeps_scales: ClassVar[bool] = True
    holds_structure: ClassVar[bool] = True

    def refuses_recipe(self, passes: Passes, *, state_dict: bool) -> str:
        """Refuse a state dict: packed bytes are of no use to code that does not know them."""
        if state_dict:
            return "format packed: cannot be copied to a state dict; use plain or bitsandbytes"
        return ""

    def refuses(self, spec: TensorSpec) -> str:
        """Take every matrix that the model class has, since loading swaps its parameters."""
        if spec.in_model:
            return ""
        return "the model class has no such tensor"

    def extent(self, spec: TensorSpec, dtype: torch.dtype, *, quantized: bool) -> Extent:
        """Never take more than the dense tensor, or than its integers and scales as they are."""
        names = (spec.name, spec.name + SUFFIX)
        if quantized:
            scales = 4 * max(spec.shape)
            return Extent(names, spec.numel + scales + _OVERHEAD)
        dense = dense_extent(spec, dtype)
        # By the bytes that it has now: a pass may decline to make it smaller.
        if _may_be_packed(spec, spec.nbytes):
            return Extent(names, dense.nbytes)
        return dense

    def store(self, spec: TensorSpec, value: Tensor | Quantized, codecs: Sequence[str]) -> Stored:
        """Pack if that is smaller."""
        # Integers are packed however small they are: there is no dense form that holds them.
        if isinstance(value, Quantized):
            return _packed(spec.name, value, pack(value, codecs))
        if _may_be_packed(spec, value.nbytes) and value.dtype in FLOATS:
            packed = pack(value, codecs)
            # Weights that look like noise come out larger by the header.
            if packed.data.nbytes < value.nbytes:
                return _packed(spec.name, value, packed)
        return Stored({spec.name: value}, "dense")

    def quantization_config(
        self,
        dense_layers: Sequence[str],
        checksums: Mapping[str, str],
    ) -> dict[str, object]:
        """Name the method, its version, and the files' checksums."""
        return {
            "quant_method": QUANT_METHOD,
            "format_version": FORMAT_VERSION,
            "sha256": dict(checksums),
        }


def _may_be_packed(spec: TensorSpec, nbytes: int) -> bool:
    return spec.in_model and len(spec.shape) >= _MATRIX and nbytes >= _SMALLEST


def _packed(name: str, value: Tensor | Quantized, packed: Packed) -> Stored:
    stand_in = placeholder(value.shape, value.dtype)
    return Stored({name: stand_in, name + SUFFIX: packed.data}, packed.codec)
