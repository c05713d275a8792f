"""Where compiled models are kept between processes, and where they go if nothing can be kept."""

from __future__ import annotations

import atexit
import logging
import os
import tempfile
from functools import cache
from pathlib import Path

from prensa.errors import OutputError
from prensa.files.temporary import remove_as

_log = logging.getLogger(__name__)
_warned: set[str] = set()


def cache_directory() -> Path | None:
    """Return ``$PRENSA_CACHE``, or ``prensa`` in the user's cache directory; None if it cannot be written.

    The reason is logged once.
    """
    try:
        place = _wanted()
        place.mkdir(parents=True, exist_ok=True)
        if os.access(place, os.W_OK | os.X_OK):
            return place
        reason = f"{place}: no permission to write"
    except (OSError, RuntimeError) as error:
        # The second where no home directory is known.
        reason = str(error)
    if reason not in _warned:
        _warned.add(reason)
        _log.warning(
            "no cache (%s): models are compiled again in every process; set PRENSA_CACHE to a directory that "
            "can be written",
            reason,
        )
    return None


def exports_directory() -> Path:
    """Return where exports on the spot go: the cache, or a directory that goes when this process ends.

    Raises :class:`OutputError` where there is neither.
    """
    place = cache_directory()
    if place is None:
        place = _temporary()
    return place / "exports"


def _wanted() -> Path:
    own = os.environ.get("PRENSA_CACHE")
    if own:
        return Path(own).expanduser().absolute()
    usual = Path(os.environ.get("XDG_CACHE_HOME") or "")
    # A relative one does not count, says the specification of XDG.
    if not usual.is_absolute():
        usual = Path.home() / ".cache"
    return usual / "prensa"


@cache
def _temporary() -> Path:
    """Make a directory that no one else can write: what is in it will be loaded."""
    try:
        place = Path(tempfile.mkdtemp(prefix="prensa-cache-"))
    except OSError as error:
        raise OutputError(
            f"no directory for exports can be written ({error}); set PRENSA_CACHE to one"
        ) from error
    atexit.register(remove_as, os.getpid(), place)
    return place
