"""Names of metrics that are of the first few: ``ndcg@10``, ``Recall_100``, ``neighbours@10``."""

from __future__ import annotations

import re
from collections.abc import Mapping

from prensa.texts.names import folded

MOST = 1000
"""So many count at most."""

DEFAULT_K = 10
"""So many are meant where no number is given."""

_NAME = re.compile(r"(.*?)(?: ?(?:@|at)? ?(\d+))?")


def first_k(word: str, kinds: Mapping[str, str]) -> tuple[str, int | None] | None:
    """Return which of the ``kinds`` is meant, and of how many: None without a number.

    Case and separators do not matter. None at all for other words, and for numbers out of range.
    """
    match = _NAME.fullmatch(folded(word))
    # A minus is no separator in front of a number.
    if match is None or match[1] not in kinds or "@-" in word:
        return None
    if match[2] is None:
        return kinds[match[1]], None
    count = int(match[2])
    return (kinds[match[1]], count) if 1 <= count <= MOST else None
