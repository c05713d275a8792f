"""Files that were compressed as a whole: gzip, bzip2, xz and zstandard, known by their first bytes."""

from __future__ import annotations

import bz2
import gzip
import lzma
import zlib
from collections.abc import Callable
from pathlib import Path

import zstandard

from prensa.errors import DataError

SUFFIXES = (".gz", ".bz2", ".xz", ".zst")
"""What such files are called, behind the ending that says what is in them."""

# The window of `zstd --long=31`, which the library refuses by itself.
_LARGEST_WINDOW = 1 << 31
# What the libraries raise for files that are damaged.
_DAMAGED = (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError, zstandard.ZstdError)


def decompress(path: Path, data: bytes) -> bytes:
    """Return the content of a compressed file, and of any other as it is.

    The first bytes decide, not the name: browsers decompress on the way and keep the ending.
    Raises :class:`DataError` for files that are damaged or end too early.
    """
    for start, read in _READERS.items():
        if not data.startswith(start):
            continue
        try:
            return read(data)
        except _DAMAGED as error:
            raise DataError(f"{path}: compressed, and damaged or cut off ({error})") from error
    return data


def _zstd(data: bytes) -> bytes:
    contents: list[bytes] = []
    # A file may hold several frames: what one leaves is the next.
    while data:
        frame = zstandard.ZstdDecompressor(max_window_size=_LARGEST_WINDOW).decompressobj()
        contents.append(frame.decompress(data))
        if not frame.eof:
            raise EOFError("the last frame is not whole")
        data = frame.unused_data
    return b"".join(contents)


_READERS: dict[bytes, Callable[[bytes], bytes]] = {
    b"\x1f\x8b": gzip.decompress,
    b"BZh": bz2.decompress,
    b"\xfd7zXZ\x00": lzma.decompress,
    b"\x28\xb5\x2f\xfd": _zstd,
}
