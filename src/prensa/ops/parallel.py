"""Work on blocks of a tensor, on all cores.

Several operations in a row on a block that fits a core's second-level cache cost one trip to memory
instead of one each, and temporaries are as small as the block, however large the tensor. A block is worked
on by one thread: that scales where PyTorch and NumPy by themselves would use one core or wait for memory.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import TypeVar

import torch

_ELEMENTS = 1 << 19
"""Elements of one block: 2 MiB in float32."""

BY_COLUMNS = 1 << 22
"""Elements of a block that is gone through column by column. That is a loop in Python, for which one core
waits for the other: fewer rounds of it count for more than the cache (`docs/LOG.md`, 2026-11-28)."""

_NAME = "prensa-worker"


@dataclass
class _Share:
    """How many cores this process may use; None for all that the system gives it."""

    cores: int | None = None


_SHARE = _Share()

T = TypeVar("T")
R = TypeVar("R")


def row_blocks(rows: int, columns: int = 1, elements: int = _ELEMENTS) -> list[slice]:
    """Split rows into slices of about so many ``elements`` each, at least one row; at least one slice."""
    step = max(1, elements // max(1, columns))
    blocks = []
    for start in range(0, max(1, rows), step):
        stop = min(start + step, rows)
        blocks.append(slice(start, stop))
    return blocks


def map_parallel(function: Callable[[T], R], items: Sequence[T]) -> list[R]:
    """Call ``function`` on each item, on all cores; results are in order.

    If this runs on one of those cores already, as part of something larger, the items are done there, one by
    one.
    """
    # A worker that waited for work in its own pool could wait for ever, once all workers do.
    is_worker = threading.current_thread().name.startswith(_NAME)
    if len(items) <= 1 or is_worker:
        return [function(item) for item in items]
    return list(_pool().map(function, items))


def take_threads(count: int) -> None:
    """Compute with so many threads from now on, PyTorch's own included: the other cores are others'."""
    torch.set_num_threads(count)
    if _SHARE.cores != count:
        _SHARE.cores = count
        _pool.cache_clear()


def submit(function: Callable[[], R]) -> Future[R]:
    """Start ``function`` on another core."""
    return _pool().submit(function)


@cache
def _pool() -> ThreadPoolExecutor:
    """Start the threads. Each works alone; the rest of the process keeps its number of threads."""
    cores = _number_of_cores()
    before = torch.get_num_threads()
    pool = ThreadPoolExecutor(cores, _NAME, initializer=_work_alone)
    # The pool starts a thread only if none is idle. Tasks that wait for each other make it start all of them
    # here, before the number of threads is set back.
    everyone = threading.Barrier(cores)
    starting = [pool.submit(everyone.wait) for _ in range(cores)]
    for task in starting:
        task.result()
    # What a thread sets for itself is also the default for threads to come: that must not stay 1.
    torch.set_num_threads(before)
    return pool


def _number_of_cores() -> int:
    """Count the cores that this process may use, which in a container may be fewer than there are."""
    if _SHARE.cores is not None:
        return _SHARE.cores
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0)) or 1
    return os.cpu_count() or 1


def _work_alone() -> None:
    # The first call sets PyTorch up in this thread, which would undo a number that is set before it.
    torch.get_num_threads()
    torch.set_num_threads(1)


# Threads do not survive a fork: a child must start its own.
os.register_at_fork(after_in_child=_pool.cache_clear)
