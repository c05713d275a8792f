"""Which files are read, and where the answers to each go."""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from prensa.errors import DataError, OutputError, SettingError
from prensa.predicting.contents import KINDS, Content
from prensa.predicting.outputs import Output, check_kind
from prensa.predicting.windows import Columns
from prensa.texts.readers import kind_of

# What `datasets` writes into a directory.
_SAVED = ("dataset_dict.json", "state.json")


@dataclass(frozen=True)
class Place:
    """A file that is read, what it is called among the others, and the file of its answers."""

    source: Path
    name: str
    target: Path


@dataclass(frozen=True)
class Shard:
    """A file that was looked through, and how its answers are written."""

    place: Place
    content: Content
    columns: Columns
    output: Output


def find_places(data: str | Path | None, output: Path) -> list[Place]:
    """List the files that ``data`` names: one, those in a directory, or those that a pattern fits.

    Of several, the answers go to files of the same names in the directory ``output``. Raises
    :class:`DataError` where there are none, :class:`SettingError` without data, and :class:`OutputError`
    where they cannot go there.
    """
    if data is None:
        raise SettingError(
            "`data` is missing: give a file, a directory or a pattern such as 'part-*.parquet'"
        )
    path = Path(data).expanduser()
    if path.is_file() or any((path / name).is_file() for name in _SAVED):
        if output.is_dir():
            raise OutputError(f"{output}: expected the name of a file, found a directory")
        check_kind(output)
        return [Place(path, output.name, output)]
    root, found = _several(path)
    _check_directory(output, root, path, len(found))
    places = []
    for entry in found:
        name = str(entry.relative_to(root))
        check_kind(output / name)
        places.append(Place(entry, name, output / name))
    return places


def _several(path: Path) -> tuple[Path, list[Path]]:
    """Return the files in a directory or those that a pattern fits, and what their names are relative to."""
    pattern = str(path)
    if path.is_dir():
        root = path
        found = [entry for entry in path.iterdir() if entry.is_file() and kind_of(entry) in KINDS]
    elif glob.has_magic(pattern):
        root = _root(path)
        named = map(Path, glob.iglob(pattern, recursive=True))  # noqa: PTH207  a Path's own takes no absolute ones
        found = list(filter(Path.is_file, named))
    else:
        raise DataError(f"{path}: no such file or directory")
    found = sorted(entry for entry in found if not entry.name.startswith("."))
    if not found:
        expected = ", ".join(KINDS)
        raise DataError(f"{path}: no file there that ends in {expected}; for folders give '…/**/*.parquet'")
    return root, found


def _check_directory(output: Path, root: Path, data: Path, count: int) -> None:
    """Raise :class:`OutputError` for what cannot be a directory for the answers to several files."""
    if kind_of(output) in KINDS:
        raise OutputError(
            f"{output}: the answers to {count:,} files go into files of the same names; give a directory"
        )
    if "**" in data.parts and output.is_relative_to(root.absolute()):
        # The next run would take the answers for texts.
        raise OutputError(f"{output}: {data} looks there, too; choose a place outside of {root}")
    if output.exists() and not output.is_dir():
        raise OutputError(f"{output}: expected a directory for the answers to {count:,} files, found a file")


def unread_in(data: str | Path | None) -> list[str]:
    """Return the names of files in a directory that are of no kind that is read, such as ``.txt``."""
    if data is None or not Path(data).expanduser().is_dir():
        return []
    names = []
    for path in sorted(Path(data).expanduser().iterdir()):
        # Hidden files and marks such as _SUCCESS are no texts.
        if path.is_file() and not path.name.startswith((".", "_")) and kind_of(path) not in KINDS:
            names.append(path.name)
    return names


def check_targets(places: Sequence[Place], output: Path, ours: set[str], *, force: bool) -> None:
    """Raise :class:`OutputError` unless all answers can go where they are to.

    No input is ever replaced, and other files only with ``force``, except ``ours`` of a stopped run.
    """
    sources = {place.source.resolve() for place in places}
    # A data set is a directory, all of which is read.
    folders_read = list(filter(Path.is_dir, sources))
    for place in places:
        target = place.target.resolve()
        if target in sources or any(target.is_relative_to(folder) for folder in folders_read):
            raise OutputError(f"{place.target}: is read, and cannot be written; choose another place")
        if place.target.is_dir():
            raise OutputError(f"{place.target}: expected a file, found a directory; choose another place")
        if not force:
            check_free(place, ours)
    if output.is_dir():
        _refuse_others(places, output)
    above = _above(output)
    if not above.is_dir():
        raise OutputError(f"{output}: {above} is a file; choose another place")
    folders = [above, output] if output.is_dir() else [above]
    for folder in folders:
        if not os.access(folder, os.W_OK | os.X_OK):
            raise OutputError(f"{output}: no permission to write in {folder}; choose another place")


def check_free(place: Place, ours: set[str]) -> None:
    """Raise :class:`OutputError` for a file where answers are to go, unless it is ``ours``."""
    if place.target.exists() and place.name not in ours:
        raise OutputError(f"{place.target}: exists; give `force` to replace it, or choose another place")


def _refuse_others(places: Sequence[Place], output: Path) -> None:
    """Refuse a directory with files that would be taken for answers of this run."""
    targets = {place.target for place in places}
    for path in sorted(output.rglob("*")):
        if path.is_file() and path not in targets and not path.name.startswith("."):
            raise OutputError(
                f"{output}: holds other files ({path.relative_to(output)}); choose another place"
            )


def _above(output: Path) -> Path:
    """Return the nearest directory above that exists."""
    parent = output.absolute().parent
    while not parent.exists():
        parent = parent.parent
    return parent


def _root(pattern: Path) -> Path:
    """Return the directories of a pattern before the first that has a wildcard."""
    root = Path(pattern.anchor)
    for part in pattern.relative_to(root).parts[:-1]:
        if glob.has_magic(part):
            break
        root /= part
    return root
