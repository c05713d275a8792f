"""One packed tensor as one run of bytes: a header in JSON, then the coded streams.

``docs/format.md`` is the specification. Nothing in the header is believed: sizes are compared with
the shape that the caller expects before memory is taken, and names are looked up in tables.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypedDict

import numpy as np
import torch
from torch import Tensor

from prensa.codecs import CODECS
from prensa.codecs.cells import Cells
from prensa.codecs.raw import Raw
from prensa.errors import FormatError
from prensa.ops import entropy
from prensa.ops.affine import Quantized
from prensa.ops.entropy import Bytes, Stream
from prensa.ops.spec import FLOATS, dtype_name

MAGIC = b"PRNS"
VERSION = 1

# The version of what has an offset: readers that know only version 1 would leave the offset out.
_WITH_OFFSET = 2

# The version of what has cells, which earlier readers do not know. There the header is coded, too: cells have
# many streams, and the list of them would take as much as one part in two hundred.
_WITH_CELLS = 3
_VERSIONS = (VERSION, _WITH_OFFSET, _WITH_CELLS)

# What a coded header may say that it holds: hundreds of thousands of streams.
_MOST_OF_A_HEADER = 1 << 24

# Magic, version, zero, bytes of the header.
_PREFIX = struct.Struct("<4sHHQ")
_ALIGNMENT = 8

# What float32 holds exactly.
_MAX_LEVELS = 1 << 24

_DTYPES = {dtype_name(dtype): dtype for dtype in (*FLOATS, torch.int8)}
_GRID_DTYPES = ([torch.int8, torch.float32], [torch.int8, torch.float32, torch.float32])
"""Of values and scale, and of an offset if there is one."""

_MATRIX = 2
"""Dimensions of a matrix."""


class _StreamHeader(TypedDict):
    """Bytes of a stream before coding, and of each of its frames."""

    size: int
    frames: list[int]


class _PartHeader(TypedDict):
    """How one part of a tensor is coded: its values, scale or offset."""

    codec: str
    dtype: str
    streams: list[_StreamHeader]


class _Grid(TypedDict):
    """What makes integers a quantized tensor: see :class:`~prensa.ops.affine.Quantized`."""

    dtype: str
    levels: int
    transposed: bool


class _Header(TypedDict, total=False):
    """The header as it should be; in a damaged file anything else may stand there."""

    shape: list[int]
    parts: dict[str, _PartHeader]
    grid: _Grid


@dataclass(frozen=True)
class Packed:
    """A packed tensor: its bytes as a uint8 tensor, and the codec chosen for its values."""

    data: Tensor
    codec: str


def pack(value: Tensor | Quantized, codecs: Sequence[str]) -> Packed:
    """Store a dense or quantized tensor with whichever of ``codecs`` makes each part smallest.

    Of codecs that make a part equally small the one named first is taken.
    """
    parts = _parts(value)
    headers: dict[str, _PartHeader] = {}
    frames: list[bytes | memoryview] = []
    for name, tensor in parts.items():
        codec, streams = _smallest(tensor, codecs)
        headers[name] = {
            "codec": codec,
            "dtype": dtype_name(tensor.dtype),
            "streams": _stream_headers(streams),
        }
        for stream in streams:
            frames += stream.frames

    header: _Header = {"shape": list(value.shape), "parts": headers}
    if isinstance(value, Quantized):
        header["grid"] = {
            "dtype": dtype_name(value.dtype),
            "levels": value.levels,
            "transposed": value.transposed,
        }
    text = json.dumps(header, separators=(",", ":")).encode()
    version = _version(headers)
    if version == _WITH_CELLS:
        text = entropy.encode_text(text)
    prefix = _PREFIX.pack(MAGIC, version, 0, len(text))
    data = _joined([prefix, text, *frames])
    return Packed(torch.from_numpy(data), headers["values"]["codec"])


def _parts(value: Tensor | Quantized) -> dict[str, Tensor]:
    if not isinstance(value, Quantized):
        return {"values": value}
    parts = {"values": value.values, "scale": value.scale}
    if value.offset is not None:
        parts["offset"] = value.offset
    return parts


def _version(parts: dict[str, _PartHeader]) -> int:
    """Return the earliest version whose readers know all of this."""
    for part in parts.values():
        if part["codec"] == Cells.name:
            return _WITH_CELLS
    if "offset" in parts:
        return _WITH_OFFSET
    return VERSION


def _smallest(tensor: Tensor, codecs: Sequence[str]) -> tuple[str, list[Stream]]:
    """Encode with each codec that may win; return the name of the smallest, and its streams."""
    smallest = ""
    smallest_streams: list[Stream] = []
    for name in codecs:
        codec = CODECS[name]
        if not codec.can_win(tensor):
            continue
        streams = codec.encode(tensor)
        # Strictly smaller: of equally small ones the first stays.
        if not smallest or _nbytes(streams) < _nbytes(smallest_streams):
            smallest = name
            smallest_streams = streams
    if not smallest:
        return Raw.name, Raw().encode(tensor)
    return smallest, smallest_streams


def _nbytes(streams: Iterable[Stream]) -> int:
    return sum(stream.nbytes for stream in streams)


def _stream_headers(streams: Iterable[Stream]) -> list[_StreamHeader]:
    headers: list[_StreamHeader] = []
    for stream in streams:
        lengths = list(map(len, stream.frames))
        headers.append({"size": stream.size, "frames": lengths})
    return headers


def _joined(chunks: Iterable[bytes | memoryview]) -> Bytes:
    """Join chunks to one array, padded so that what follows it in a file is aligned."""
    arrays = []
    total = 0
    for chunk in chunks:
        array = np.frombuffer(chunk, dtype=np.uint8)
        arrays.append(array)
        total += len(array)
    padding = -total % _ALIGNMENT
    arrays.append(np.zeros(padding, dtype=np.uint8))
    return np.concatenate(arrays)


def unpack(data: Bytes, shape: tuple[int, ...]) -> Tensor | Quantized:
    """Return what :func:`pack` was given. ``shape`` is that of the dense tensor.

    Raises :class:`FormatError` if the bytes are damaged, of another version, or of another shape.
    """
    header, body = _read_header(data.data)
    try:
        return _unpack(header, body, shape)
    # A header may hold anything in place of what it should: whichever step meets it fails in its own way.
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise FormatError(f"its header is damaged ({error!r})") from error


def _unpack(header: _Header, body: memoryview, shape: tuple[int, ...]) -> Tensor | Quantized:
    if header["shape"] != list(shape):
        raise FormatError(f"expected the shape {list(shape)}, found {header['shape']}")
    grid = header.get("grid")
    if grid and len(shape) != _MATRIX:
        raise FormatError(f"expected a matrix on a grid, found the shape {list(shape)}")

    # The shape of each part follows from that of the tensor, not from anything the header says.
    if grid:
        rows = shape[::-1] if grid["transposed"] else shape
        shapes = {"values": rows, "scale": rows[:1]}
        if "offset" in header["parts"]:
            shapes["offset"] = rows[1:]
    else:
        shapes = {"values": shape}

    parts = {}
    for name in shapes:
        parts[name] = header["parts"][name]
    streams = _split_body(body, parts)
    tensors = {}
    for name, part in parts.items():
        codec = CODECS[part["codec"]]
        dtype = _DTYPES[part["dtype"]]
        tensors[name] = codec.decode(streams[name], shapes[name], dtype)
    if not grid:
        return tensors["values"]
    offset = tensors.get("offset")
    return _on_grid(grid, tensors["values"], tensors["scale"], offset)


def _read_header(data: memoryview) -> tuple[_Header, memoryview]:
    if len(data) < _PREFIX.size:
        raise FormatError(f"expected at least {_PREFIX.size} bytes, found {len(data)}")
    magic, version, _, length = _PREFIX.unpack_from(data)
    if magic != MAGIC:
        raise FormatError(f"expected it to begin with {MAGIC!r}, found {magic!r}")
    if version not in _VERSIONS:
        raise FormatError(
            f"expected packing version {VERSION} to {_WITH_CELLS}, found {version}; install a newer prensa"
        )
    body = data[_PREFIX.size :]
    if length > len(body):
        raise FormatError(f"its header says {length} bytes, only {len(body)} follow")
    text = bytes(body[:length])
    if version == _WITH_CELLS:
        text = entropy.decode_text(text, _MOST_OF_A_HEADER)
    try:
        header: _Header = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"its header is not JSON ({error})") from error
    if not isinstance(header, dict):
        raise FormatError("its header is not a JSON object")
    return header, body[length:]


def _split_body(body: memoryview, parts: dict[str, _PartHeader]) -> dict[str, list[Stream]]:
    """Split the body into the frames that the headers list; all of it but the padding must be used."""
    position = 0
    streams: dict[str, list[Stream]] = {}
    for name, part in parts.items():
        streams[name] = []
        for stream in part["streams"]:
            frames = []
            for length in stream["frames"]:
                left = len(body) - position
                if not 0 <= length <= left:
                    raise FormatError(f"a frame of {length} bytes does not fit in the {left} left")
                # A view: the bytes are not copied until they are decoded.
                frames.append(body[position : position + length])
                position += length
            streams[name].append(Stream(stream["size"], frames))
    padding = body[position:]
    if len(padding) >= _ALIGNMENT or any(padding):
        raise FormatError(f"{len(padding)} bytes follow the last frame")
    return streams


def _on_grid(grid: _Grid, values: Tensor, scale: Tensor, offset: Tensor | None) -> Quantized:
    dtypes = [values.dtype, scale.dtype]
    if offset is not None:
        dtypes.append(offset.dtype)
    if dtypes not in _GRID_DTYPES:
        names = ", ".join(map(str, dtypes))
        raise FormatError(f"expected int8 values, float32 scale and offset, found {names}")
    levels = grid["levels"]
    # JSON's true would pass for the integer 1.
    if type(levels) is not int or not 1 <= levels <= _MAX_LEVELS:
        raise FormatError(f"expected levels to be an integer from 1 to {_MAX_LEVELS}")
    dtype = _DTYPES[grid["dtype"]]
    return Quantized(values, scale, levels, bool(grid["transposed"]), dtype, offset)
