import ctypes
import gc
import platform
import weakref
from pathlib import Path

import numpy as np
import pytest
from torch import nn

from prensa.runtime.release import release_memory

BLOCK = 100_000  # bytes; glibc keeps such blocks when they are freed
BLOCKS = 2000


def resident():
    """Bytes of this process that are in memory."""
    [line] = [each for each in Path("/proc/self/status").read_text().splitlines() if each.startswith("VmRSS")]
    return int(line.split()[1]) * 1024


def test_what_only_refers_to_itself_goes():
    gc.disable()
    try:
        model = nn.Linear(2, 2)
        # As a layer that is played back does.
        model.forward = model.extra_repr
        seen = weakref.ref(model)
        del model
        assert seen() is not None
        release_memory()
        assert seen() is None
    finally:
        gc.enable()


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries keep less")
def test_blocks_between_others_are_given_back():
    blocks = [np.ones(BLOCK, dtype=np.uint8) for _ in range(BLOCKS)]
    before = resident()
    # Those that stay keep the heap from shrinking at its end.
    stay = blocks[::50]
    del blocks
    release_memory()
    assert before - resident() > BLOCK * BLOCKS / 2
    assert all(block.all() for block in stay)


def test_other_c_libraries_are_no_error(monkeypatch):
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())
    release_memory()
