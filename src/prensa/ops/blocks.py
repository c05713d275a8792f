"""Cut a tensor into pieces that stay in a core's second-level cache.

Several operations in a row on a piece cost one trip to memory instead of one trip each, and the
temporaries are as small as the piece, however large the tensor.
"""

from __future__ import annotations

from collections.abc import Iterator

_ELEMENTS = 1 << 18


def blocks(rows: int, columns: int = 1) -> Iterator[slice]:
    """Yield slices of ``rows`` that hold about 2¹⁸ elements each, at least one row."""
    step = max(1, _ELEMENTS // max(1, columns))
    for start in range(0, rows, step):
        yield slice(start, min(start + step, rows))
