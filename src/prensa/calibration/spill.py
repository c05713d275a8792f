"""Tensors that are not needed for a while: in memory while they fit a bound, and in files from there on.

What is read back has the strides that were put in. A copy with other strides would have the same numbers, but
matrix products may add these up in another order.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from prensa.ops.moment import Moment
from prensa.ops.statistics import MatrixStatistics

# What PyTorch's own memory starts at a multiple of: products may differ in the last bit elsewhere.
_ALIGNED = 64

Key = tuple[int, ...]


@dataclass(frozen=True)
class _Kept:
    """A tensor: its numbers, flat, or where they begin in a file, and how they are read."""

    flat: Tensor | None
    start: int
    count: int
    dtype: torch.dtype
    size: torch.Size
    stride: tuple[int, ...]


@dataclass(frozen=True)
class _Entry:
    """What was put under one key; ``path`` is None if it is in memory."""

    leaves: tuple[object, ...]
    path: Path | None
    nbytes: int


class Spill:
    """Lists of tensors and other things, by keys. ``bound`` are the bytes of them that stay in memory."""

    def __init__(self, directory: Path, bound: int) -> None:
        self._directory = directory
        self._bound = bound
        self._entries: dict[Key, _Entry] = {}
        self._held = 0
        self._files = 0

    def put(self, key: Key, leaves: Sequence[object]) -> None:
        """Keep copies of the tensors among ``leaves``, and the rest as it is.

        Raises :class:`OSError` where the disk is full.
        """
        self.drop(key)
        nbytes = 0
        for leaf in leaves:
            if isinstance(leaf, Tensor):
                nbytes += _span(leaf) * leaf.itemsize
        if self._held + nbytes <= self._bound:
            self._held += nbytes
            kept = tuple(_in_memory(leaf) for leaf in leaves)
            self._entries[key] = _Entry(kept, None, nbytes)
            return
        self._files += 1
        path = self._directory / f"tensors-{self._files}"
        # Known before it is written, so that a file cut short by a full disk is dropped with the others.
        self._entries[key] = _Entry((), path, 0)
        self._entries[key] = _Entry(_write(path, leaves), path, 0)

    def get(self, key: Key) -> list[object]:
        """Return copies of what was put in; those from files are not read before they are used."""
        entry = self._entries[key]
        found: list[object] = []
        for leaf in entry.leaves:
            if isinstance(leaf, _Kept):
                found.append(_read(leaf, entry.path))
            else:
                found.append(leaf)
        return found

    def __contains__(self, key: Key) -> bool:
        return key in self._entries

    def add(self, key: Key, gradient: Tensor) -> None:
        """Put one tensor under a key, or add it to what is there."""
        for before in self.take(key):
            gradient = before + gradient
        self.put(key, [gradient])

    def take(self, key: Key) -> list[Tensor]:
        """Return the tensors under a key and forget them; none if there is nothing."""
        if key not in self._entries:
            return []
        found = [leaf for leaf in self.get(key) if isinstance(leaf, Tensor)]
        self.drop(key)
        return found

    def drop(self, key: Key) -> None:
        """Forget what is under a key, if anything is."""
        entry = self._entries.pop(key, None)
        if entry is None:
            return
        self._held -= entry.nbytes
        if entry.path is not None:
            entry.path.unlink(missing_ok=True)

    def keys_of(self, first: int) -> list[Key]:
        """Return the keys that begin with a number."""
        return [key for key in self._entries if key[0] == first]


@dataclass(frozen=True)
class _Written:
    """A moment of this size in a file, strip by strip."""

    path: Path
    size: int

    def read(self) -> Moment:
        moment = Moment.zeros(self.size)
        with self.path.open("rb") as file:
            for strip in moment.strips:
                file.readinto(strip.numpy().data)
        return moment


class SpilledStatistics(Mapping[str, MatrixStatistics]):
    """The statistics of matrices, by their names; moments lie in files, and are read each time."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._known: dict[str, tuple[_Written, Tensor, Tensor | None]] = {}
        self._files = 0

    def add(self, names: Sequence[str], statistics: MatrixStatistics) -> None:
        """Write the moment of a matrix that has these names. Raises :class:`OSError` for a full disk."""
        self._files += 1
        path = self._directory / f"moment-{self._files}"
        with path.open("wb") as file:
            for strip in statistics.moment.strips:
                file.write(strip.contiguous().numpy().data)
        moment = _Written(path, statistics.moment.size)
        for name in names:
            self._known[name] = moment, statistics.importance, statistics.offset

    def __getitem__(self, name: str) -> MatrixStatistics:
        moment, importance, offset = self._known[name]
        return MatrixStatistics(moment.read(), importance, offset)

    def __contains__(self, name: object) -> bool:
        return name in self._known

    def __iter__(self) -> Iterator[str]:
        return iter(self._known)

    def __len__(self) -> int:
        return len(self._known)


def _span(tensor: Tensor) -> int:
    """Return how many numbers of its memory a tensor spans, from its first to its last."""
    if not tensor.numel():
        return 0
    span = 1
    for size, stride in zip(tensor.shape, tensor.stride(), strict=True):
        span += (size - 1) * stride
    return span


def _flat(tensor: Tensor) -> Tensor:
    tensor = tensor.detach()
    return torch.as_strided(tensor, (_span(tensor),), (1,), tensor.storage_offset())


def _in_memory(leaf: object) -> object:
    if not isinstance(leaf, Tensor):
        return leaf
    # A copy: whoever gave it may change it later, or hold a larger tensor that it is a part of.
    flat = _flat(leaf).clone()
    return _Kept(flat, 0, len(flat), leaf.dtype, leaf.shape, leaf.stride())


def _write(path: Path, leaves: Sequence[object]) -> tuple[object, ...]:
    kept: list[object] = []
    with path.open("wb") as file:
        for leaf in leaves:
            if not isinstance(leaf, Tensor):
                kept.append(leaf)
                continue
            flat = _flat(leaf).cpu()
            start = -(-file.tell() // _ALIGNED) * _ALIGNED
            file.seek(start)
            file.write(flat.view(torch.uint8).numpy().data)
            kept.append(_Kept(None, start, len(flat), leaf.dtype, leaf.shape, leaf.stride()))
    return tuple(kept)


def _read(kept: _Kept, path: Path | None) -> Tensor:
    if not kept.count:
        return torch.empty_strided(kept.size, kept.stride, dtype=kept.dtype)
    if kept.flat is not None or path is None:
        assert kept.flat is not None  # noqa: S101  it is in one of both places
        flat = kept.flat.clone()
    else:
        nbytes = kept.count * kept.dtype.itemsize
        # A page that is written to is copied and belongs to this process alone: models may change in place
        # what they are given.
        mapped = np.memmap(path, dtype=np.uint8, mode="c", offset=kept.start, shape=(nbytes,))
        flat = torch.from_numpy(mapped).view(kept.dtype)
    return torch.as_strided(flat, kept.size, kept.stride)
