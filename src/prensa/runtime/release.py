"""Memory that nothing needs any more, given back to the system."""

from __future__ import annotations

import ctypes
import gc
import sys
from contextlib import suppress


def release_memory() -> None:
    """Free what only cycles hold, and have the C library give back what it keeps for later.

    Models refer to themselves (hooks, methods that were replaced), so that a dropped one stays until the
    collector runs, which counts objects and not bytes. And glibc keeps freed blocks of up to 32 MB, as large
    as most tensors here: between two stages of a job that may be more than the model itself. Takes
    some tenths of a second. Where there is no glibc it only collects.
    """
    gc.collect()
    if sys.platform == "linux":
        # musl has no such function.
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).malloc_trim(0)
