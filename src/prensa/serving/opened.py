"""What a runtime has opened for this process. A forked child opens its own: threads do not live on there.

What the parent had opened is left as it is there, and never closed: that would wait for those threads.
For the same reason such a child ends without the exit handlers that the runtimes' libraries have registered.
"""

from __future__ import annotations

import ctypes
import os
import threading
import weakref
from collections.abc import Callable
from typing import Generic, TypeVar

T_co = TypeVar("T_co", covariant=True)

_all: weakref.WeakSet[Opened[object]] = weakref.WeakSet()

# Whether anything was ever opened: what is gone by now has left its exit handlers all the same.
_were_opened = False


class Opened(Generic[T_co]):
    """Holds what a function opens; in a forked child it is opened again when it is needed."""

    def __init__(self, opening: Callable[[], T_co]) -> None:
        """Open it."""
        global _were_opened  # noqa: PLW0603
        _were_opened = True
        self._opening = opening
        self._lock = threading.Lock()
        self._value: T_co | None = opening()
        _all.add(self)

    def get(self) -> T_co:
        """Return what is open. Raises what opening raises."""
        # Without the lock where it is open, as it nearly always is.
        value = self._value
        if value is not None:
            return value
        with self._lock:
            # Another thread may have opened it meanwhile.
            if self._value is None:
                self._value = self._opening()
            return self._value

    def leave(self) -> None:
        """Forget what the parent had opened, without closing it."""
        if self._value is not None:
            # One reference that is never given back, so that it is never closed.
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._value))
        # A thread of the parent may have held the lock.
        self._lock = threading.Lock()
        self._value = None


def _leave_all() -> None:
    if not _were_opened:
        return
    for opened in list(_all):
        opened.leave()
    # Of glibc. What is registered last is called first, with the exit status: then nothing else is called.
    library = ctypes.CDLL(None)
    if hasattr(library, "on_exit"):
        library.on_exit(library["_exit"], None)


os.register_at_fork(after_in_child=_leave_all)
