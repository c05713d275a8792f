"""Write a file so that whoever looks sees the old one or the new one, never a part."""

from __future__ import annotations

import errno
import os
import tempfile
import threading
from pathlib import Path

from prensa.errors import OutputError

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
"""What systems answer where there is no room left."""


def at_home(path: str | Path) -> Path:
    """Read ``~`` as the home directory, as shells do, so that a path means the same wherever it is given.

    Raises :class:`OutputError` where there is no such user.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise OutputError(f"{path}: {error}") from error


def write_text(path: Path, text: str) -> None:
    """Put ``text`` in ``path`` in one step. Raises :class:`OutputError` with ``path`` as it was."""
    try:
        _replace(path, text.encode("utf-8", "backslashreplace"))  # half characters of odd file names
    except OSError as error:
        reason = "the disk is full" if error.errno in FULL else f"cannot be written ({error.strerror})"
        raise OutputError(f"{path}: {reason}; nothing was changed") from error


def _replace(path: Path, data: bytes) -> None:
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(path.stat().st_mode & 0o777 if path.exists() else 0o666 & ~umask())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def umask() -> int:
    """Return the permissions that this process takes from new files.

    It can only be read by setting it: two threads at it at once would leave what the first one set.
    """
    with _asking:
        mask = os.umask(0o077)  # what others make at this moment is private, not open to all
        os.umask(mask)
    return mask


_asking = threading.Lock()
os.register_at_fork(before=_asking.acquire, after_in_parent=_asking.release, after_in_child=_asking.release)
