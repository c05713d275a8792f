"""One packed tensor as one run of bytes: a header in JSON, then the coded streams.

``docs/format.md`` is the specification. Nothing in the header is believed: sizes are compared with
the shape that the caller expects before memory is taken, and names are looked up in tables.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from prensa.codecs import CODECS
from prensa.errors import FormatError
from prensa.ops.affine import Quantized
from prensa.ops.entropy import Bytes, Stream
from prensa.spec import FLOATS, dtype_name

MAGIC = b"PRNS"
VERSION = 1
_WITH_OFFSET = 2  # the version of what has an offset, which readers of version 1 would leave out
_PREFIX = struct.Struct("<4sHHQ")  # magic, version, zero, bytes of the header
_ALIGNMENT = 8
_MAX_LEVELS = 1 << 24  # what float32 holds exactly
_DTYPES = {dtype_name(dtype): dtype for dtype in (*FLOATS, torch.int8)}


@dataclass(frozen=True)
class Packed:
    """A packed tensor: its bytes as a uint8 tensor, and the codec chosen for its values."""

    data: Tensor
    codec: str


def pack(value: Tensor | Quantized, codecs: Sequence[str]) -> Packed:
    """Store a dense or quantized tensor with whichever of ``codecs`` makes each part smallest.

    Of codecs that make a part equally small the one named first is taken.
    """
    if isinstance(value, Quantized):
        parts = {"values": value.values, "scale": value.scale}
        if value.offset is not None:
            parts["offset"] = value.offset
    else:
        parts = {"values": value}
    chosen = {part: _smallest(tensor, codecs) for part, tensor in parts.items()}
    header: dict[str, Any] = {
        "shape": list(value.shape),
        "parts": {
            part: {
                "codec": codec,
                "dtype": dtype_name(parts[part].dtype),
                "streams": [
                    {"size": stream.size, "frames": [len(frame) for frame in stream.frames]}
                    for stream in streams
                ],
            }
            for part, (codec, streams) in chosen.items()
        },
    }
    if isinstance(value, Quantized):
        header["grid"] = {
            "dtype": dtype_name(value.dtype),
            "levels": value.levels,
            "transposed": value.transposed,
        }
    text = json.dumps(header, separators=(",", ":")).encode()
    frames = [frame for _, streams in chosen.values() for stream in streams for frame in stream.frames]
    pieces = [
        _PREFIX.pack(MAGIC, _WITH_OFFSET if "offset" in parts else VERSION, 0, len(text)),
        text,
        *frames,
    ]
    padding = bytes(-sum(map(len, pieces)) % _ALIGNMENT)
    data = np.concatenate([np.frombuffer(piece, dtype=np.uint8) for piece in (*pieces, padding)])
    return Packed(torch.from_numpy(data), chosen["values"][0])


def unpack(data: Bytes, shape: tuple[int, ...]) -> Tensor | Quantized:
    """Return what :func:`pack` was given. ``shape`` is that of the dense tensor.

    Raises :class:`FormatError` where the bytes are damaged, of another version, or of another shape.
    """
    header, body = _read_header(data.data)
    try:
        if header["shape"] != list(shape):
            raise FormatError(f"expected the shape {list(shape)}, found {header['shape']}")
        grid = header.get("grid")
        if grid and len(shape) != 2:  # noqa: PLR2004
            raise FormatError(f"expected a matrix on a grid, found the shape {list(shape)}")
        rows = shape[::-1] if grid and grid["transposed"] else shape
        shapes = {"values": rows, "scale": rows[:1], "offset": rows[1:]} if grid else {"values": shape}
        if "offset" not in header["parts"]:
            shapes.pop("offset", None)
        parts = {name: header["parts"][name] for name in shapes}
        streams = _cut_streams(body, [part["streams"] for part in parts.values()])
        tensors = [
            CODECS[part["codec"]].decode(part_streams, shapes[name], _DTYPES[part["dtype"]])
            for (name, part), part_streams in zip(parts.items(), streams, strict=True)
        ]
        if not grid:
            return tensors[0]
        return _on_grid(grid, *tensors)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise FormatError(f"its header is damaged ({error!r})") from error


def _smallest(tensor: Tensor, codecs: Sequence[str]) -> tuple[str, list[Stream]]:
    names = [name for name in codecs if CODECS[name].can_win(tensor)] or ["raw"]
    encoded = [(name, CODECS[name].encode(tensor)) for name in names]
    return min(encoded, key=lambda pair: sum(stream.nbytes for stream in pair[1]))


def _read_header(data: memoryview) -> tuple[dict[str, Any], memoryview]:
    if len(data) < _PREFIX.size:
        raise FormatError(f"expected at least {_PREFIX.size} bytes, found {len(data)}")
    magic, version, _, length = _PREFIX.unpack_from(data)
    if magic != MAGIC:
        raise FormatError(f"expected it to begin with {MAGIC!r}, found {magic!r}")
    if version not in {VERSION, _WITH_OFFSET}:
        raise FormatError(
            f"expected packing version {VERSION} or {_WITH_OFFSET}, found {version}; install a newer prensa"
        )
    body = data[_PREFIX.size :]
    if length > len(body):
        raise FormatError(f"its header says {length} bytes, only {len(body)} follow")
    try:
        header = json.loads(bytes(body[:length]))
    except (ValueError, RecursionError) as error:
        raise FormatError(f"its header is not JSON ({error})") from error
    if not isinstance(header, dict):
        raise FormatError("its header is not a JSON object")
    return header, body[length:]


def _cut_streams(body: memoryview, parts: Sequence[Sequence[dict[str, Any]]]) -> list[list[Stream]]:
    """Cut the body into the frames that the header lists; all of it but the padding must be used."""
    position = 0

    def cut(length: int) -> memoryview:
        nonlocal position
        if not 0 <= length <= len(body) - position:
            raise FormatError(f"a frame of {length} bytes does not fit in the {len(body) - position} left")
        position += length
        return body[position - length : position]

    streams = [
        [Stream(stream["size"], [cut(length) for length in stream["frames"]]) for stream in part]
        for part in parts
    ]
    if len(body) - position >= _ALIGNMENT or any(body[position:]):
        raise FormatError(f"{len(body) - position} bytes follow the last frame")
    return streams


def _on_grid(grid: dict[str, Any], values: Tensor, scale: Tensor, offset: Tensor | None = None) -> Quantized:
    found = [each.dtype for each in (values, scale, offset) if each is not None]
    if found[0] != torch.int8 or set(found[1:]) != {torch.float32}:
        raise FormatError(
            f"expected int8 values, float32 scale and offset, found {', '.join(map(str, found))}"
        )
    if type(grid["levels"]) is not int or not 1 <= grid["levels"] <= _MAX_LEVELS:
        raise FormatError(f"expected levels to be an integer from 1 to {_MAX_LEVELS}")
    dtype = _DTYPES[grid["dtype"]]
    return Quantized(values, scale, grid["levels"], bool(grid["transposed"]), dtype, offset)
