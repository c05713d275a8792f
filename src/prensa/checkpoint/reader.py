"""Read a Hugging Face model directory: headers first, then one tensor at a time.

Tensors of safetensors files are read, not mapped, so that memory holds what is required and no more. Pickled
files are mapped, and mapped anew now and then so that their pages leave the process's memory.
"""

from __future__ import annotations

import math
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

import numpy as np
import torch
from torch import Tensor

from prensa.checkpoint.config import any_config, quantized_already, read_config
from prensa.checkpoint.headers import explained, read_offsets, read_specs
from prensa.checkpoint.pickled import describe_pickle, load_pickle
from prensa.checkpoint.structure import is_shrunk_source
from prensa.checkpoint.weight_files import weight_files
from prensa.codecs.layout import packed_names
from prensa.errors import ModelError
from prensa.ops import reparametrization
from prensa.ops.spec import TensorSpec

# Bytes read from one mapping of a pickled file.
_REMAP_AFTER = 1 << 28


@dataclass(frozen=True)
class Origin:
    """Where a tensor comes from: its parts, by their names in the files, and how they are joined.

    ``formula`` names a function of :mod:`prensa.ops.reparametrization`; empty for a tensor in one part.
    """

    parts: tuple[str, ...]
    formula: str = ""


_OPENED = {"_mapped", "_lock", "_whole", "_joining"}


@dataclass
class Checkpoint:
    """A model directory whose headers have been read. ``files`` are its weight files, in order.

    ``stored`` are the tensors in the files by their names there, ``specs`` those that they make. ``origins``
    are the parts of tensors that are stored under another name or in several parts, ``notes`` what was done
    about that; ``is_nested`` says that a file is a whole training checkpoint. ``shared`` maps a stored name
    to the one under which the same memory was met first (pickled files only: safetensors holds each memory
    once). ``rows`` are, for tensors of which only some rows count, their numbers; the tensor's shape is then
    that of these rows.
    """

    path: Path
    config: Mapping[str, object]
    files: tuple[str, ...]
    specs: tuple[TensorSpec, ...]
    shared: Mapping[str, str]
    _offsets: Mapping[str, int]
    stored: Mapping[str, TensorSpec]
    origins: Mapping[str, Origin] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    is_nested: bool = False
    rows: Mapping[str, Tensor] = field(default_factory=dict)
    _stamps: Mapping[str, tuple[int, ...]] = field(default_factory=dict, repr=False)
    _mapped: dict[str, tuple[dict[str, Tensor], float]] = field(default_factory=dict, repr=False)
    _lock: Lock = field(default_factory=Lock, repr=False)
    _whole: dict[str, Tensor] = field(default_factory=dict, repr=False)
    _joining: Lock = field(default_factory=Lock, repr=False)

    def __getstate__(self) -> dict[str, object]:
        """Leave out what another process opens by itself: the files, and locks around them."""
        own = vars(self)
        return {name: own[name] for name in own if name not in _OPENED}

    def __setstate__(self, state: dict[str, object]) -> None:
        vars(self).update(state, _mapped={}, _lock=Lock(), _whole={}, _joining=Lock())

    @property
    def nbytes(self) -> int:
        """Bytes of the weight files."""
        return sum((self.path / file).stat().st_size for file in self.files)

    @property
    def is_quantized(self) -> bool:
        """Whether it is a quantized model, in a form that only loading it undoes."""
        if not self.config.get("quantization_config"):
            return False
        # Prensa also names itself there where a model was only made narrower: its tensors are what they seem.
        is_dense = is_shrunk_source(self.path, self.config) and not packed_names(self.stored)
        return not is_dense

    @property
    def is_wrapped(self) -> bool:
        """Whether ``from_pretrained`` would not find the tensors by their names in the files."""
        return bool(self.origins) or self.is_nested

    def read(self, spec: TensorSpec, rows: slice = slice(None)) -> Tensor:
        """Read one tensor, or some of its rows. May be called from several threads."""
        origin = self._origin(spec.name)
        chosen = self.rows.get(spec.name)
        if not origin.formula:
            stored = self.stored[origin.parts[0]]
            return self._read(stored, rows, chosen)

        # Parts are joined whole: norms may run over any dimension. Such tensors are few, and small.
        joined = self._joined(spec.name, origin)
        if chosen is None:
            return joined[rows]
        return joined[chosen[rows]]

    def holds_the_same(self, spec: TensorSpec, other: str) -> bool:
        """Whether the tensor ``other`` has the same values."""
        one = self._origin(spec.name).parts[0]
        two = self._origin(other).parts[0]
        if self.shared.get(one) == two:
            return True
        by_name = {each.name: each for each in self.specs}
        return torch.equal(self.read(spec), self.read(by_name[other]))

    def _origin(self, name: str) -> Origin:
        return self.origins.get(name, Origin((name,)))

    def _joined(self, name: str, origin: Origin) -> Tensor:
        # Blocks of one tensor are read one after the other, so the last one joined is kept, and no more.
        with self._joining:
            if name not in self._whole:
                parts = [self._read(self.stored[part], slice(None), None) for part in origin.parts]
                formula = getattr(reparametrization, origin.formula)
                self._whole.clear()
                self._whole[name] = formula(*parts)
            return self._whole[name]

    def _read(self, stored: TensorSpec, rows: slice, chosen: Tensor | None) -> Tensor:
        """Read rows of a tensor of the files; of those ``chosen`` by their numbers, if any are."""
        if stored.name not in self._offsets:
            return self._read_pickled(stored, rows, chosen)
        if chosen is not None:
            return self._read_some(stored, chosen[rows])
        return self._read_block(stored, rows)

    def _read_block(self, stored: TensorSpec, rows: slice) -> Tensor:
        """Read rows that lie one behind the other in a safetensors file."""
        # A tensor without dimensions is one row.
        count = 1
        if stored.shape:
            count = stored.shape[0]
        start, stop, _ = rows.indices(count)
        shape: tuple[int, ...] = ()
        if stored.shape:
            shape = (stop - start, *stored.shape[1:])
        row_bytes = stored.nbytes // max(1, count)

        # The file is read right into the tensor's memory: ``buffer`` is a view of it, not a copy.
        tensor = torch.empty(shape, dtype=stored.dtype)
        buffer = tensor.reshape(-1).view(torch.uint8).numpy().data
        path = self.path / stored.file
        with explained(path), path.open("rb", buffering=0) as file:
            self._check_unchanged(stored.file)
            file.seek(self._offsets[stored.name] + start * row_bytes)
            # One call reads 2 GiB at most.
            while buffer:
                nbytes = file.readinto(buffer)
                if not nbytes:
                    raise ModelError(f"{path}: became shorter while tensor {stored.name} was read")
                buffer = buffer[nbytes:]
        return tensor

    def _read_some(self, stored: TensorSpec, numbers: Tensor) -> Tensor:
        """Read rows by their numbers, from a map of the file: of its pages only those that hold some."""
        count = stored.shape[0]
        row_bytes = stored.nbytes // max(1, count)
        offset = self._offsets[stored.name]
        path = self.path / stored.file
        with explained(path):
            self._check_unchanged(stored.file)
            file = np.memmap(path, dtype=np.uint8, mode="r", offset=offset, shape=(count, row_bytes))
        rows = torch.from_numpy(file[numbers.numpy()])
        return rows.view(stored.dtype).reshape(len(numbers), *stored.shape[1:])

    def _read_pickled(self, stored: TensorSpec, rows: slice, chosen: Tensor | None) -> Tensor:
        with self._lock:
            tensors, left = self._mapped.get(stored.file, ({}, 0))
            if left <= 0:
                self._mapped.clear()
                path = self.path / stored.file
                self._check_unchanged(stored.file)
                # A file that is no zip archive is not mapped but read whole; reading it again frees nothing.
                left = math.inf
                if zipfile.is_zipfile(path):
                    left = _REMAP_AFTER
                tensors, _ = load_pickle(path)
            tensor = tensors[stored.name]
            if chosen is not None:
                part = tensor[chosen[rows]]
            elif stored.shape:
                part = tensor[rows].contiguous()
            else:
                part = tensor
            self._mapped[stored.file] = (tensors, left - part.nbytes)
            return part

    def _check_unchanged(self, file: str) -> None:
        """Raise :class:`ModelError` if a file was written again since its header was read."""
        if _stamp(self.path / file) != self._stamps.get(file):
            raise ModelError(
                f"{self.path / file}: was written by another program while it was read; run again"
            )


def open_checkpoint(path: Path) -> Checkpoint:
    """Read the config and the headers of a model directory that can be compressed; no weight is read.

    Raises :class:`ModelError` for whatever is missing, damaged, or quantized already.
    """
    read_config(path)
    checkpoint = read_headers(path)
    # A narrower model is a source only if it is nothing else; that it is packed only its headers show.
    if checkpoint.is_quantized:
        raise quantized_already(path, checkpoint.config)
    return checkpoint


def read_headers(path: Path) -> Checkpoint:
    """Read the config and the headers of any model directory, an original or a result; no weight is read."""
    config = any_config(path)
    files, indexed = weight_files(path)
    # Before the headers: a file that is written while its header is read has another stamp afterwards.
    stamps = {file: _stamp(path / file) for file in files}

    specs: list[TensorSpec] = []
    shared: dict[str, str] = {}
    offsets: dict[str, int] = {}
    notes: list[str] = []
    for file in files:
        if file.endswith(".safetensors"):
            specs += read_specs(path / file)
            offsets |= read_offsets(path / file)
        else:
            of_file, aliases, remarks = describe_pickle(path / file)
            specs += of_file
            shared |= aliases
            notes += remarks

    # An index may promise more than the shards hold, and two shards may hold the same.
    _refuse_duplicates(path, specs)
    stored = {spec.name: spec for spec in specs}
    missing = sorted(indexed - set(stored))
    if missing:
        raise ModelError(f"{path}: the index names the tensor {missing[0]}, which is in no shard")
    return Checkpoint(
        path,
        config,
        tuple(files),
        tuple(specs),
        shared,
        offsets,
        stored,
        notes=tuple(notes),
        is_nested=bool(notes),
        _stamps=stamps,
    )


def _stamp(path: Path) -> tuple[int, ...]:
    """Return numbers that differ once a file was written again or replaced."""
    status = path.stat()
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _refuse_duplicates(path: Path, specs: Iterable[TensorSpec]) -> None:
    files: dict[str, str] = {}
    for spec in specs:
        if spec.name in files:
            raise ModelError(f"{path}: tensor {spec.name} is in {files[spec.name]} and in {spec.file}")
        files[spec.name] = spec.file
