"""What models are called in tables: by their directories, each differently."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from prensa.checkpoint.hub_names import model_name


def unique_names(paths: Sequence[Path]) -> list[str]:
    """Name models after their directories, with as much of the path as makes them different."""
    parts: list[tuple[str, ...]] = []
    for path in paths:
        parts.append((*path.resolve().parent.parts, *model_name(path).split("/")))
    names: list[str] = []
    for own in parts:
        name = "/".join(own[-_depth(own, parts) :])
        # One model given twice, or one that is called as the original is in every table.
        same = parts[: len(names)].count(own)
        if same or name == "original":
            name = f"{name} ({same + 1})"
        names.append(name)
    return names


def _depth(own: tuple[str, ...], parts: Sequence[tuple[str, ...]]) -> int:
    """Return how many of the last parts of a path no other path has."""
    others = [other for other in parts if other != own]
    for depth in range(1, len(own)):
        if all(own[-depth:] != other[-depth:] for other in others):
            return depth
    return len(own)
