"""The weights of a model recognized in a runtime's graph by their numbers.

Exporters rename weights, turn them, and copy those that two layers share; their numbers stay the same.
"""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

FLOAT = 32
"""The bits of a layer that went all the way back."""

_MATRIX = 2


def digest(weight: NDArray[np.float32]) -> str | None:
    """Return a digest of a weight ``[a, b]`` that its transpose ``[b, a]`` has as well.

    None for what is no matrix of float32; dimensions of one in front do not count.
    """
    if weight.dtype != np.float32 or weight.ndim < _MATRIX or np.prod(weight.shape[:-2]) != 1:
        return None
    matrix = weight.reshape(weight.shape[-2:])
    both = []
    for turned in (matrix, matrix.T):
        state = hashlib.sha256(repr(turned.shape).encode())
        state.update(np.ascontiguousarray(turned).data)
        both.append(state.hexdigest())
    return min(both)
