"""Bytes of a file as characters: what its byte-order mark says, else UTF-8, else what the user says.

A file that is not UTF-8 is never read by a guess: a wrong one gives other letters without any error. The
guess goes into the message, with a few words of the file as they would read.
"""

from __future__ import annotations

import codecs
import re
from pathlib import Path

from prensa.errors import DataError, SettingError

# UTF-32's mark begins with UTF-16's.
_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}

# Letters in lower case, which most are: in another encoding they often are those in upper case.
_WESTERN = "àáâãäåæçèéêëìíîïñòóôõöøùúûüýÿßœ"
_SIGNS = "’‘“”–—…€£«»¡¿°·´™®©\xa0"
_CENTRAL = "ąćęłńóśźżáäčďéěíňôřšťůúýžőűöü"

# For each encoding the letters that a text in it mostly has. KOI8-R is cp1251 with the cases swapped.
_LETTERS = {
    "cp1252": _WESTERN,
    "cp1250": _CENTRAL,
    "cp1254": _WESTERN + "ğış",
    "mac_roman": _WESTERN,
    "cp850": _WESTERN,
    "cp932": "ぁ-ヿ",
    "euc_kr": "가-힣",
    "gb18030": "一-鿿",
    "cp1251": "а-яёіїєґ",
    "koi8_r": "а-яё",
    "cp1253": "ά-ώ",
    "cp1255": "א-ת",
    "cp1256": "ء-ي",
    "cp874": "ก-๛",
}
_LATIN = {"cp1252", "cp1250", "cp1254", "mac_roman", "cp850"}
# Bytes by which an encoding is guessed.
_LOOKED_AT = 20_000
# The share of the characters beyond ASCII that must be expected ones.
_ENOUGH = 0.6
# Characters shown before and behind the one that is not UTF-8.
_SHOWN = 20

_BEYOND_ASCII = re.compile("[^\0-\x7f]")
# What `surrogateescape` makes of bytes that are not UTF-8.
_BROKEN = re.compile("[\udc80-\udcff]")


def decode(path: Path, data: bytes, encoding: str | None = None) -> tuple[str, str]:
    """Return the text of a file, and a note if it is not UTF-8.

    Raises :class:`DataError` for bytes that are not what they should be, naming the line and the encoding
    that they are likely to be, and :class:`SettingError` for an encoding that does not exist.
    """
    codec, note = codec_of(path, data, encoding)
    try:
        text = data.decode(codec)
    except UnicodeError as error:
        raise DataError(undecodable(path, codec, error)) from error
    refuse_zero_bytes(path, text)
    if encoding is not None and not data.startswith(tuple(_MARKS)):
        note = _note(data, encoding)
    return text, note


def codec_of(path: Path, start: bytes, encoding: str | None = None) -> tuple[str, str]:
    """Return how the bytes of a file are read of which ``start`` are the first ones, and a note.

    Raises :class:`DataError` for UTF-16 that does not say so, and :class:`SettingError` for an encoding that
    does not exist.
    """
    for mark, marked in _MARKS.items():
        if start.startswith(mark):
            if marked == "utf-8-sig":
                return marked, ""
            return marked, f"encoding {marked.upper()} by its byte-order mark"
    if encoding is not None:
        _check_exists(encoding)
        return encoding, f"encoding {encoding}"
    likely = _utf16(start)
    if likely:
        raise DataError(
            f"{path}: every other byte is 0, as in UTF-16 without a byte-order mark; give `encoding={likely}`"
        )
    return "utf-8", ""


def undecodable(path: Path, codec: str, error: UnicodeError, lines: int = 0) -> str:
    """Word why bytes are not what ``codec`` reads; ``lines`` have ended before the bytes of the error."""
    if not isinstance(error, UnicodeDecodeError):
        return f"{path}: not {codec} ({error}); give another `encoding`"
    if codec == "utf-8":
        return _not_utf8(path, error.object, error.start, lines)
    line = lines + error.object[: error.start].count(b"\n") + 1
    byte = error.object[error.start]
    return f"{path}: line {line} is not {codec} ({error.reason}, byte 0x{byte:02x}); give another `encoding`"


def refuse_zero_bytes(path: Path, text: str, lines: int = 0) -> None:
    """Raise :class:`DataError` for a text with zero bytes, before which ``lines`` have ended."""
    at = text.find("\0")
    if at >= 0:
        line = lines + text.count("\n", 0, at) + 1
        raise DataError(f"{path}: line {line} holds a zero byte; expected a file of text")


def _check_exists(encoding: str) -> None:
    try:
        # Not only looked up: some are no encodings of texts. And of nothing none is asked.
        b" ".decode(encoding)
    except UnicodeError:
        # A space alone may be too short for one of two bytes a letter.
        return
    except (LookupError, ValueError) as error:
        raise SettingError(
            f"`encoding` {encoding}: no such encoding of texts; expected one like cp1252, latin-1 or utf-16"
        ) from error


def _note(data: bytes, encoding: str) -> str:
    """Name an encoding that the user gave, and say if the bytes are UTF-8 as well: one of two is wrong."""
    note = f"encoding {encoding}"
    # By its own name: "utf8" and "U8" are the same one.
    name = codecs.lookup(encoding).name
    if name != "utf-8" and not data.isascii() and _is_utf8(data):
        note += ", though it is valid UTF-8"
    return note


def has_half_character(text: str) -> bool:
    """Whether a text holds half of a surrogate pair: JSON can write it, and no tokenizer can read it."""
    # Such halves are not printable: asking that first is fast, and is all for most texts.
    if text.isprintable():
        return False
    return any("\ud800" <= letter <= "\udfff" for letter in text)


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _utf16(data: bytes) -> str:
    """Return which UTF-16 it is, empty if there are too few zeros: spaces and line ends are half zero."""
    start = data[:_LOOKED_AT]
    even = start[::2]
    odd = start[1::2]
    if _is_mostly_zero(odd, even):
        return "utf-16-le"
    if _is_mostly_zero(even, odd):
        return "utf-16-be"
    return ""


def _is_mostly_zero(high: bytes, low: bytes) -> bool:
    """Whether the upper halves of 16-bit characters are often zero and the lower ones are not."""
    few = max(1, len(high) / 10)
    often = high.count(0) > few
    rare = len(low) / 100
    rarely = low.count(0) <= rare
    return often and rarely


def _not_utf8(path: Path, data: bytes, at: int, lines: int) -> str:
    """Word what is wrong with the byte at ``at``, and what the file may be instead."""
    line = lines + data[:at].count(b"\n") + 1
    byte = data[at]
    message = f"{path}: line {line} is not UTF-8 (byte 0x{byte:02x})"
    # Where most letters beyond ASCII are valid, the file is UTF-8 that was damaged.
    mixed = data.decode(errors="surrogateescape")
    broken = len(_BROKEN.findall(mixed))
    valid = len(_BEYOND_ASCII.findall(mixed)) - broken
    if broken < valid:
        return f"{message}, and the rest mostly is: {broken} bytes are broken; mend them"
    likely = _likely(data)
    if not likely:
        return f"{message}; give `encoding`, or save the file as UTF-8"
    # A guess is only as good as what comes out: the user sees the words around the byte.
    start = data.rfind(b"\n", 0, at) + 1
    end = data.find(b"\n", at)
    if end < 0:
        end = len(data)
    before = data[start:at].decode(likely, errors="replace")
    behind = data[at:end].decode(likely, errors="replace")
    shown = before[-_SHOWN:] + behind[:_SHOWN]
    return (
        f"{message}; it may be {likely}, then it says “{shown.strip()}”: give `encoding={likely}`, "
        "or save the file as UTF-8"
    )


def _likely(data: bytes) -> str:
    """Guess an encoding by the letters that come out, empty if none gives those of a language."""
    # Lines of ASCII are the same in all of them, and show nothing.
    lines: list[bytes] = []
    size = 0
    for line in data.splitlines():
        if not line.isascii() and size < _LOOKED_AT:
            lines.append(line)
            size += len(line)
    sample = b"\n".join(lines)
    best, best_share = "", _ENOUGH
    for encoding in _LETTERS:
        share = _share_of_expected(sample, encoding)
        # Not "or equal": of encodings that do as well the first is the more usual.
        if share > best_share:
            best, best_share = encoding, share
    return best


def _share_of_expected(data: bytes, encoding: str) -> float:
    """Return the share of the characters beyond ASCII that a text in this encoding mostly has."""
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        return 0
    letters = _LETTERS[encoding]
    # Outside of Latin scripts, a single such letter may be chance: two together are a word.
    words = re.findall(r"\w+", text)
    expected = re.compile(f"[{letters}]{{2,}}")
    if encoding in _LATIN:
        # “Ïðèâåò” are Latin letters, too, but no word: most have a letter from a to z.
        words = list(filter(_may_be_latin, words))
        expected = re.compile(f"[{letters}]")
    matches = expected.findall(" ".join(words))
    signs = re.findall(f"[{_SIGNS}]", text)
    beyond = _BEYOND_ASCII.findall(text)
    letters_of_words = "".join(matches)
    expected_count = len(letters_of_words) + len(signs)
    return expected_count / max(1, len(beyond))


def _may_be_latin(word: str) -> bool:
    return len(word) == 1 or re.search("[a-zA-Z]", word) is not None
