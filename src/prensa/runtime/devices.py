"""Where models run: which device and dtype, and how time is taken there."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from prensa.checkpoint.roles import load_config
from prensa.errors import DeviceError, SettingError, first_line
from prensa.runtime.torch import is_eight_bit, load

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}

_WARM = 1.0  # seconds of work until an accelerator runs at its full clock


def choose_device(wanted: str | None) -> str:
    """Return the device asked for, or a CUDA device where there is one, or the processor.

    Raises :class:`DeviceError` where PyTorch does not have it here, or not in a forked process.
    """
    if wanted is None and torch.cuda.is_available():
        if torch.cuda._is_in_bad_fork():  # noqa: SLF001  as PyTorch's own loaders ask
            raise DeviceError(
                "this process was forked from one that had used CUDA, which does not work here; start it "
                "with multiprocessing's spawn method, or use `device=cpu`"
            )
        return "cuda"
    if wanted is None:
        return "cpu"
    try:
        device = torch.device(wanted)
        torch.zeros(1, device=device).tolist()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = first_line(error)
        raise DeviceError(f"`device={wanted}`: not available on this machine ({reason})") from error
    return "cpu" if device.type == "cpu" else str(device)


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
        raise SettingError(f"`dtype={wanted}`: expected auto, {', '.join(DTYPES)}")
    return DTYPES[wanted]


def load_on(path: Path, dtype: torch.dtype | str, device: str, pad_id: int) -> Any:
    """Load a model onto a device, ready to predict. 8-bit models load there: they cannot be moved.

    ``pad_id`` is what rows are filled up with: GPT-2 and its like look for it in their config.
    """
    where: dict[str, Any] = {}
    if is_eight_bit(load_config(path)):
        logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # it remarks on every layer of every batch
        where = {} if device == "cpu" else {"device_map": {"": device}}
    model = load(path, dtype=dtype, **where).eval()
    if getattr(model.config, "pad_token_id", None) is None:
        model.config.pad_token_id = pad_id
    return model if model.device.type == torch.device(device).type else model.to(device)


def timer(device: str) -> Callable[[Callable[[], object]], float]:
    """Return a function that runs another and returns the seconds it took on ``device``."""
    return _time_cuda if device.startswith("cuda") else _time_processor


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


def _time_processor(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _time_cuda(work: Callable[[], object]) -> float:
    event: Any = torch.cuda.Event  # not typed in all versions
    start, stop = (event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize()
    start.record()
    work()
    stop.record()
    torch.cuda.synchronize()
    return float(start.elapsed_time(stop)) / 1e3
