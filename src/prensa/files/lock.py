"""Locks of files and directories: the system lets go of them when a process ends, however it ends."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
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


@contextmanager
def waiting_for(file: Path) -> Iterator[None]:
    """Be the only process in the block that has this file locked, and wait until that is so.

    The file is made if there is none, and stays. Raises :class:`OSError` where it cannot be opened.
    """
    with file.open("ab") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
