"""Headers of safetensors files: checked by the safetensors library, then read for where tensors begin."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open

from prensa.errors import FormatError, ModelError, first_line
from prensa.ops.spec import TensorSpec

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
_TORCH_NAMES = {str(dtype).removeprefix("torch."): dtype for dtype in SAFETENSORS_NAMES}


def dtype_in_record(name: str, of: str) -> torch.dtype:
    """Return the dtype that a manifest names for the tensor ``of``. Raises :class:`FormatError` for none."""
    if name not in _TORCH_NAMES:
        raise FormatError(
            f"manifest.json: tensor {of} has the dtype {name!r}, which does not exist; fetch it again"
        )
    return _TORCH_NAMES[name]


def read_specs(path: Path) -> list[TensorSpec]:
    """Describe the tensors in a file, in its order. Raises :class:`ModelError`."""
    specs = []
    with explained(path), safe_open(path, framework="pt") as file:
        for name in file.keys():  # noqa: SIM118
            header = file.get_slice(name)
            dtype = _dtype(path, name, header.get_dtype())
            shape = tuple(header.get_shape())
            specs.append(TensorSpec(name, shape, dtype, path.name))
    return specs


def read_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Return the shape of each tensor in a file, whatever its dtype. Raises what the library raises."""
    shapes = {}
    with safe_open(path, framework="pt") as file:
        for name in file.keys():  # noqa: SIM118
            shapes[name] = tuple(file.get_slice(name).get_shape())
    return shapes


def read_offsets(path: Path) -> dict[str, int]:
    """Return where each tensor's bytes begin in a file whose header the library has accepted."""
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
    header.pop("__metadata__", None)

    # Offsets in the header count from its end, which is 8 bytes of length and the header itself.
    data = 8 + length
    offsets = {}
    for name, entry in header.items():
        start, _ = entry["data_offsets"]
        offsets[name] = data + start
    return offsets


def _dtype(path: Path, name: str, dtype: str) -> torch.dtype:
    if dtype not in _DTYPES:
        raise ModelError(f"{path}: tensor {name} has the dtype {dtype}, which Prensa does not know")
    return _DTYPES[dtype]


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn what the safetensors library says of a file into :class:`ModelError`."""
    try:
        yield
    except (SafetensorError, OSError, ValueError) as error:
        raise ModelError(
            f"{path}: not a whole safetensors file ({first_line(error)}); fetch or save it again"
        ) from error
