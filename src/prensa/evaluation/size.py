"""Every file of a model directory, with its size on the disk."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from prensa.checkpoint.companions import WEIGHT_SUFFIXES
from prensa.checkpoint.reader import weight_files
from prensa.evaluation.results import File


def list_files(model: Path) -> tuple[File, ...]:
    """List all files, in subfolders too, weights that ``from_pretrained`` reads first.

    Raises :class:`~prensa.errors.CheckpointError` where there are no weights.
    """
    read = set(weight_files(model)[0])
    paths = (path for path in sorted(model.rglob("*")) if path.is_file())
    files = [_file(path, path.relative_to(model), read) for path in paths]
    order = ("weights", "copy", "other")
    return tuple(sorted((file for file in files if file), key=lambda file: order.index(file.kind)))


def _file(path: Path, name: Path, read: set[str]) -> File | None:
    if any(part.startswith(".") for part in name.parts):  # .git, .cache and the like
        return None
    kind: Literal["weights", "copy", "other"] = "copy" if path.suffix in WEIGHT_SUFFIXES else "other"
    return File(str(name), path.stat().st_size, "weights" if str(name) in read else kind)
