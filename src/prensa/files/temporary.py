"""Directories for what is needed for a while, in the system's place for them: ``TMPDIR``, else ``/tmp``.

A full or unwritable ``TMPDIR`` is neither the user's output nor the model, so an error there names the
directory and the variable.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from prensa.errors import OutputError, first_line
from prensa.files.atomic import FULL

# Named in messages if none can be found; nothing is written there.
_USUAL = "/tmp"  # noqa: S108
# As libraries that write files themselves report it.
_FULL_IN_WORDS = "No space left on device"


@contextmanager
def temporary_directory() -> Iterator[Path]:
    """Yield a new directory that is removed when the block ends.

    Raises :class:`OutputError` if it cannot be made, or if the block fails because its disk is full.
    """
    directory = _make()
    try:
        with _naming_a_full_disk():
            yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def directory_until_exit() -> Iterator[Path]:
    """Yield a new directory to fill; it is removed when this process ends, or if the block fails.

    Raises :class:`OutputError` as :func:`temporary_directory` does.
    """
    directory = _make()
    try:
        with _naming_a_full_disk():
            yield directory
    except BaseException:
        shutil.rmtree(directory, ignore_errors=True)
        raise
    atexit.register(remove_as, os.getpid(), directory)


@contextmanager
def _naming_a_full_disk() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        if is_full(error.__cause__ or error):
            raise OutputError(_full()) from error
        raise


def is_full(error: BaseException) -> bool:
    """Whether an error says that a disk is full, whichever library raised it."""
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno in FULL
    return _FULL_IN_WORDS in str(error)


def which_is_full(error: BaseException, output: Path) -> str:
    """Report whether the disk of ``output`` is full, or that of temporary files.

    Libraries write temporary files, too. An error that names no file is put down to the disk with less room.
    """
    place = _place()
    # An output below /tmp is the user's all the same.
    if place is not None and not output.is_relative_to(place) and _is_about(error, place, output):
        return _full()
    return f"{output}: the disk is full; nothing was changed, free some space and run again"


def _is_about(error: BaseException, place: Path, output: Path) -> bool:
    """Whether an error is about temporary files in ``place``, and not about ``output``."""
    name = getattr(error, "filename", None)
    if name is None:
        return _has_less_room(place, output.parent)
    file = Path(os.fsdecode(name)).absolute()
    return file.is_relative_to(place)


def _has_less_room(place: Path, other: Path) -> bool:
    with suppress(OSError):
        if place.stat().st_dev == other.stat().st_dev:
            return False
        room = shutil.disk_usage(place).free
        return room < shutil.disk_usage(other).free
    return False


def _make() -> Path:
    try:
        return Path(tempfile.mkdtemp(prefix="prensa-"))
    except OSError as error:
        if error.errno in FULL:
            raise OutputError(_full()) from error
        wanted = os.environ.get("TMPDIR") or tempfile.tempdir or _USUAL
        reason = error.strerror or first_line(error)
        raise OutputError(
            f"{wanted}: no temporary directory can be made there ({reason}); set TMPDIR to a directory that "
            "can be written"
        ) from error


def _place() -> Path | None:
    try:
        return Path(tempfile.gettempdir()).absolute()
    except OSError:
        # There is no directory that could be written.
        return None


def _full() -> str:
    return (
        f"{_place() or _USUAL}: the disk of temporary files is full; nothing was changed, free some space "
        "there or set TMPDIR to another directory"
    )


def remove_as(owner: int, directory: Path) -> None:
    """Remove a directory at the end of the process that made it, which is ``owner``."""
    # A forked child, which runs this as well, leaves what its parent still reads.
    if os.getpid() == owner:
        shutil.rmtree(directory, ignore_errors=True)
