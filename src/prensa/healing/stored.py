"""What a packed result stores beside its integers: the scale of each row, and the tensors that are dense."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor

from prensa.checkpoint.headers import dtype_in_record
from prensa.checkpoint.manifest import Manifest, TensorReport
from prensa.codecs.container import unpack
from prensa.codecs.layout import SUFFIX
from prensa.errors import FormatError
from prensa.ops.affine import Quantized
from prensa.ops.spec import FLOATS

_TIED = "tied"


@dataclass(frozen=True)
class Stored:
    """The numbers that may learn, by the names of their tensors in the files.

    ``scales`` are those of matrices on a grid, float32 ``[rows]``; a matrix that has an offset besides is not
    among them. ``dense`` are the dtypes of tensors of float numbers that are not on a grid.
    """

    scales: Mapping[str, Tensor]
    dense: Mapping[str, torch.dtype]


def read_stored(directory: Path, manifest: Manifest) -> Stored:
    """Read the scales of a packed result. Raises :class:`FormatError` for a damaged file."""
    scales: dict[str, Tensor] = {}
    dense: dict[str, torch.dtype] = {}
    for file in manifest.files:
        reports = [report for report in manifest.tensors if report.file == file.name]
        with safe_open(directory / file.name, framework="pt") as tensors:
            names = set(tensors.keys())
            for report in reports:
                # The values of a tied tensor are another's.
                if report.codec == _TIED:
                    continue
                value: Tensor | Quantized | None = None
                if report.name + SUFFIX in names:
                    packed = tensors.get_tensor(report.name + SUFFIX)
                    value = unpacked(packed, report)
                if isinstance(value, Quantized):
                    # An offset is no part of a row's integers: a row that is scaled would move it, too.
                    if value.offset is None:
                        scales[report.name] = value.scale
                    continue
                dtype = dtype_in_record(report.stored_dtype, report.name)
                if dtype in FLOATS:
                    dense[report.name] = dtype
    return Stored(scales, dense)


def unpacked(data: Tensor, report: TensorReport) -> Tensor | Quantized:
    """Decode one packed tensor. Raises :class:`FormatError` naming it if it is damaged."""
    try:
        return unpack(data.numpy(), report.shape)
    except FormatError as error:
        raise FormatError(f"tensor {report.name}: {error}") from error
