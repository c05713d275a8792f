"""Every file of a model directory, with its size on the disk."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, get_args

from prensa.checkpoint.companions import WEIGHT_SUFFIXES
from prensa.checkpoint.effects import GRAPHS
from prensa.checkpoint.weight_files import weight_files
from prensa.evaluation.results import File
from prensa.serving import exported

Kind = Literal["weights", "copy", "other"]
_ORDER: tuple[Kind, ...] = get_args(Kind)


def list_files(model: Path) -> tuple[File, ...]:
    """List all files, in subfolders too, weights that ``from_pretrained`` or an export's runtime reads first.

    Raises :class:`~prensa.errors.ModelError` if there are no weights.
    """
    is_export = exported.is_export(model)
    weights = set()
    if not is_export:
        names, _ = weight_files(model)
        weights.update(names)

    files = []
    for path in sorted(model.rglob("*")):
        name = path.relative_to(model)
        if not path.is_file() or _is_hidden(name):
            continue
        kind = _kind(name, weights, is_export=is_export)
        files.append(File(str(name), path.stat().st_size, kind))
    files.sort(key=lambda file: _ORDER.index(file.kind))
    return tuple(files)


def _is_hidden(name: Path) -> bool:
    """Whether it lies in ``.git``, ``.cache`` or the like."""
    return any(part.startswith(".") for part in name.parts)


def _kind(name: Path, weights: set[str], *, is_export: bool) -> Kind:
    if str(name) in weights:
        return "weights"
    # An export has no file that names its weights: what runtimes read is known by its suffix.
    if is_export and name.suffix in GRAPHS:
        return "weights"
    if name.suffix in WEIGHT_SUFFIXES:
        return "copy"
    return "other"
