"""What a model directory holds, whoever wrote it."""

from __future__ import annotations

from pathlib import Path

from prensa.checkpoint.checksum import sha256
from prensa.checkpoint.manifest import FileReport, Manifest, TensorReport, has_manifest, load_manifest
from prensa.checkpoint.names import fitted
from prensa.checkpoint.reader import open_checkpoint
from prensa.checkpoint.roles import model_shape
from prensa.errors import FormatError, ModelError
from prensa.ops.spec import TensorSpec, dtype_name


def describe(path: Path) -> Manifest:
    """Return the manifest of a result, or one made from the headers of any other model.

    Raises :class:`FormatError` if a file is not the one that the manifest lists, and :class:`ModelError` if
    there is no model.
    """
    if not has_manifest(path):
        return _from_headers(path)
    manifest = load_manifest(path)
    for file in manifest.files:
        if not (path / file.name).is_file():
            raise ModelError(f"{path}: {file.name} is missing; fetch it again")
        if sha256(path / file.name) != file.sha256:
            raise FormatError(f"{path / file.name}: not the file that manifest.json lists; fetch it again")
    return manifest


def _from_headers(path: Path) -> Manifest:
    shape = model_shape(path)
    checkpoint = fitted(open_checkpoint(path), shape)
    tensors = []
    for stored in checkpoint.specs:
        spec = shape.describe(stored)
        if not spec.is_unused:
            tensors.append(_as_stored(spec))
    files = []
    for file in checkpoint.files:
        # Its digest would take as long as reading it, and nothing would be compared with it.
        nbytes = (path / file).stat().st_size
        files.append(FileReport(file, nbytes, sha256=""))
    return Manifest(
        format="original",
        nbytes_before=checkpoint.nbytes,
        nbytes_float32=sum(4 * tensor.numel for tensor in tensors),
        files=tuple(files),
        tensors=tuple(tensors),
        prensa_version="",
        notes=checkpoint.notes,
    )


def _as_stored(spec: TensorSpec) -> TensorReport:
    """Report a tensor that nothing was done to."""
    return TensorReport(
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
