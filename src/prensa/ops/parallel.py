"""Work on pieces of a tensor, on all cores.

Several operations in a row on a piece that fits a core's second-level cache cost one trip to memory
instead of one each, and temporaries are as small as the piece, however large the tensor. A piece is worked
on by one thread: that scales where PyTorch and NumPy by themselves would use one core or wait for memory.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from typing import TypeVar

import torch

_ELEMENTS = 1 << 19  # float32 elements of one piece: 2 MiB

_NAME = "prensa-worker"

T = TypeVar("T")
R = TypeVar("R")


def pieces(rows: int, columns: int = 1) -> list[slice]:
    """Cut rows into slices of about 2¹⁹ elements each, at least one row; at least one slice."""
    step = max(1, _ELEMENTS // max(1, columns))
    return [slice(start, min(start + step, rows)) for start in range(0, max(1, rows), step)]


def map_parallel(function: Callable[[T], R], items: Sequence[T]) -> list[R]:
    """Call ``function`` on each item, on all cores; results are in order.

    Where one of those cores is already at work on something larger, the items are done there, one by one.
    """
    if len(items) < 2 or threading.current_thread().name.startswith(_NAME):  # noqa: PLR2004
        return [function(item) for item in items]
    return list(_pool().map(function, items))


def submit(function: Callable[[], R]) -> Future[R]:
    """Start ``function`` on another core."""
    return _pool().submit(function)


@cache
def _pool() -> ThreadPoolExecutor:
    """Start the threads. Each works alone; the rest of the process keeps its number of threads."""
    cores = (len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()) or 1
    before = torch.get_num_threads()
    pool = ThreadPoolExecutor(cores, _NAME, initializer=_work_alone)
    everyone = threading.Barrier(cores)
    for started in [pool.submit(everyone.wait) for _ in range(cores)]:
        started.result()
    torch.set_num_threads(before)  # set_num_threads in a thread is also the default for threads to come
    return pool


def _work_alone() -> None:
    torch.get_num_threads()  # sets the thread up first, which would undo what comes now
    torch.set_num_threads(1)


os.register_at_fork(after_in_child=_pool.cache_clear)  # threads do not survive a fork
