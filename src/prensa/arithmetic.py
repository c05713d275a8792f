"""NumPy as in a new process, whatever the program around Prensa has set for errors of floating point."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, TypedDict

import numpy as np

_Action = Literal["ignore", "warn", "raise", "call", "print", "log"]


class _Errors(TypedDict):
    """What NumPy does about each kind of error of floating point."""

    divide: _Action
    over: _Action
    under: _Action
    invalid: _Action


_USUAL: _Errors = {"divide": "warn", "over": "warn", "under": "ignore", "invalid": "warn"}


@contextmanager
def usual_arithmetic() -> Iterator[None]:
    """Have NumPy so in this thread while the context lasts; also a decorator."""
    if np.geterr() == _USUAL:
        yield
        return
    with np.errstate(**_USUAL):
        yield
