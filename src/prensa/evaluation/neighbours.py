"""How many of the texts that are nearest to a text stay among its nearest, for models that give vectors.

The cosine of two vectors of one text hardly moves while the order of texts that are nearly equally far does,
and that order is what people search by.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from prensa.evaluation.figures import NEIGHBOURS
from prensa.evaluation.first_k import DEFAULT_K, first_k

Vectors = NDArray[np.float64]
"""Of length 1: ``[texts, size]``"""

Ids = NDArray[np.integer]

_KINDS = dict.fromkeys(("neighbours", "neighbors", "nearest neighbours", "nearest neighbors"), NEIGHBOURS)
# As much farther than the last of the nearest a text may be, in cosine, and count as one of them: copies of
# a text are equally near, and which of them come first is chance.
_EQUALLY_NEAR = 1e-6
# Texts whose neighbours' vectors are in memory together.
_ROWS = 1024


def name_of(count: int) -> str:
    """Name the metric of so many neighbours: ``neighbours@10``."""
    return f"{NEIGHBOURS}@{count}"


def neighbours_named(word: str) -> str | None:
    """Return what is meant by ``neighbours@10``, ``Neighbors 5`` or ``neighbours`` (10), else None."""
    found = first_k(word, _KINDS)
    if found is None:
        return None
    _, count = found
    return name_of(count or DEFAULT_K)


def count_in(metric: str) -> int:
    """Return how many neighbours a metric is of, 0 for another metric."""
    kind, _, count = metric.partition("@")
    return int(count) if kind == NEIGHBOURS else 0


@dataclass(frozen=True)
class Neighbours:
    """The texts that are nearest to each text ``[texts, count]``, the nearest first, without itself.

    ``vectors`` are the original's.
    """

    vectors: Vectors
    before: Ids
    after: Ids

    @classmethod
    def of(cls, original: Vectors, result: Vectors, count: int) -> Neighbours:
        """Look for so many of them in both models' vectors."""
        return cls(original, _nearest(original, count), _nearest(result, count))

    def lost(self, count: int) -> Vectors:
        """Return the share of the first ``count`` that do not stay among them ``[texts]``.

        What is as near in the original as the last of them stays too.
        """
        stay = np.empty(len(self.vectors))
        for start in range(0, len(stay), _ROWS):
            rows = slice(start, start + _ROWS)
            last = self._cosines(rows, self.before[rows, count - 1 : count])
            found = self._cosines(rows, self.after[rows, :count])
            stay[rows] = (found >= last - _EQUALLY_NEAR).mean(axis=1)
        return np.asarray(1 - stay)

    def swapped(self, text: int, count: int) -> tuple[int, int]:
        """Return the first of a text's nearest that went, and the first that came."""
        before, after = self.before[text, :count].tolist(), self.after[text, :count].tolist()
        gone = [one for one in before if one not in after]
        come = [one for one in after if one not in before]
        return gone[0], come[0]

    def _cosines(self, rows: slice, others: Ids) -> Vectors:
        """Return the original's cosines of some texts with others ``[rows, others]``."""
        return np.asarray(np.einsum("rs,rns->rn", self.vectors[rows], self.vectors[others]))


def _nearest(vectors: Vectors, count: int) -> Ids:
    from sklearn.neighbors import NearestNeighbors

    search = NearestNeighbors(n_neighbors=count, metric="cosine")
    search.fit(vectors)
    # Without vectors to look up, each text's own is left out of its neighbours.
    return np.asarray(search.kneighbors(return_distance=False))
