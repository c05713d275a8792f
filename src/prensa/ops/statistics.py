"""What calibration knows of each matrix, ready for the passes that need it."""

from __future__ import annotations

import dataclasses
from collections import ChainMap
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from typing import cast

from torch import Tensor

from prensa.ops.moment import Moment


@dataclass(frozen=True)
class MatrixStatistics:
    """How the outputs of the model depend on one matrix ``[rows, columns]``, to second order.

    A change d of the matrix costs about Σ importance[r] · d[r]ᵀ · moment · d[r], as a share of the outputs'
    own variance (of language models: twice the divergence of a prediction, in nats).

    ``moment``: ``[columns, columns]``, of a linear layer its inputs' second moment, of an embedding its
    outputs' gradients'. ``importance``: ``[rows]`` float32, of a linear layer the squared gradients of its
    outputs, of an embedding how often a text has each row. ``offset``: ``[columns]`` float32, for
    embeddings: the mean row.
    """

    moment: Moment
    importance: Tensor
    offset: Tensor | None = None


@dataclass(frozen=True)
class Statistics:
    """What the texts showed. ``matrices`` are named as in the model; ``weights`` counts their elements.

    A tied matrix has several names and counts once. All of them give the same tensor as its importance, also
    where its moment lies in a file and is read for each of them.

    ``source`` names the texts, ``texts`` of them went through the model and ``counted`` were tokenized to
    count tokens; ``tokens`` is the number of tokens that went through the model.
    """

    matrices: Mapping[str, MatrixStatistics]
    weights: int
    source: str
    texts: int
    counted: int
    tokens: int

    def of_rows(self, rows: Mapping[str, Tensor]) -> Statistics:
        """Return the statistics of matrices of which only the rows with these numbers are left."""
        changed: dict[str, MatrixStatistics] = {}
        # By the identity of what all names of a tied matrix share: its rows are dropped once.
        by_importance: dict[int, MatrixStatistics] = {}
        weights = self.weights
        for name, numbers in rows.items():
            if name not in self.matrices:
                continue
            matrix = self.matrices[name]
            key = id(matrix.importance)
            if key not in by_importance:
                dropped = len(matrix.importance) - len(numbers)
                # The noise is shared out among the weights there are, so those that went must not count.
                weights -= dropped * matrix.moment.size
                importance = matrix.importance[numbers]
                by_importance[key] = dataclasses.replace(matrix, importance=importance)
            changed[name] = by_importance[key]
        if not changed:
            return self
        # In front of the others, which are not read here: they may lie in files.
        others = cast("MutableMapping[str, MatrixStatistics]", self.matrices)
        matrices = ChainMap(changed, others)
        return dataclasses.replace(self, matrices=matrices, weights=weights)
