"""Every file of a model directory, with its size on the disk."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from prensa.checkpoint.companions import WEIGHT_SUFFIXES
from prensa.checkpoint.weight_files import weight_files
from prensa.evaluation.results import File
from prensa.serving import exported


def list_files(model: Path) -> tuple[File, ...]:
    """List all files, in subfolders too, weights that ``from_pretrained`` or an export's runtime reads first.

    Raises :class:`~prensa.errors.ModelError` where there are no weights.
    """
    is_export = exported.is_export(model)
    read = set() if is_export else set(weight_files(model)[0])
    paths = (path for path in sorted(model.rglob("*")) if path.is_file())
    files = [_file(path, path.relative_to(model), read, is_export=is_export) for path in paths]
    order = ("weights", "copy", "other")
    return tuple(sorted((file for file in files if file), key=lambda file: order.index(file.kind)))


def _file(path: Path, name: Path, read: set[str], *, is_export: bool) -> File | None:
    if any(part.startswith(".") for part in name.parts):  # .git, .cache and the like
        return None
    kind: Literal["weights", "copy", "other"] = "copy" if path.suffix in WEIGHT_SUFFIXES else "other"
    if is_export and path.suffix in exported.SUFFIXES:
        kind = "weights"
    return File(str(name), path.stat().st_size, "weights" if str(name) in read else kind)
