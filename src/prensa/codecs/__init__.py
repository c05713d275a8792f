"""Lossless ways to store a tensor. ``decode(encode(x)) == x``, bit for bit.

A new codec is one file beside this one and one line in the table. Recipes and packed files name
codecs; a name is looked up here and nowhere else.
"""

from __future__ import annotations

from prensa.codecs.base import Codec
from prensa.codecs.cells import Cells
from prensa.codecs.planes import Planes
from prensa.codecs.raw import Raw
from prensa.codecs.rows import Rows
from prensa.codecs.sparse import Sparse

# In the order in which they are tried: of codecs that make a tensor equally small the first is taken.
CODECS: dict[str, Codec] = {
    Raw.name: Raw(),
    Planes.name: Planes(),
    Sparse.name: Sparse(),
    Rows.name: Rows(),
    Cells.name: Cells(),
}

WRITTEN = tuple(name for name in CODECS if name != Rows.name)
"""The codecs that are tried unless a recipe names others: ``cells`` is smaller than ``rows``."""

__all__ = ["CODECS", "WRITTEN", "Codec"]
