"""What belongs to a whole process and is changed by several users of it at a time. Needs no PyTorch.

A forked child has none of its parent's threads: what one of those held is free there.
"""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext


class Shared(AbstractContextManager[None]):
    """A change of the whole process that overlapping users share.

    The first one in makes it, the last one out takes it back. Made and taken back by each of them, what the
    second one found would be what the first one had set, and would stay.
    """

    def __init__(self, change: Callable[[], AbstractContextManager[object]]) -> None:
        """Remember how the change is made."""
        self._change = change
        self._lock = threading.Lock()
        self._users = 0
        self._made: AbstractContextManager[object] = nullcontext()
        os.register_at_fork(after_in_child=self._start_again)

    def __enter__(self) -> None:
        with self._lock:
            if not self._users:
                self._made = self._change()
                self._made.__enter__()
            self._users += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._users = max(0, self._users - 1)
            if not self._users:
                made = self._made
                self._made = nullcontext()
                made.__exit__(None, None, None)

    def _start_again(self) -> None:
        """Take the change back in a forked child: its users are threads that do not live on."""
        made = self._made
        self._made = nullcontext()
        # The old lock may be held by a thread that the child does not have.
        self._lock = threading.Lock()
        self._users = 0
        made.__exit__(None, None, None)


@contextmanager
def _ignored() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


WITHOUT_WARNINGS = Shared(_ignored)
"""For ``with``: warnings of other libraries are not shown."""

_building = threading.RLock()


def building() -> AbstractContextManager[object]:
    """Return a lock that is held while ``transformers`` builds or loads a model, for ``with``.

    Meanwhile it changes PyTorch's default dtype and its initializers for the whole process, and two at a time
    leave them changed. What computes with the default dtype holds it, too: the positions of a DeBERTa.
    """
    return _building


def _go_on_in_child() -> None:
    global _building  # noqa: PLW0603
    # Another thread may have held the old one.
    _building = threading.RLock()


os.register_at_fork(after_in_child=_go_on_in_child)
