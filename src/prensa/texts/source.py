"""Where texts are: one value, used wherever texts are read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Source:
    """A file, a directory, or a data set of the hub, and where in it the texts and labels are.

    ``name`` None means the texts that come with Prensa. ``text_column`` names one column, or two for models
    that read pairs (a list, or with a comma between them); ``label_column`` names one column, or one for each
    label of a multi-label model; ``""`` takes no labels. Without them the usual names are looked for.
    ``split`` is a part of a data set, ``limit`` takes that many texts at random, ``encoding`` is that of a
    file that is not UTF-8. ``labels`` leads from the data's names of labels to the model's; rows with a label
    that leads to ``""`` are left out.
    """

    name: str | Path | None = None
    text_column: str | Sequence[str] | None = None
    label_column: str | Sequence[str] | None = None
    split: str | None = None
    limit: int | None = None
    encoding: str | None = None
    labels: Mapping[str, str] | None = None


def as_source(source: Source | str | Path | None) -> Source:
    """Return a source for what may stand in its place: a name or a path, or None for the built-in texts."""
    return source if isinstance(source, Source) else Source(source)
