"""What the Trainer of ``transformers`` and ``accelerate`` change for a whole process, put back afterwards."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from accelerate.state import AcceleratorState, GradientState, PartialState
from transformers.utils import logging

from prensa.sharing import WITHOUT_WARNINGS

# Each keeps one state for all its objects.
_SHARED = (PartialState, AcceleratorState, GradientState)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Give random numbers, what is logged, the environment and a caller's own Accelerator back at the end."""
    verbosity = logging.get_verbosity()
    environment = _environment()
    drawn = random.getstate()
    drawn_by_numpy = np.random.get_state()  # noqa: NPY002  the Trainer seeds it
    states = [dict(each._shared_state) for each in _SHARED]  # noqa: SLF001
    try:
        # Without devices named, those of all GPUs are kept.
        with torch.random.fork_rng(), WITHOUT_WARNINGS:
            yield
    finally:
        for each, state in zip(_SHARED, states, strict=True):
            # The same dictionary, which objects of the caller's hold as well.
            each._shared_state.clear()  # noqa: SLF001
            each._shared_state.update(state)  # noqa: SLF001
        np.random.set_state(drawn_by_numpy)  # noqa: NPY002
        random.setstate(drawn)
        for name in _environment().keys() - environment.keys():
            del os.environ[name]
        os.environ.update(environment)
        logging.set_verbosity(verbosity)


def _environment() -> dict[str, str]:
    """Return the variables by which the two libraries talk to each other."""
    found: dict[str, str] = {}
    for name, value in os.environ.items():
        if name.startswith(("ACCELERATE_", "FSDP_")):
            found[name] = value
    return found
