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
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Protocol

import torch

from prensa.arithmetic import usual_arithmetic
from prensa.sharing import Shared


class _Precision(Protocol):
    """A place where PyTorch keeps how exact products of float32 are."""

    fp32_precision: str


_AUTOCAST = ("cpu", "cuda", "xpu", "mps")
# omp_pause_soft: ends the threads and keeps the settings.
_SOFT = 1


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
        stack.enter_context(usual_arithmetic())
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


def _end_threads() -> None:
    """Let this thread's OpenMP threads go: a forked child would wait for them."""
    global _are_ended  # noqa: PLW0603
    # New in OpenMP 5.0, and only found if PyTorch has loaded a library that has it.
    pause = getattr(ctypes.CDLL(None), "omp_pause_resource_all", None)
    _are_ended = pause is not None and pause(_SOFT) == 0


def _go_on_in_child() -> None:
    global _are_ended  # noqa: PLW0603
    if not _are_ended:
        torch.set_num_threads(1)
    _are_ended = False


_are_ended = False
os.register_at_fork(before=_end_threads, after_in_child=_go_on_in_child)
