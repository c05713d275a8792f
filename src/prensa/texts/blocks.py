"""A file of text line by line: what is held of it at a time does not grow with its length."""

from __future__ import annotations

import codecs
import io
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from prensa.errors import DataError
from prensa.texts.characters import codec_of, refuse_zero_bytes, undecodable
from prensa.texts.compressed import decompressed

# Bytes of the file that are read at a time: compressed ones may become a thousand times as many.
_BLOCK = 1 << 16


def lines_in(path: Path, encoding: str | None = None) -> Iterator[str]:
    """Yield the lines of a file with their ends, whatever system wrote them; compressed files, too.

    The rules are those of :func:`~prensa.texts.characters.decode`, which see all of a file: whether bytes are
    UTF-16 is known by the first ones. Raises :class:`DataError`, naming the line, and
    :class:`~prensa.errors.SettingError` for an encoding that does not exist.
    """
    rest: list[str] = []
    for text in _texts(path, encoding):
        # Until a line may end, blocks are only put aside: a line of gigabytes is put together once.
        if not _may_end_a_line(rest, text):
            if text:
                rest.append(text)
            continue
        # As lines of a file, which end at "\n", "\r\n" and "\r", and at nothing else.
        parts = io.StringIO("".join([*rest, text]), newline="").readlines()
        # The last one may go on, and a "\r" at its end may be the first half of a line end.
        rest = [parts.pop()]
        yield from parts
    if rest:
        yield "".join(rest)


def _may_end_a_line(before: Sequence[str], text: str) -> bool:
    """Whether a line ends in ``text``, or did so at the end of what is ``before`` it."""
    if "\n" in text or "\r" in text:
        return True
    return bool(text and before and before[-1].endswith(("\n", "\r")))


def first_bytes(path: Path) -> bytes:
    """Return the first bytes of what is in a file, decompressed. Raises as :func:`lines_in` does."""
    start = b""
    for block in _blocks(path):
        start += block
        if len(start) >= _BLOCK:
            break
    return start


def encoding_note(path: Path, encoding: str | None = None) -> str:
    """Return what is to be said about how a file is encoded, empty for UTF-8."""
    _, note = codec_of(path, first_bytes(path), encoding)
    return note


def _texts(path: Path, encoding: str | None) -> Iterator[str]:
    """Yield the text of a file in parts."""
    start = first_bytes(path)
    codec, _ = codec_of(path, start, encoding)
    decoder = codecs.getincrementaldecoder(codec)()
    lines = 0
    for block, is_last in _with_end(_blocks(path)):
        try:
            text = decoder.decode(block, is_last)
        except UnicodeError as error:
            raise DataError(undecodable(path, codec, error, lines)) from error
        refuse_zero_bytes(path, text, lines)
        lines += text.count("\n")
        yield text


def _with_end(blocks: Iterator[bytes]) -> Iterator[tuple[bytes, bool]]:
    """Yield each block, and at the end nothing as the last one: half a character may be left over."""
    for block in blocks:
        yield block, False
    yield b"", True


def _blocks(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            yield from decompressed(path, iter(partial(file.read, _BLOCK), b""))
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from error
