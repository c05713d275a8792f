"""Labels as models know them, and how an account says what was read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from prensa.texts.ids import name_finder

Label = NDArray[np.int64] | NDArray[np.float64] | NDArray[np.str_]
"""Of one text: an id ``[]``, zeros and ones ``[labels]``, a number ``[]``, an id for each word ``[words]``,
where ``IGNORED`` marks words without one, or the answers in words that are right ``[answers]``."""

Labels = list[Label]
"""Of each text."""

SHARES = (
    "holds shares from 0 to 1, no labels; choose a threshold and make labels of them, "
    "such as 1 from 0.5 on and 0 below"
)
"""What is wrong with a column of likelihoods."""


@dataclass(frozen=True)
class Labelled:
    """The labels of each row, None if it has none. ``account`` says how many there are of each."""

    rows: list[Label | None]
    account: str


def worded(word: str, label: str, count: int) -> str:
    """Say how often a label came, and as what if the data says it in other words."""
    find_label = name_finder([label])
    if word == label or find_label(word) == 0:
        return f"{count:,} {label!r}"
    return f"{count:,} {word!r} as {label!r}"


def without_any(rows: Sequence[Label | None]) -> str:
    """Say how many rows have none of several labels."""
    count = 0
    for row in rows:
        if row is not None and not row.any():
            count += 1
    return f"{count:,} without any"
