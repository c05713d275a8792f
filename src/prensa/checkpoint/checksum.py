"""SHA-256 of a file."""

from __future__ import annotations

import hashlib
from pathlib import Path

from prensa.errors import FormatError

_CHUNK = 1 << 20


def sha256(path: Path) -> str:
    """Return the digest in hexadecimal, reading the file in chunks."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        chunk = file.read(_CHUNK)
        while chunk:
            digest.update(chunk)
            chunk = file.read(_CHUNK)
    return digest.hexdigest()


def check_sha256(path: Path, expected: str) -> None:
    """Raise :class:`FormatError` if a file is not the one that was written."""
    digest = sha256(path)
    if digest != expected:
        raise FormatError(
            f"{path}: damaged, expected SHA-256 {expected[:12]}…, found {digest[:12]}…; fetch it again"
        )
