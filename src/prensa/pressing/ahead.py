"""Press tensors in order, some ahead of their turn: one is written while others are pressed."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from functools import partial
from typing import TypeVar

from prensa.ops.parallel import submit
from prensa.pressing.tensors import TensorPlan

BYTES_AHEAD = 1 << 27
"""Bytes of tensors that are pressed while an earlier one is written."""

# Elements of a tensor that one core presses alone, beside others. A larger one is pressed on all cores at
# once.
_SMALL = 1 << 24

R = TypeVar("R")


def in_order(
    tensors: Iterable[TensorPlan], press: Callable[[TensorPlan], R]
) -> Iterator[tuple[TensorPlan, R]]:
    """Yield each tensor with what ``press`` makes of it, in order."""
    # A large tensor has no future: it is pressed when its turn comes, in this thread, which the blocks of a
    # tensor may wait for each other in.
    ahead: deque[tuple[TensorPlan, Future[R] | None]] = deque()
    waiting = 0
    try:
        for tensor in tensors:
            future = None
            if tensor.spec.numel <= _SMALL:
                future = submit(partial(press, tensor))
            ahead.append((tensor, future))
            waiting += tensor.spec.nbytes
            # The first in the queue is the one whose turn it is; those behind it count as ahead.
            while waiting - ahead[0][0].spec.nbytes > BYTES_AHEAD:
                first, future = ahead.popleft()
                waiting -= first.spec.nbytes
                yield first, _result(first, future, press)
        while ahead:
            first, future = ahead.popleft()
            yield first, _result(first, future, press)
    finally:
        # After an error the rest is not needed: what has not begun never does.
        for _, future in ahead:
            if future is not None:
                future.cancel()


def _result(tensor: TensorPlan, future: Future[R] | None, press: Callable[[TensorPlan], R]) -> R:
    if future is None:
        return press(tensor)
    return future.result()
