"""The key that clients must show, from a file that no one else may read."""

from __future__ import annotations

import hashlib
import hmac
import os
import stat
from pathlib import Path

from prensa.errors import SettingError

# No key is longer, and a device that never ends is not read to its end.
_LONGEST = 4096
_SCHEME = "bearer"


def read_key(path: Path) -> str:
    """Return the key in a file: one line of printable ASCII without spaces.

    Raises :class:`SettingError` for a file that cannot be read, that others may read, or that has no key.
    """
    try:
        with path.open("rb") as file:
            facts = os.fstat(file.fileno())
            content = file.read(_LONGEST + 1)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise SettingError(f"`api_key_file`: {path} cannot be read ({reason})") from error
    mode = stat.S_IMODE(facts.st_mode)
    # Readable, writable or executable by the group or by all.
    if mode & 0o077:
        raise SettingError(
            f"`api_key_file`: others may read or change {path} (mode {mode:o}); run chmod 600 {path}"
        )
    key = content.strip().decode("ascii", errors="replace")
    fits = 0 < len(key) < _LONGEST and key.isascii() and key.isprintable() and " " not in key
    if not fits:
        raise SettingError(
            f"`api_key_file`: {path}: expected one line of letters, digits and signs without spaces"
        )
    return key


class Key:
    """Knows a key when it sees it, and takes as long for one that is nearly right as for any other."""

    def __init__(self, key: str) -> None:
        self._digest = _digest(key)

    def fits(self, authorization: str) -> bool:
        """Whether the value of an ``Authorization`` header holds the key: ``Bearer KEY``."""
        scheme, _, key = authorization.partition(" ")
        # Digests are of one length, so that not even that of the key shows.
        is_right = hmac.compare_digest(_digest(key.strip()), self._digest)
        return is_right and scheme.lower() == _SCHEME


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", errors="replace")).digest()
