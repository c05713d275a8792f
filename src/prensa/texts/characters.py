"""Bytes of a file as characters: what its byte-order mark says, else UTF-8, else what the user says.

A file that is not UTF-8 is never read by a guess: a wrong one gives other letters without any error. The
guess goes into the message, with a few words of the file as they would read.
"""

from __future__ import annotations

import codecs
import re
from pathlib import Path

from prensa.errors import DataError

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
_LOOKED_AT = 20_000  # bytes with which an encoding is guessed
_ENOUGH = 0.6  # of the characters beyond ASCII are expected ones
_SHOWN = 20  # characters before and behind the one in question


def decode(path: Path, data: bytes, encoding: str | None = None) -> tuple[str, str]:
    """Return the text of a file, and a note where it is not UTF-8.

    Raises :class:`DataError` for bytes that are not what they should be, naming the line and the encoding
    that they are likely to be.
    """
    for mark, marked in _MARKS.items():
        if data.startswith(mark):
            text = _decoded(path, data, marked)
            note = "" if marked == "utf-8-sig" else f"encoding {marked.upper()} by its byte-order mark"
            return _checked(path, text), note
    if encoding is not None:
        text = _checked(path, _decoded(path, data, encoding))
        is_utf8_too = not data.isascii() and _is_utf8(data) and codecs.lookup(encoding).name != "utf-8"
        return text, f"encoding {encoding}{', though it is valid UTF-8' if is_utf8_too else ''}"
    if likely := _utf16(data):
        raise DataError(
            f"{path}: every other byte is 0, as in UTF-16 without a byte-order mark; give --encoding {likely}"
        )
    try:
        return _checked(path, data.decode()), ""
    except UnicodeDecodeError as error:
        raise DataError(_not_utf8(path, data, error.start)) from error


def _decoded(path: Path, data: bytes, encoding: str) -> str:
    try:
        return data.decode(encoding)
    except LookupError as error:
        raise DataError(
            f"--encoding {encoding}: no such encoding of texts; expected one like cp1252, latin-1 or utf-16"
        ) from error
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise DataError(
            f"{path}: line {line} is not {encoding} ({error.reason}, byte 0x{data[error.start]:02x}); "
            "give another --encoding"
        ) from error
    except (UnicodeError, ValueError) as error:
        raise DataError(f"{path}: not {encoding} ({error}); give another --encoding") from error


def _checked(path: Path, text: str) -> str:
    at = text.find("\0")
    if at >= 0:
        line = text.count("\n", 0, at) + 1
        raise DataError(f"{path}: line {line} holds a zero byte; expected a file of text")
    return text


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _utf16(data: bytes) -> str:
    """Return which UTF-16 it is, empty where there are too few zeros: spaces and line ends are half zero."""
    start = data[:_LOOKED_AT]
    for name, zeros, others in (
        ("utf-16-le", start[1::2], start[::2]),
        ("utf-16-be", start[::2], start[1::2]),
    ):
        if zeros.count(0) > max(1, len(zeros) / 10) and others.count(0) <= len(others) / 100:
            return name
    return ""


def _not_utf8(path: Path, data: bytes, at: int) -> str:
    line = data[:at].count(b"\n") + 1
    text = f"{path}: line {line} is not UTF-8 (byte 0x{data[at]:02x})"
    mixed = data.decode(errors="surrogateescape")
    broken = len(re.findall("[\udc80-\udcff]", mixed))
    if broken < len(re.findall("[^\0-\x7f]", mixed)) - broken:
        return f"{text}, and the rest mostly is: {broken} bytes are broken; mend them"
    likely = _likely(data)
    if not likely:
        return f"{text}; give --encoding, or save the file as UTF-8"
    start = data.rfind(b"\n", 0, at) + 1
    end = data.find(b"\n", at)
    before = data[start:at].decode(likely, errors="replace")[-_SHOWN:]
    behind = data[at : len(data) if end < 0 else end].decode(likely, errors="replace")[:_SHOWN]
    return (
        f"{text}; it may be {likely}, then it says “{(before + behind).strip()}”: give --encoding {likely}, "
        "or save the file as UTF-8"
    )


def _likely(data: bytes) -> str:
    """Guess an encoding by the letters that come out, empty where none gives those of a language."""
    lines, size = [], 0
    for line in data.splitlines():
        if not line.isascii() and size < _LOOKED_AT:
            lines.append(line)
            size += len(line)
    found = b"\n".join(lines)
    shares = {encoding: _share_of_expected(found, encoding) for encoding in _LETTERS}
    best = max(shares, key=lambda encoding: shares[encoding])  # the first of those that are as good
    return best if shares[best] > _ENOUGH else ""


def _share_of_expected(data: bytes, encoding: str) -> float:
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        return 0
    letters = _LETTERS[encoding]
    words = re.findall(r"\w+", text)
    if encoding in _LATIN:  # “Ïðèâåò” are Latin letters, too, but no word: most have a letter from a to z
        words = [word for word in words if len(word) == 1 or re.search("[a-zA-Z]", word)]
        expected = re.findall(f"[{letters}]", " ".join(words))
    else:
        expected = re.findall(f"[{letters}]{{2,}}", " ".join(words))
    count = len("".join(expected)) + len(re.findall(f"[{_SIGNS}]", text))
    return count / max(1, len(re.findall("[^\0-\x7f]", text)))
