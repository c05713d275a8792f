"""Replace a directory as a whole: whoever looks sees the old one or the new one, never a part.

The new directory grows beside the old one under a hidden name, is synced, and then takes its place
by one atomic exchange (``renameat2`` on Linux, ``renamex_np`` on macOS). Where the file system
cannot exchange, two renames are used; should the machine stop between them, the next run
finishes the first half backwards.

A hidden directory is locked as long as its maker lives, so that a later run to the same output can tell
what an interrupted one left behind from what another one is writing now. Between making and locking it
another run may take it for a leftover; then its maker makes another one. Directories of other outputs are
never touched.
"""

from __future__ import annotations

import ctypes
import errno
import glob
import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from prensa.errors import OutputError
from prensa.files.atomic import umask
from prensa.files.lock import locked
from prensa.files.temporary import is_full, which_is_full

_UNFINISHED = ".prensa-unfinished-"
_REPLACED = ".prensa-replaced"
# What locking a new directory raises if another run takes it for a leftover.
_TAKEN_AWAY = {errno.ENOENT, errno.EWOULDBLOCK, errno.EAGAIN}
_NOT_EMPTY = {errno.ENOTEMPTY, errno.EEXIST}


@contextmanager
def replacing(output: Path, *, force: bool = True) -> Iterator[Path]:
    """Yield a new empty directory that takes the place of ``output`` when the block ends well.

    If the block raises, the new directory is removed and ``output`` stays as it was. Raises
    :class:`OutputError` if the directory cannot be made, and without ``force`` if another run has written
    ``output`` meanwhile.
    """
    with hidden_beside(output) as new:
        try:
            yield new
            _set_modes(new, output)
            _sync(new)
            _put_in_place(new, output, force=force)
        except OSError as error:
            if is_full(error):
                raise
            raise OutputError(f"{output}: cannot be written ({error}); nothing was changed") from error


@contextmanager
def hidden_beside(output: Path) -> Iterator[Path]:
    """Yield a new empty directory, hidden beside ``output``, that is removed when the block ends.

    Should the process be killed, the next one to write beside it removes it. Raises :class:`OutputError` if
    it cannot be made, or if the block fails because a disk is full, whichever library wrote there.
    """
    clean_up(output)
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        new, lock = _make_locked(output)
    except OSError as error:
        raise OutputError(f"{output}: cannot be written ({error.strerror})") from error
    try:
        yield new
    except Exception as error:
        # What a library reported may be inside of our own error.
        cause = error.__cause__ or error
        if not isinstance(error, OutputError) and is_full(cause):
            raise OutputError(which_is_full(cause, output)) from error
        raise
    finally:
        shutil.rmtree(new, ignore_errors=True)
        if lock is not None:
            os.close(lock)


def _make_locked(output: Path) -> tuple[Path, int | None]:
    """Make a hidden directory and lock it; where the file system has no locks, without one."""
    while True:
        new = Path(tempfile.mkdtemp(prefix=f".{output.name}{_UNFINISHED}", dir=output.parent))
        try:
            lock = locked(new)
        except OSError as error:
            if error.errno not in _TAKEN_AWAY:
                return new, None
            continue
        # A directory that was removed before it was locked can still be locked: it has a handle, and no name.
        if new.is_dir():
            return new, lock
        os.close(lock)


def clean_up(output: Path) -> None:
    """Remove what interrupted runs left beside ``output``, and bring back what they moved away."""
    replaced = _replaced(output)
    if replaced.is_dir() and not output.exists():
        # Another run may be faster.
        with suppress(FileNotFoundError):
            replaced.rename(output)
    if not output.parent.is_dir():
        return
    unfinished = output.parent.glob(f".{glob.escape(output.name)}{_UNFINISHED}*")
    for leftover in [*unfinished, replaced]:
        try:
            lock = locked(leftover)
        except OSError:
            # Another run is writing it, it is gone already, or it is not ours to open.
            continue
        shutil.rmtree(leftover, ignore_errors=True)
        os.close(lock)


def _put_in_place(new: Path, output: Path, *, force: bool) -> None:
    if not _is_new_name(new, output):
        _replace(new, output, force=force)
    # The names are in the folder above: without this a power cut could leave the old one.
    _sync_directory(output.parent)


def _replace(new: Path, output: Path, *, force: bool) -> None:
    if not force and any(output.iterdir()):
        raise OutputError(
            f"{output}: another run has written it meanwhile; nothing was changed, give `force` to "
            "replace it or choose another place"
        )
    if _exchange(new, output):
        return
    # Two steps, between which nothing has the name: should the machine stop there, clean_up goes back.
    replaced = _replaced(output)
    output.rename(replaced)
    new.rename(output)
    shutil.rmtree(replaced, ignore_errors=True)


def _is_new_name(new: Path, output: Path) -> bool:
    """Rename to a name that nothing has; false where something has it, perhaps since a moment ago."""
    if output.exists():
        return False
    try:
        new.rename(output)
    except OSError as error:
        if error.errno not in _NOT_EMPTY:
            raise
        return False
    return True


def _exchange(first: Path, second: Path) -> bool:
    """Exchange two directories in one step; false where this system or file system cannot."""
    # Python has no call for it; the C library has one on each system, under different names.
    library = ctypes.CDLL(None, use_errno=True)
    names = os.fsencode(first), os.fsencode(second)
    if sys.platform == "linux" and hasattr(library, "renameat2"):
        at_cwd, rename_exchange = -100, 2
        failed = library.renameat2(at_cwd, names[0], at_cwd, names[1], rename_exchange)
    elif sys.platform == "darwin" and hasattr(library, "renamex_np"):
        rename_swap = 2
        failed = library.renamex_np(*names, rename_swap)
    else:
        return False
    return not failed


def _replaced(output: Path) -> Path:
    return output.parent / f".{output.name}{_REPLACED}"


def _sync(directory: Path) -> None:
    for folder, _, files in os.walk(directory):
        for file in files:
            handle = os.open(Path(folder) / file, os.O_RDONLY)
            os.fsync(handle)
            os.close(handle)
        _sync_directory(Path(folder))


def _sync_directory(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY)
    os.fsync(handle)
    os.close(handle)


def _set_modes(new: Path, output: Path) -> None:
    """Give the directory and its files the permissions of those they replace, or the usual ones."""
    mode = 0o777 & ~umask()
    if output.exists():
        mode = stat.S_IMODE(output.stat().st_mode)
    new.chmod(mode)
    for path in new.iterdir():
        replaced = output / path.name
        if path.is_file() and not path.is_symlink() and replaced.is_file():
            path.chmod(stat.S_IMODE(replaced.stat().st_mode))
