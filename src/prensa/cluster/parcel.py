"""A directory's files for nodes that do not share a disk with this machine: once to each of them.

Each file is an object in Ray's store, which brings it to a node once, however many workers wait for it there.
The first of them writes the directory, under a name made of its contents, and renames it when it is whole.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from prensa.errors import OutputError
from prensa.files.lock import waiting_for

if TYPE_CHECKING:
    import ray

_PRIVATE = 0o700


@dataclass(frozen=True)
class Parcel:
    """Files by their names, as Ray's objects, and a digest of their contents."""

    digest: str
    files: dict[str, ray.ObjectRef]


def packed(directory: Path, files: Iterable[Path], digest: str) -> Parcel:
    """Put files of a directory into the store of the cluster that this process is connected to."""
    import ray

    objects = {}
    for path in files:
        # An array is read where it lies, while bytes would be copied into each worker.
        content = np.fromfile(path, dtype=np.uint8)
        objects[str(path.relative_to(directory))] = ray.put(content)
    return Parcel(digest, objects)


def unpacked(parcel: Parcel) -> Path:
    """Return the directory on this node, written now if no worker has done so before.

    Raises :class:`OutputError` where it cannot be written.
    """
    own = Path(tempfile.gettempdir()) / f"prensa-nodes-{os.getuid()}"
    place = own / f"model-{parcel.digest[:32]}"
    try:
        own.mkdir(mode=_PRIVATE, exist_ok=True)
        if own.is_symlink() or own.stat().st_uid != os.getuid():
            raise OutputError(f"{own}: belongs to somebody else; remove it, or set TMPDIR on the nodes")
        # Without it all workers of a node, which start together, would write a copy each.
        with waiting_for(own / f"{place.name}.lock"):
            if not place.is_dir():
                _write(parcel, own, place)
    except OSError as error:
        raise OutputError(f"{place}: the model cannot be written there ({error.strerror})") from error
    return place


def _write(parcel: Parcel, own: Path, place: Path) -> None:
    """Write the files into a directory in ``own``, and call that ``place`` when it is whole."""
    import ray

    making = Path(tempfile.mkdtemp(dir=own))
    try:
        for name, content in parcel.files.items():
            target = making / name
            target.parent.mkdir(parents=True, exist_ok=True)
            ray.get(content).tofile(target)
        making.rename(place)
    except BaseException:
        shutil.rmtree(making, ignore_errors=True)
        raise
