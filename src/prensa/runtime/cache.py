"""Where compiled models are kept between processes."""

from __future__ import annotations

import os
from pathlib import Path


def cache_directory() -> Path:
    """Return ``$PRENSA_CACHE``, or ``prensa`` in the user's cache directory."""
    own = os.environ.get("PRENSA_CACHE")
    return Path(own) if own else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "prensa"
