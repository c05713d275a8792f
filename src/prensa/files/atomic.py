"""Write a file so that whoever looks sees the old one or the new one, never a part."""

from __future__ import annotations

import errno
import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from prensa.errors import OutputError

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
"""What systems answer if there is no room left."""


def at_home(path: str | Path) -> Path:
    """Read ``~`` as the home directory, as shells do, so that a path means the same wherever it is given.

    Raises :class:`OutputError` if there is no such user.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise OutputError(f"{path}: {error}") from error


def write_text(path: Path, text: str) -> None:
    """Put ``text`` in ``path`` in one step. Raises :class:`OutputError` with ``path`` as it was."""
    # File names that are no UTF-8 have halves of characters in Python, which cannot be encoded.
    data = text.encode("utf-8", "backslashreplace")
    try:
        with replacing_file(path) as file:
            file.write(data)
    except OSError as error:
        reason = f"cannot be written ({error.strerror})"
        if error.errno in FULL:
            reason = "the disk is full"
        raise OutputError(f"{path}: {reason}; nothing was changed") from error


@contextmanager
def replacing_file(path: Path) -> Iterator[BinaryIO]:
    """Yield a file that takes the name ``path`` in one step when the block ends well.

    If the block raises, ``path`` stays as it was. Raises what opening, writing and renaming raise.
    """
    # Beside it, since only within one disk a file takes another's name in one step.
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    new = Path(name)
    # A temporary file is its maker's alone; the new one is to be read by whoever read the old one.
    mode = 0o666 & ~umask()
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            # Before the name changes: after a power cut a file of the new name must have its content.
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            mode = path.stat().st_mode & 0o777
        new.chmod(mode)
        new.replace(path)
    except BaseException:
        new.unlink(missing_ok=True)
        raise


def sync(file: Path) -> None:
    """Have the disk hold what a file holds, and not only the system's memory."""
    handle = os.open(file, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def umask() -> int:
    """Return the permissions that this process takes from new files.

    It can only be read by setting it: two threads at it at once would leave what the first one set.
    """
    with _asking:
        # What others make at this moment is private, not open to all.
        mask = os.umask(0o077)
        os.umask(mask)
    return mask


# Held over a fork, too: a child that is made while another thread has the lock would wait for it for ever.
_asking = threading.Lock()
os.register_at_fork(before=_asking.acquire, after_in_parent=_asking.release, after_in_child=_asking.release)
