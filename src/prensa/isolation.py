"""Prensa inside another program: its functions depend on no state of PyTorch that the caller has set.

:func:`as_usual` stands before every public function: inside it PyTorch is as it is in a new process, and
afterwards as the caller had it, also after an error. What PyTorch keeps for each thread (gradients, autocast,
default device) is changed in the caller's thread only. What it keeps for the whole process (default dtype,
precision of float32 products) is changed by the first function that runs and given back by the last one, so
that functions may overlap. A call that only answers leaves that alone (:func:`as_usual_in_thread`): it
depends on neither, and other threads may be loading models meanwhile.

The number of threads is the caller's: results do not depend on it.

A forked child has none of its parent's threads. OpenMP does not know that, and PyTorch would wait for them
for ever. So the forking thread lets go of its OpenMP threads before each fork; both processes start new ones
when they need them. Where OpenMP cannot be asked to, the child works with one thread.
"""

from __future__ import annotations

import ctypes
import os
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import Literal, Protocol, TypedDict

import numpy as np
import torch

_NumpyAction = Literal["ignore", "warn", "raise", "call", "print", "log"]


class _NumpyErrors(TypedDict):
    """What NumPy does about each kind of error of floating point."""

    divide: _NumpyAction
    over: _NumpyAction
    under: _NumpyAction
    invalid: _NumpyAction


class _Precision(Protocol):
    """A place where PyTorch keeps how exact products of float32 are."""

    fp32_precision: str


_AUTOCAST = ("cpu", "cuda", "xpu", "mps")
_NUMPY: _NumpyErrors = {"divide": "warn", "over": "warn", "under": "ignore", "invalid": "warn"}
# omp_pause_soft: ends the threads and keeps the settings.
_SOFT = 1


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
def as_usual() -> Iterator[None]:
    """Have PyTorch and NumPy as in a new process while the context lasts; also a decorator."""
    with as_usual_in_thread(), _PROCESS:
        yield


@contextmanager
def as_usual_in_thread() -> Iterator[None]:
    """Have them so in this thread, and leave what belongs to the whole process."""
    with ExitStack() as stack:
        # What is made in inference mode cannot be trained later.
        if torch.is_inference_mode_enabled():
            stack.enter_context(torch.inference_mode(mode=False))
        if not torch.is_grad_enabled():
            stack.enter_context(torch.enable_grad())
        for device in _AUTOCAST:
            if torch.is_autocast_enabled(device):
                stack.enter_context(torch.autocast(device, enabled=False))
        if torch.get_default_device().type != "cpu":
            stack.enter_context(torch.device("cpu"))
        if np.geterr() != _NUMPY:
            stack.enter_context(np.errstate(**_NUMPY))
        yield


@contextmanager
def _in_float32() -> Iterator[None]:
    dtype = torch.get_default_dtype()
    precisions = _precisions()
    try:
        torch.set_default_dtype(torch.float32)
        for place in precisions:
            place.fp32_precision = "ieee"
        yield
    finally:
        torch.set_default_dtype(dtype)
        for place, value in precisions.items():
            place.fp32_precision = value


def _precisions() -> dict[_Precision, str]:
    """Return where products of float32 are set to be less exact than float32, and to what.

    PyTorch before 2.9 has no such places; there :func:`torch.set_float32_matmul_precision` is the caller's.
    """
    places = (torch.backends.mkldnn.matmul, torch.backends.cuda.matmul)  # type: ignore[attr-defined]
    changed = {}
    for place in places:
        precision = getattr(place, "fp32_precision", "none")
        if precision not in {"none", "ieee"}:
            changed[place] = precision
    return changed


_PROCESS = Shared(_in_float32)


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


def _end_threads() -> None:
    """Let this thread's OpenMP threads go: a forked child would wait for them."""
    global _are_ended  # noqa: PLW0603
    # New in OpenMP 5.0, and only found if PyTorch has loaded a library that has it.
    pause = getattr(ctypes.CDLL(None), "omp_pause_resource_all", None)
    _are_ended = pause is not None and pause(_SOFT) == 0


def _go_on_in_child() -> None:
    global _building, _are_ended  # noqa: PLW0603
    # Another thread may have held the old one.
    _building = threading.RLock()
    if not _are_ended:
        torch.set_num_threads(1)
    _are_ended = False


_are_ended = False
os.register_at_fork(before=_end_threads, after_in_child=_go_on_in_child)
