"""The public functions, each one call over the parts."""

from __future__ import annotations

from pathlib import Path

from prensa import pipeline
from prensa.checkpoint.inspection import describe
from prensa.checkpoint.locate import locate
from prensa.checkpoint.manifest import Manifest
from prensa.recipe import Recipe, load_preset


def compress(
    model: str | Path,
    output: str | Path,
    *,
    recipe: Recipe | str = "int8",
    force: bool = False,
    progress: pipeline.Progress | None = None,
) -> Manifest:
    """Press a model directory, or a model of the hub, into ``output``.

    ``recipe`` is a :class:`Recipe` or a preset's name; ``force`` allows replacing a model in ``output``.
    Returns what was done, tensor by tensor. Raises a :class:`~prensa.errors.PrensaError`; then
    ``output`` is as it was.
    """
    resolved = load_preset(recipe) if isinstance(recipe, str) else recipe
    planned = pipeline.plan(locate(model), resolved, Path(output), force=force)
    return pipeline.run(planned, progress or (lambda name, done, total: None))


def inspect(path: str | Path) -> Manifest:
    """Return what is stored in a model directory, tensor by tensor.

    For a result of :func:`compress` this is its manifest, checked against the files; for any other
    model, what the headers say.
    """
    return describe(locate(path))
