"""What a model directory holds, whoever wrote it."""

from __future__ import annotations

from pathlib import Path

from prensa.checkpoint.checksum import sha256
from prensa.checkpoint.manifest import (
    MANIFEST_FILE,
    FileReport,
    Manifest,
    TensorReport,
    load_manifest,
)
from prensa.checkpoint.names import fitted
from prensa.checkpoint.reader import open_checkpoint
from prensa.checkpoint.roles import model_shape
from prensa.errors import FormatError, ModelError
from prensa.spec import dtype_name


def describe(path: Path) -> Manifest:
    """Return the manifest of a result, or one made from the headers of any other model.

    Raises :class:`FormatError` where a file is not the one that the manifest tells of, and
    :class:`ModelError` where there is no model.
    """
    if not (path / MANIFEST_FILE).is_file():
        return _from_headers(path)
    manifest = load_manifest(path)
    for file in manifest.files:
        if not (path / file.name).is_file():
            raise ModelError(f"{path}: {file.name} is missing; fetch it again")
        if sha256(path / file.name) != file.sha256:
            raise FormatError(f"{path / file.name}: not the file that manifest.json tells of; fetch it again")
    return manifest


def _from_headers(path: Path) -> Manifest:
    shape = model_shape(path)
    checkpoint = fitted(open_checkpoint(path), shape)
    tensors = tuple(
        TensorReport(
            name=spec.name,
            role=spec.role,
            shape=spec.shape,
            dtype=dtype_name(spec.dtype),
            stored_dtype=dtype_name(spec.dtype),
            file=spec.file,
            codec="dense",
            nbytes_before=spec.nbytes,
            nbytes=spec.nbytes,
            zeros=None,
            relative_squared_error=None,
        )
        for spec in map(shape.describe, checkpoint.specs)
        if not spec.is_unused
    )
    files = tuple(FileReport(file, (path / file).stat().st_size, "") for file in checkpoint.files)
    return Manifest(
        "original",
        checkpoint.nbytes,
        sum(4 * tensor.numel for tensor in tensors),
        files,
        tensors,
        "",
        notes=checkpoint.notes,
    )
