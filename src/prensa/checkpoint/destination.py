"""Whether a result may be written where the user asked, before anything is read or written."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from prensa.checkpoint.companions import holds_module
from prensa.checkpoint.config import CONFIG_FILE
from prensa.errors import OutputError
from prensa.files.records import read_json


def check_destination(model: Path, output: Path, *, force: bool) -> None:
    """Raise :class:`OutputError` unless ``output`` is free to be written or may be replaced.

    Only a model directory is ever replaced, and only with ``force``.
    """
    # Into itself is allowed: the result then replaces the model as a whole. Into a folder of it is not.
    if output != model and output.is_relative_to(model):
        raise OutputError(f"{output}: lies inside the model directory {model}; choose a place outside it")
    if model != output and model.is_relative_to(output):
        raise OutputError(f"{output}: holds the model directory {model}; choose another place")
    check_place(output, force=force, is_source=output == model)


def check_place(output: Path, *, force: bool, is_source: bool = False) -> None:
    """Raise :class:`OutputError` unless ``output`` is free to be written or may be replaced.

    ``is_source`` says that it is what the result is made of: a model, whatever is in it.
    """
    if output.exists() and not output.is_dir():
        raise OutputError(f"{output}: expected a directory, found a file; choose another place")
    if output.is_dir() and any(output.iterdir()):
        # Even with ``force``: a wrong path must not cost a folder of photographs.
        if not is_source and not _is_model(output):
            raise OutputError(f"{output}: holds files that are not a model; choose another place")
        if not force:
            raise OutputError(f"{output}: is not empty; give `force` to replace the model in it")
    # Neither the output nor the folders above it need exist: the nearest that does is written to.
    parent = _existing_parent(output)
    if not os.access(parent, os.W_OK | os.X_OK):
        raise OutputError(f"{output}: no permission to write in {parent}; choose another place")


def check_space(output: Path, needed: int) -> None:
    """Raise :class:`OutputError` if the disk has fewer than ``needed`` bytes free."""
    free = shutil.disk_usage(_existing_parent(output)).free
    if free < needed:
        raise OutputError(
            f"{output}: up to {needed / 1e6:,.1f} MB are needed, {free / 1e6:,.1f} MB are free; "
            "free some space or choose another place"
        )


def _is_model(directory: Path) -> bool:
    if holds_module(directory):
        return True
    try:
        config = read_json(directory / CONFIG_FILE)
    except ValueError:
        return False
    return isinstance(config, dict) and "model_type" in config


def _existing_parent(path: Path) -> Path:
    parent = path.parent
    while not parent.exists():
        parent = parent.parent
    return parent
