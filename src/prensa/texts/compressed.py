"""Files that were compressed as a whole: gzip, bzip2, xz and zstandard, known by their first bytes."""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Protocol

import zstandard

from prensa.errors import DataError

SUFFIXES = (".gz", ".bz2", ".xz", ".zst")
"""What such files are called, behind the ending that says what is in them."""

# The window of `zstd --long=31`, which the library refuses by itself.
_LARGEST_WINDOW = 1 << 31
# What the libraries raise for files that are damaged.
_DAMAGED = (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError, zstandard.ZstdError)
# Has zlib read gzip's header and checksum.
_GZIP = 31


class _Frame(Protocol):
    """What decompresses one of the parts that a file may consist of, behind which another one may follow."""

    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, /) -> bytes: ...


def decompress(path: Path, data: bytes) -> bytes:
    """Return the content of a compressed file, and of any other as it is.

    The first bytes decide, not the name: browsers decompress on the way and keep the ending.
    Raises :class:`DataError` for files that are damaged or end too early.
    """
    return b"".join(decompressed(path, [data]))


def decompressed(path: Path, blocks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the content of a file block by block, as :func:`decompress` returns it.

    The first of ``blocks`` must have the first bytes; small ones keep what a block may grow to small, too.
    """
    remaining = iter(blocks)
    first = next(remaining, b"")
    for start, make in _FRAMES.items():
        if not first.startswith(start):
            continue
        try:
            yield from _contents(first, remaining, make)
        except _DAMAGED as error:
            raise DataError(f"{path}: compressed, and damaged or cut off ({error})") from error
        return
    yield first
    yield from remaining


def _contents(first: bytes, blocks: Iterator[bytes], make: Callable[[], _Frame]) -> Iterator[bytes]:
    frame = make()
    data: bytes | None = first
    while data is not None:
        if frame.eof and make is _gzip:
            # Tapes were filled up with zeros, which is no damage.
            data = data.lstrip(b"\0")
        if not data:
            data = next(blocks, None)
            continue
        # What one part leaves is the next.
        if frame.eof:
            frame = make()
        yield frame.decompress(data)
        data = frame.unused_data
    if not frame.eof:
        raise EOFError("the last part is not whole")


def _gzip() -> _Frame:
    return zlib.decompressobj(_GZIP)


def _zstd() -> _Frame:
    return zstandard.ZstdDecompressor(max_window_size=_LARGEST_WINDOW).decompressobj()


_FRAMES: dict[bytes, Callable[[], _Frame]] = {
    b"\x1f\x8b": _gzip,
    b"BZh": bz2.BZ2Decompressor,
    b"\xfd7zXZ\x00": lzma.LZMADecompressor,
    b"\x28\xb5\x2f\xfd": _zstd,
}
