"""How much of a distillation is over: a share of its time, or of its steps.

The learning rate follows that share, so a time limit is kept on a machine of any speed, also if its speed
changes. What is reached in a given time depends on the machine, though: the same bytes come out again only
of the same number of steps, and then no clock is read.
"""

from __future__ import annotations

import time

from torch import distributed

# The share in which the learning rate rises, from a tenth of itself.
_WARM = 0.03
_START = 0.1


class Pace:
    """The share that is over, from 0 to 1.

    ``spent`` are the seconds, those of an earlier process that this one goes on for included.
    """

    def __init__(self, seconds: float, steps: int | None, spent: float = 0.0, step: int = 0) -> None:
        self.seconds = seconds
        self.steps = steps
        self.spent = spent
        self._until = seconds
        self.share = 0.0
        self._before = spent
        self._start = time.perf_counter()
        self.read(step)

    def read(self, step: int) -> None:
        """Take the share anew, after so many steps."""
        # Several processes are to change their learning rates together, and to stop together.
        self.spent = agreed(self._before + time.perf_counter() - self._start)
        if self.steps is None:
            self.share = min(1.0, self.spent / self._until)
        else:
            self.share = min(1.0, step / self.steps)

    def keep_free(self, seconds: float) -> None:
        """Be over so much earlier, but not before half of the time is."""
        self._until = max(self.seconds / 2, self.seconds - agreed(seconds))

    @property
    def is_over(self) -> bool:
        """Whether there is nothing left."""
        return self.share >= 1.0

    def factor(self) -> float:
        """Return what the learning rate is multiplied by: up for a short while, then down to 0."""
        if self.share < _WARM:
            return _START + (1 - _START) * self.share / _WARM
        return (1 - self.share) / (1 - _WARM)

    def done(self) -> tuple[int, int]:
        """Return how much is done and of how much, for whoever watches: seconds or steps."""
        total = self.steps or max(1, round(self.seconds))
        return int(self.share * total), total


def agreed(value: float) -> float:
    """Return the first process's value in all processes that train together."""
    if not distributed.is_available() or not distributed.is_initialized():
        return value
    values = [value]
    distributed.broadcast_object_list(values)
    return values[0]
