"""A lock on a directory that holds while its handle is open."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path


def locked(directory: Path) -> int:
    """Lock a directory, and return the handle that the lock belongs to.

    The system lets go of it when the process ends, however it ends. Raises :class:`BlockingIOError` where
    another process has it, and :class:`OSError` where there is no such directory or no locks.
    """
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        raise
    return handle
