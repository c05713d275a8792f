"""Where models run: which device and dtype, and how time is taken there."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

from prensa.errors import DeviceError, SettingError, first_line
from prensa.runtime.turns import timed

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}

# Seconds of work until an accelerator runs at its full clock.
_WARM = 1.0


def choose_device(wanted: str | None) -> str:
    """Return the device that is wanted; if None a CUDA device, or the processor if there is none.

    Raises :class:`DeviceError` where PyTorch does not have it here, or not in a forked process.
    """
    if wanted is None:
        return _best_device()
    try:
        device = torch.device(wanted)
        # A name says nothing about the machine: only what is computed there shows that it is available.
        torch.zeros(1, device=device).tolist()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = first_line(error)
        raise DeviceError(f"`device={wanted}`: not available on this machine ({reason})") from error
    if device.type == "cpu":
        return "cpu"
    return str(device)


def _best_device() -> str:
    if not torch.cuda.is_available():
        return "cpu"
    # PyTorch's own loaders look at the same flag.
    if torch.cuda._is_in_bad_fork():  # noqa: SLF001
        raise DeviceError(
            "this process was forked from one that had used CUDA, which does not work here; start it "
            "with multiprocessing's spawn method, or use `device=cpu`"
        )
    return "cuda"


def choose_dtype(wanted: str | None, device: str) -> torch.dtype | str:
    """Return the dtype that weights are computed in.

    The default is float32 on a processor, where half precision is several times slower or not available, and
    elsewhere ``"auto"``: what each model's ``config.json`` names. Raises :class:`SettingError`.
    """
    if wanted is None:
        return torch.float32 if device == "cpu" else "auto"
    if wanted == "auto":
        return wanted
    if wanted not in DTYPES:
        expected = ", ".join(DTYPES)
        raise SettingError(f"`dtype={wanted}`: expected auto, {expected}")
    return DTYPES[wanted]


def timer(device: str) -> Callable[[Callable[[], object]], float]:
    """Return a function that runs another and returns the seconds it took on ``device``."""
    return _time_cuda if device.startswith("cuda") else timed


def warm_up(device: str, work: Callable[[], object]) -> None:
    """Do some work twice, and on an accelerator until its clock is up."""
    start = time.perf_counter()
    work()
    work()
    while device != "cpu" and time.perf_counter() - start < _WARM:
        work()
        synchronize(device)


def synchronize(device: str) -> None:
    """Wait until all work on an accelerator is done."""
    if device != "cpu":
        torch.accelerator.synchronize(device)


def _time_cuda(work: Callable[[], object]) -> float:
    # Not typed in all versions of PyTorch.
    event: Callable[..., torch.cuda.Event] = torch.cuda.Event
    start = event(enable_timing=True)
    stop = event(enable_timing=True)
    # Events lie in the queue of the device, so that waiting for the processor is not measured.
    torch.cuda.synchronize()
    start.record()
    work()
    stop.record()
    torch.cuda.synchronize()
    milliseconds = float(start.elapsed_time(stop))
    return milliseconds / 1e3
