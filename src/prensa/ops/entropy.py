"""Entropy coding of bytes with zstandard, tuned to code symbols rather than to find repetitions.

Weights have no repeated phrases worth finding: all that can be saved is the skew of their byte
histogram. The ``fast`` strategy with a tiny hash table and the longest minimum match leaves
nearly everything to zstandard's Huffman coder, which then runs at its full speed and stays within
1 % of the order-0 entropy while no symbol is likelier than about one in three.

Data are split into blocks of 1 MiB, one zstandard frame each, so that they are coded in parallel and
a reader never needs more than one block beside its output.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import zstandard

from prensa.errors import FormatError
from prensa.ops.parallel import map_parallel

BLOCK = 1 << 20
"""Bytes of one frame before coding."""

_THOROUGH_LEVEL = 19

Bytes = npt.NDArray[np.uint8]
"""Bytes as a NumPy array, flat unless its shape is given."""


@dataclass(frozen=True)
class Stream:
    """Bytes as a list of coded frames. ``size`` is the number of bytes before coding."""

    size: int
    frames: Sequence[bytes | memoryview]

    @property
    def nbytes(self) -> int:
        """Bytes of all frames together."""
        return sum(map(len, self.frames))


def encode(data: Bytes, *, thorough: bool = False) -> Stream:
    """Code ``data`` into one frame for each started MiB.

    ``thorough`` looks for repetitions, too, and keeps whichever is smaller: worth its time, a hundredfold,
    if nearly all symbols are the same and a Huffman code spends a whole bit on each.
    """
    compress = _compress_thoroughly if thorough else _compress

    def compress_block(start: int) -> bytes:
        return compress(data[start : start + BLOCK])

    starts = range(0, len(data), BLOCK)
    return Stream(len(data), map_parallel(compress_block, starts))


def decode(stream: Stream) -> Bytes:
    """Return the bytes that :func:`encode` was given.

    Raises :class:`FormatError` if the frames do not hold exactly ``stream.size`` bytes; what a
    frame says of its size is checked before memory is taken for it.
    """
    starts = range(0, stream.size, BLOCK)
    if len(stream.frames) != len(starts):
        raise FormatError(
            f"expected {len(starts)} frames for {stream.size} bytes, found {len(stream.frames)}"
        )

    # All frames are checked before the first is decoded, and before there is memory for the result.
    for start, frame in zip(starts, stream.frames, strict=True):
        size = min(BLOCK, stream.size - start)
        _check_frame(frame, size)
    data = np.empty(stream.size, dtype=np.uint8)

    def fill(start: int) -> None:
        block = data[start : start + BLOCK]
        frame = stream.frames[start // BLOCK]
        block[:] = _decompress(frame, len(block))

    map_parallel(fill, starts)
    return data


def encode_text(text: bytes) -> bytes:
    """Code a text as one frame: of texts it pays to find repetitions."""
    return zstandard.ZstdCompressor(level=_THOROUGH_LEVEL).compress(text)


def decode_text(frame: bytes | memoryview, most: int) -> bytes:
    """Return the text that :func:`encode_text` was given.

    Raises :class:`FormatError` if the frame is damaged or says that it holds more than ``most`` bytes.
    """
    size = _stated_size(frame)
    if not 0 <= size <= most:
        raise FormatError(f"expected a frame of at most {most} bytes, found one that says {size}")
    return _decompress(frame, size).tobytes()


def _compress(block: Bytes) -> bytes:
    parameters = zstandard.ZstdCompressionParameters.from_level(
        1, strategy=zstandard.STRATEGY_FAST, min_match=7, hash_log=6
    )
    # Compressors are not safe to share between threads; a new one costs little beside a block.
    compressor = zstandard.ZstdCompressor(compression_params=parameters)
    return compressor.compress(block.data)


def _compress_thoroughly(block: Bytes) -> bytes:
    fast = _compress(block)
    compressor = zstandard.ZstdCompressor(level=_THOROUGH_LEVEL)
    thorough = compressor.compress(block.data)
    if len(thorough) < len(fast):
        return thorough
    return fast


def _check_frame(frame: bytes | memoryview, size: int) -> None:
    stated = _stated_size(frame)
    if stated != size:
        raise FormatError(f"expected a frame of {size} bytes, found one that says {stated}")


def _stated_size(frame: bytes | memoryview) -> int:
    """Return how many bytes a frame says it holds, −1 if it does not say."""
    try:
        return zstandard.frame_content_size(frame)
    except zstandard.ZstdError as error:
        raise FormatError(f"a frame is damaged: {error}") from error


def _decompress(frame: bytes | memoryview, size: int) -> Bytes:
    try:
        # A frame that lies about its size must not take more memory than it may.
        block = zstandard.ZstdDecompressor().decompress(frame, max_output_size=size)
    except zstandard.ZstdError as error:
        raise FormatError(f"a frame is damaged: {error}") from error
    if len(block) != size:
        raise FormatError(f"expected {size} bytes in a frame, found {len(block)}")
    return np.frombuffer(block, dtype=np.uint8)
