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
from typing import Any, Generic, TypeVar

T = TypeVar("T")

_were_opened = False
_all: weakref.WeakSet[Opened[Any]] = weakref.WeakSet()


class Opened(Generic[T]):
    """Holds what a function opens; in a forked child it is opened again when it is needed."""

    def __init__(self, opening: Callable[[], T]) -> None:
        """Open it."""
        global _were_opened  # noqa: PLW0603
        _were_opened = True
        self._opening = opening
        self._lock = threading.Lock()
        self._value: T | None = opening()
        _all.add(self)

    def get(self) -> T:
        """Return what is open. Raises what opening raises."""
        value = self._value
        if value is None:
            with self._lock:
                value = self._value = self._opening() if self._value is None else self._value
        return value

    def _leave(self) -> None:
        """Forget what the parent had opened, without closing it."""
        if self._value is not None:
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._value))
        self._lock, self._value = threading.Lock(), None


def _leave_all() -> None:
    if not _were_opened:
        return
    for each in list(_all):
        each._leave()  # noqa: SLF001
    library = ctypes.CDLL(None)
    if hasattr(library, "on_exit"):  # glibc; what is registered last is called first, with the exit status
        library.on_exit(library._exit, None)  # noqa: SLF001


os.register_at_fork(after_in_child=_leave_all)
