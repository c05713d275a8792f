"""Models that are narrower than their config alone says: which modules, and by how much."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Structure:
    """How a model differs from what its config alone describes.

    ``matrices`` maps the module name of a Linear or Conv1D to the ``(out_features, in_features)`` it has.
    ``counts`` maps the dotted name of an integer attribute of a module (as in
    ``encoder.layer.0.attention.self.num_attention_heads``) to its value.
    """

    matrices: Mapping[str, tuple[int, int]]
    counts: Mapping[str, int]
