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

from prensa.checkpoint.elsewhere import no_model_here, no_weights_here
from prensa.errors import ModelError, first_line
from prensa.isolation import WITHOUT_WARNINGS
from prensa.ops import reparametrization
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


@dataclass(frozen=True)
class Origin:
    """Where a tensor comes from: its parts, by their names in the files, and how they are joined.

    ``formula`` names a function of :mod:`prensa.ops.reparametrization`; empty for a tensor in one part.
    """

    parts: tuple[str, ...]
    formula: str = ""


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
    config: Mapping[str, Any]
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

    @property
    def nbytes(self) -> int:
        """Bytes of the weight files."""
        return sum((self.path / file).stat().st_size for file in self.files)

    @property
    def is_quantized(self) -> bool:
        """Whether it is a quantized model, in a form of its own that only loading it undoes."""
        return bool(self.config.get("quantization_config"))

    @property
    def is_wrapped(self) -> bool:
        """Whether ``from_pretrained`` would not find the tensors by their names in the files."""
        return bool(self.origins) or self.is_nested

    def read(self, spec: TensorSpec, rows: slice = slice(None)) -> Tensor:
        """Read one tensor, or some of its rows. May be called from several threads."""
        origin = self.origins.get(spec.name, Origin((spec.name,)))
        chosen = self.rows.get(spec.name)
        if not origin.formula:
            return self._read(self.stored[origin.parts[0]], rows, chosen)
        # Parts are joined whole: norms may run over any dimension. Such tensors are few, and small.
        joined = self._joined(spec.name, origin)
        return joined[rows] if chosen is None else joined[chosen[rows]]

    def _joined(self, name: str, origin: Origin) -> Tensor:
        with self._joining:
            if name not in self._whole:
                parts = [self._read(self.stored[part], slice(None), None) for part in origin.parts]
                self._whole.clear()  # one at a time
                self._whole[name] = getattr(reparametrization, origin.formula)(*parts)
            return self._whole[name]

    def _read(self, stored: TensorSpec, rows: slice, chosen: Tensor | None) -> Tensor:
        """Read rows of a tensor of the files; of those ``chosen`` by their numbers, if any are."""
        if stored.name not in self._offsets:
            return self._read_pickled(stored, rows, chosen)
        if chosen is not None:
            return self._read_some(stored, chosen[rows])
        start, stop, _ = rows.indices(stored.shape[0] if stored.shape else 1)
        shape = (stop - start, *stored.shape[1:]) if stored.shape else ()
        tensor = torch.empty(shape, dtype=stored.dtype)
        row_bytes = stored.nbytes // max(1, stored.shape[0] if stored.shape else 1)
        buffer = tensor.reshape(-1).view(torch.uint8).numpy().data
        path = self.path / stored.file
        with _explained(path), path.open("rb", buffering=0) as file:
            self._check_unchanged(stored.file)
            file.seek(self._offsets[stored.name] + start * row_bytes)
            while buffer:  # one call reads 2 GiB at most
                count = file.readinto(buffer)
                if not count:
                    raise ModelError(f"{path}: became shorter while tensor {stored.name} was read")
                buffer = buffer[count:]
        return tensor

    def _read_some(self, stored: TensorSpec, numbers: Tensor) -> Tensor:
        """Read rows by their numbers, from a map of the file: of its pages only those that hold some."""
        count = stored.shape[0]
        row_bytes = stored.nbytes // max(1, count)
        offset = self._offsets[stored.name]
        path = self.path / stored.file
        with _explained(path):
            self._check_unchanged(stored.file)
            file = np.memmap(path, dtype=np.uint8, mode="r", offset=offset, shape=(count, row_bytes))
        found = torch.from_numpy(file[numbers.numpy()])
        return found.view(stored.dtype).reshape(len(numbers), *stored.shape[1:])

    def _read_pickled(self, stored: TensorSpec, rows: slice, chosen: Tensor | None) -> Tensor:
        with self._lock:
            tensors, left = self._mapped.get(stored.file, ({}, 0))
            if left <= 0:
                self._mapped.clear()
                path = self.path / stored.file
                self._check_unchanged(stored.file)
                whole = math.inf if not zipfile.is_zipfile(path) else _REMAP_AFTER
                tensors, left = _load_pickle(path)[0], whole
            tensor = tensors[stored.name]
            if chosen is not None:
                part = tensor[chosen[rows]]
            else:
                part = tensor[rows].contiguous() if stored.shape else tensor
            self._mapped[stored.file] = (tensors, left - part.nbytes)
            return part

    def _check_unchanged(self, file: str) -> None:
        """Raise :class:`ModelError` where a file was written again since its header was read."""
        if _stamp(self.path / file) != self._stamps.get(file):
            raise ModelError(
                f"{self.path / file}: was written by another program while it was read; run again"
            )

    def holds_the_same(self, spec: TensorSpec, other: str) -> bool:
        """Whether the tensor ``other`` has the same values."""
        one, two = (self.origins.get(name, Origin((name,))).parts[0] for name in (spec.name, other))
        if self.shared.get(one) == two:
            return True
        return torch.equal(
            self.read(spec), self.read(next(each for each in self.specs if each.name == other))
        )


def open_checkpoint(path: Path) -> Checkpoint:
    """Read the config and the headers of a model directory that can be compressed; no weight is read.

    Raises :class:`ModelError` for whatever is missing, damaged, or quantized already.
    """
    read_config(path)
    return read_headers(path)


def read_headers(path: Path) -> Checkpoint:
    """Read the config and the headers of any model directory, an original or a result; no weight is read."""
    config = _config(path)
    files, indexed = weight_files(path)
    stamps = {file: _stamp(path / file) for file in files}
    specs: list[TensorSpec] = []
    shared: dict[str, str] = {}
    offsets: dict[str, int] = {}
    notes: list[str] = []
    for file in files:
        if file.endswith(".safetensors"):
            specs += _safetensors_specs(path / file)
            offsets |= _safetensors_offsets(path / file)
        else:
            found, aliases, note = _pickle_specs(path / file)
            specs += found
            shared |= aliases
            notes += note
    _refuse_duplicates(path, specs)
    missing = sorted(indexed - {spec.name for spec in specs})
    if missing:
        raise ModelError(f"{path}: the index names the tensor {missing[0]}, which is in no shard")
    stored = {spec.name: spec for spec in specs}
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
    """Return what is another one for a file that was written again."""
    status = path.stat()
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def read_config(path: Path) -> dict[str, Any]:
    """Read ``config.json`` and refuse a model that is quantized already."""
    config = _config(path)
    quantization = config.get("quantization_config")
    if quantization:
        named = isinstance(quantization, dict) and "quant_method" in quantization
        method = quantization["quant_method"] if named else "an unnamed method"
        raise ModelError(f"{path}: the model is quantized already ({method}); compress the original instead")
    return config


def _config(path: Path) -> dict[str, Any]:
    if not path.is_dir():
        raise ModelError(f"{path}: expected a model directory, found a file; give its directory")
    if not (path / "config.json").exists():
        raise ModelError(f"{path}: no config.json; {no_model_here(path)}")
    return _read_json(path / "config.json", "")


def weight_files(path: Path) -> tuple[list[str], set[str]]:
    """Return the weight files that ``from_pretrained`` reads, in order, and the tensors that an index names.

    Raises :class:`ModelError` where there are none, or one is missing.
    """
    has_config = (path / "config.json").is_file()
    # from_pretrained obeys it, too
    named = _config(path).get("transformers_weights") if has_config else None
    for name in (str(named),) if named else WEIGHT_FILES:
        if (path / name).is_file() and Path(name).name == name:
            return _indexed_files(path / name) if name.endswith(".json") else ([name], set())
    expected = ", ".join(WEIGHT_FILES) if not named else f"{named}, which config.json names"
    raise ModelError(f"{path}: no weights found, expected {expected}; {no_weights_here(path)}")


def _indexed_files(index: Path) -> tuple[list[str], set[str]]:
    weight_map = _read_json(index, "").get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise ModelError(f"{index}: expected a weight_map of tensor names to files, found none")
    files = sorted({str(file) for file in weight_map.values()})
    for file in files:
        if Path(file).name != file:
            raise ModelError(f"{index}: {file!r} is not a file beside the index")
        if not (index.parent / file).is_file():
            raise ModelError(f"{index}: names the shard {file}, which is missing; fetch it again")
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
        raise ModelError(f"{path}: tensor {name} has the dtype {dtype}, which Prensa does not know")
    return _DTYPES[dtype]


def _pickle_specs(path: Path) -> tuple[list[TensorSpec], dict[str, str], list[str]]:
    specs: list[TensorSpec] = []
    shared: dict[str, str] = {}
    first: dict[object, str] = {}
    tensors, notes = _load_pickle(path)
    for name, tensor in tensors.items():
        specs.append(TensorSpec(name, tuple(tensor.shape), tensor.dtype, path.name))
        memory = (tensor.data_ptr(), tensor.shape, tensor.stride(), tensor.dtype)
        if tensor.numel() and memory in first:
            shared[name] = first[memory]
        first.setdefault(memory, name)
    return specs, shared, notes


_INSIDE = ("state_dict", "model_state_dict", "model", "module", "weights", "net")
"""Where training loops put the state dict among other things that they save, the usual place first."""


def _load_pickle(path: Path) -> tuple[dict[str, Tensor], list[str]]:
    """Map a pickled state dict, also one inside of a training checkpoint, and say so then."""
    try:
        with WITHOUT_WARNINGS:  # remarks on pickle protocols
            loaded = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except Exception as error:
        raise ModelError(
            f"{path}: expected a pickled dictionary of tensors and nothing else, "
            f"found something that does not load as one ({first_line(error)}); save model.state_dict()"
        ) from error
    notes = []
    inside = _inside(loaded)
    if inside:
        loaded = loaded[inside]
        notes.append(f"{path.name} is a training checkpoint: its {inside!r} was taken")
    if not isinstance(loaded, dict) or not loaded:
        raise ModelError(f"{path}: expected a dictionary of tensors, found {type(loaded).__name__}")
    for name, value in loaded.items():
        if not isinstance(value, Tensor):
            raise ModelError(
                f"{path}: expected a dictionary of tensors, found {type(value).__name__} under {name!r}"
            )
        is_plain = value.layout == torch.strided and value.device.type == "cpu" and not value.is_quantized
        if not isinstance(name, str) or not is_plain or value.dtype not in SAFETENSORS_NAMES:
            raise ModelError(
                f"{path}: tensor {name!r}: expected a name and a dense tensor, found {value.layout}, "
                f"{value.dtype} on {value.device}"
            )
    return {name: value.detach() for name, value in loaded.items()}, notes


def _inside(loaded: object) -> str:
    """Return the key of a training checkpoint's tensors, empty if it is a state dict itself."""
    if not isinstance(loaded, dict) or any(isinstance(value, Tensor) for value in loaded.values()):
        return ""
    held = [
        key
        for key, value in loaded.items()
        if isinstance(value, dict) and value and all(isinstance(each, Tensor) for each in value.values())
    ]
    usual = [key for key in _INSIDE if key in held]
    return str((usual or held if len(held) == 1 else usual or [""])[0])


def _refuse_duplicates(path: Path, specs: Iterable[TensorSpec]) -> None:
    files: dict[str, str] = {}
    for spec in specs:
        if spec.name in files:
            raise ModelError(f"{path}: tensor {spec.name} is in {files[spec.name]} and in {spec.file}")
        files[spec.name] = spec.file


def _read_json(path: Path, meaning: str) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelError(f"{path.parent}: no {path.name}; {meaning}") from None
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{path}: not readable as JSON ({error})") from error
    if not isinstance(content, dict):
        raise ModelError(f"{path}: expected a JSON object, found {type(content).__name__}")
    return content


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turn what the safetensors library says of a file into our error."""
    try:
        yield
    except (SafetensorError, OSError, ValueError) as error:
        raise ModelError(
            f"{path}: not a whole safetensors file ({first_line(error)}); fetch or save it again"
        ) from error
