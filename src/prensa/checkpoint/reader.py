"""Read a Hugging Face model directory: headers first, then one tensor at a time.

Safetensors headers are checked by the safetensors library; their tensors are then read, not mapped, so that
memory holds what was asked for and no more. Pickled files are mapped (never executed:
``weights_only=True``), and mapped anew now and then so that their pages leave the process's memory.
"""

from __future__ import annotations

import json
import math
import struct
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from prensa.errors import CheckpointError, first_line
from prensa.isolation import WITHOUT_WARNINGS
from prensa.spec import TensorSpec

WEIGHT_FILES = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)
"""Where weights are looked for, first come first served, as ``from_pretrained`` does."""

_DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
    "U16": torch.uint16,
    "U32": torch.uint32,
    "U64": torch.uint64,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
    "C64": torch.complex64,
}
SAFETENSORS_NAMES = {dtype: name for name, dtype in _DTYPES.items()}

_REMAP_AFTER = 1 << 28  # bytes read from one mapping of a pickled file


@dataclass
class Checkpoint:
    """A model directory whose headers have been read. ``files`` are its weight files, in order.

    ``shared`` maps a tensor's name to the name under which the same memory was met first (pickled
    files only: safetensors holds each memory once). ``rows`` are, for tensors of which only some rows count,
    their numbers; the tensor's shape is then that of these rows.
    """

    path: Path
    config: Mapping[str, Any]
    files: tuple[str, ...]
    specs: tuple[TensorSpec, ...]
    shared: Mapping[str, str]
    _offsets: Mapping[str, int]
    rows: Mapping[str, Tensor] = field(default_factory=dict)
    _stamps: Mapping[str, tuple[int, ...]] = field(default_factory=dict, repr=False)
    _mapped: dict[str, tuple[dict[str, Tensor], float]] = field(default_factory=dict, repr=False)
    _lock: Lock = field(default_factory=Lock, repr=False)

    @property
    def nbytes(self) -> int:
        """Bytes of the weight files."""
        return sum((self.path / file).stat().st_size for file in self.files)

    def read(self, spec: TensorSpec, rows: slice = slice(None)) -> Tensor:
        """Read one tensor, or some of its rows. May be called from several threads."""
        if spec.name not in self._offsets:
            return self._read_pickled(spec, rows)
        if spec.name in self.rows:
            return self._read_some(spec, self.rows[spec.name][rows])
        start, stop, _ = rows.indices(spec.shape[0] if spec.shape else 1)
        shape = (stop - start, *spec.shape[1:]) if spec.shape else ()
        tensor = torch.empty(shape, dtype=spec.dtype)
        row_bytes = spec.nbytes // max(1, spec.shape[0] if spec.shape else 1)
        buffer = tensor.reshape(-1).view(torch.uint8).numpy().data
        path = self.path / spec.file
        with _explained(path), path.open("rb", buffering=0) as file:
            self._check_unchanged(spec.file)
            file.seek(self._offsets[spec.name] + start * row_bytes)
            while buffer:  # one call reads 2 GiB at most
                count = file.readinto(buffer)
                if not count:
                    raise CheckpointError(f"{path}: became shorter while tensor {spec.name} was read")
                buffer = buffer[count:]
        return tensor

    def _read_some(self, spec: TensorSpec, numbers: Tensor) -> Tensor:
        """Read rows by their numbers, from a map of the file: of its pages only those that hold some."""
        row_bytes = spec.nbytes // max(1, spec.shape[0])
        offset, count = self._offsets[spec.name], spec.rows_before
        path = self.path / spec.file
        with _explained(path):
            self._check_unchanged(spec.file)
            file = np.memmap(path, dtype=np.uint8, mode="r", offset=offset, shape=(count, row_bytes))
        found = torch.from_numpy(file[numbers.numpy()])
        return found.view(spec.dtype).reshape(len(numbers), *spec.shape[1:])

    def _read_pickled(self, spec: TensorSpec, rows: slice) -> Tensor:
        with self._lock:
            tensors, left = self._mapped.get(spec.file, ({}, 0))
            if left <= 0:
                self._mapped.clear()
                path = self.path / spec.file
                self._check_unchanged(spec.file)
                tensors, left = _load_pickle(path), _REMAP_AFTER if zipfile.is_zipfile(path) else math.inf
            tensor = tensors[spec.name]
            if spec.name in self.rows:
                part = tensor[self.rows[spec.name][rows]]
            else:
                part = tensor[rows].contiguous() if spec.shape else tensor
            self._mapped[spec.file] = (tensors, left - part.nbytes)
            return part

    def _check_unchanged(self, file: str) -> None:
        """Raise :class:`CheckpointError` where a file was written again since its header was read."""
        if _stamp(self.path / file) != self._stamps.get(file):
            raise CheckpointError(
                f"{self.path / file}: was written by another program while it was read; run again"
            )

    def holds_the_same(self, spec: TensorSpec, other: str) -> bool:
        """Whether the tensor ``other`` has the same values."""
        if self.shared.get(spec.name) == other:
            return True
        return torch.equal(
            self.read(spec), self.read(next(each for each in self.specs if each.name == other))
        )


def open_checkpoint(path: Path) -> Checkpoint:
    """Read the config and the headers of a model directory; no weight is read.

    Raises :class:`CheckpointError` for whatever is missing, damaged, or quantized already.
    """
    config = read_config(path)
    files, indexed = weight_files(path)
    stamps = {file: _stamp(path / file) for file in files}
    specs: list[TensorSpec] = []
    shared: dict[str, str] = {}
    offsets: dict[str, int] = {}
    for file in files:
        if file.endswith(".safetensors"):
            specs += _safetensors_specs(path / file)
            offsets |= _safetensors_offsets(path / file)
        else:
            found, aliases = _pickle_specs(path / file)
            specs += found
            shared |= aliases
    _refuse_duplicates(path, specs)
    missing = sorted(indexed - {spec.name for spec in specs})
    if missing:
        raise CheckpointError(f"{path}: the index names the tensor {missing[0]}, which is in no shard")
    return Checkpoint(path, config, tuple(files), tuple(specs), shared, offsets, _stamps=stamps)


def _stamp(path: Path) -> tuple[int, ...]:
    """Return what is another one for a file that was written again."""
    status = path.stat()
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def read_config(path: Path) -> dict[str, Any]:
    """Read ``config.json`` and refuse a model that is quantized already."""
    if not path.is_dir():
        raise CheckpointError(f"{path}: expected a model directory, found a file; give its directory")
    config = _read_json(path / "config.json", "it is not a Hugging Face model directory")
    quantization = config.get("quantization_config")
    if quantization:
        named = isinstance(quantization, dict) and "quant_method" in quantization
        method = quantization["quant_method"] if named else "an unnamed method"
        raise CheckpointError(
            f"{path}: the model is quantized already ({method}); compress the original instead"
        )
    return config


def weight_files(path: Path) -> tuple[list[str], set[str]]:
    """Return the weight files that ``from_pretrained`` reads, in order, and the tensors that an index names.

    Raises :class:`CheckpointError` where there are none, or one is missing.
    """
    for name in WEIGHT_FILES:
        if (path / name).is_file():
            return _indexed_files(path / name) if name.endswith(".json") else ([name], set())
    raise CheckpointError(f"{path}: no weights found; expected one of {', '.join(WEIGHT_FILES)}")


def check_weight_files(path: Path) -> None:
    """Raise :class:`CheckpointError` where a safetensors file is not whole. Reads headers only."""
    for file in weight_files(path)[0]:
        if file.endswith(".safetensors"):
            with _explained(path / file), safe_open(path / file, framework="pt"):
                pass


def _indexed_files(index: Path) -> tuple[list[str], set[str]]:
    weight_map = _read_json(index, "").get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise CheckpointError(f"{index}: expected a weight_map of tensor names to files, found none")
    files = sorted({str(file) for file in weight_map.values()})
    for file in files:
        if Path(file).name != file:
            raise CheckpointError(f"{index}: {file!r} is not a file beside the index")
        if not (index.parent / file).is_file():
            raise CheckpointError(f"{index}: names the shard {file}, which is missing; fetch it again")
    return files, set(weight_map)


def _safetensors_specs(path: Path) -> list[TensorSpec]:
    with _explained(path), safe_open(path, framework="pt") as file:
        slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
        return [
            TensorSpec(name, tuple(piece.get_shape()), _dtype(path, name, piece.get_dtype()), path.name)
            for name, piece in slices.items()
        ]


def _safetensors_offsets(path: Path) -> dict[str, int]:
    """Return where each tensor's bytes begin in a file whose header the library has accepted."""
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
    header.pop("__metadata__", None)
    return {name: 8 + length + entry["data_offsets"][0] for name, entry in header.items()}


def _dtype(path: Path, name: str, dtype: str) -> torch.dtype:
    if dtype not in _DTYPES:
        raise CheckpointError(f"{path}: tensor {name} has the dtype {dtype}, which Prensa does not know")
    return _DTYPES[dtype]


def _pickle_specs(path: Path) -> tuple[list[TensorSpec], dict[str, str]]:
    specs: list[TensorSpec] = []
    shared: dict[str, str] = {}
    first: dict[object, str] = {}
    for name, tensor in _load_pickle(path).items():
        specs.append(TensorSpec(name, tuple(tensor.shape), tensor.dtype, path.name))
        memory = (tensor.data_ptr(), tensor.shape, tensor.stride(), tensor.dtype)
        if tensor.numel() and memory in first:
            shared[name] = first[memory]
        first.setdefault(memory, name)
    return specs, shared


def _load_pickle(path: Path) -> dict[str, Tensor]:
    try:
        with WITHOUT_WARNINGS:  # remarks on pickle protocols
            loaded = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except Exception as error:
        raise CheckpointError(
            f"{path}: expected a pickled dictionary of tensors and nothing else, "
            f"found something that does not load as one ({first_line(error)})"
        ) from error
    if not isinstance(loaded, dict) or not loaded:
        raise CheckpointError(f"{path}: expected a dictionary of tensors, found {type(loaded).__name__}")
    for name, value in loaded.items():
        if not isinstance(value, Tensor):
            raise CheckpointError(
                f"{path}: expected a dictionary of tensors, found {type(value).__name__} under {name!r}"
            )
        is_plain = value.layout == torch.strided and value.device.type == "cpu" and not value.is_quantized
        if not isinstance(name, str) or not is_plain or value.dtype not in SAFETENSORS_NAMES:
            raise CheckpointError(
                f"{path}: tensor {name!r}: expected a name and a dense tensor, found {value.layout}, "
                f"{value.dtype} on {value.device}"
            )
    return {name: value.detach() for name, value in loaded.items()}


def _refuse_duplicates(path: Path, specs: Iterable[TensorSpec]) -> None:
    files: dict[str, str] = {}
    for spec in specs:
        if spec.name in files:
            raise CheckpointError(f"{path}: tensor {spec.name} is in {files[spec.name]} and in {spec.file}")
        files[spec.name] = spec.file


def _read_json(path: Path, meaning: str) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(f"{path.parent}: no {path.name}; {meaning}") from None
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: not readable as JSON ({error})") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path}: expected a JSON object, found {type(content).__name__}")
    return content


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turn what the safetensors library says of a file into our error."""
    try:
        yield
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(
            f"{path}: not a whole safetensors file ({first_line(error)}); fetch or save it again"
        ) from error
