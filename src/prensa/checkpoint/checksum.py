"""SHA-256 of a file, and of a model."""

from __future__ import annotations

import hashlib
from pathlib import Path

from prensa.checkpoint.effects import files_of_model
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


def model_digest(directory: Path) -> str:
    """Return a digest of a model's files, wherever they lie."""
    digest = hashlib.sha256()
    for path in files_of_model(directory):
        digest.update(f"{path.relative_to(directory)} {sha256(path)}\n".encode())
    return digest.hexdigest()
