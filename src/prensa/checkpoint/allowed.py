"""What a user allowed beyond the usual rules, for the length of one job.

A model whose class or names do not fit is refused. These are the three exceptions. A config, a checkpoint
or a recipe can never set one of them: only the caller can. Every level below looks here instead of taking
three more parameters.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True)
class Allowed:
    """The exceptions, none of them by default.

    ``remote_code``: run the model's own Python code. ``new_head``: a head without weights gets random ones.
    ``unchecked``: compress a model whose class is not known here, without texts and without any check.
    """

    remote_code: bool = False
    new_head: bool = False
    unchecked: bool = False


_NOTHING = Allowed()
# A context variable, not a global: what one thread allows for its job, another one's job does not get.
_ALLOWED: ContextVar[Allowed] = ContextVar("allowed", default=_NOTHING)


def allowed() -> Allowed:
    """Return what is allowed right now; nothing unless :func:`allowing` says so."""
    return _ALLOWED.get()


@contextmanager
def allowing(*, remote_code: bool = False, new_head: bool = False, unchecked: bool = False) -> Iterator[None]:
    """Allow these exceptions while the block runs."""
    token = _ALLOWED.set(Allowed(remote_code, new_head, unchecked))
    try:
        yield
    finally:
        _ALLOWED.reset(token)
