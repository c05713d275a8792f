"""What calibration knows of each matrix, ready for the passes that need it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

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
        matrices = dict(self.matrices)
        weights = self.weights
        for name, numbers in rows.items():
            if name not in matrices:
                continue
            matrix = matrices[name]
            dropped = len(matrix.importance) - len(numbers)
            # The noise is shared out among the weights there are, so those that went must not count.
            weights -= dropped * matrix.moment.size
            matrices[name] = dataclasses.replace(matrix, importance=matrix.importance[numbers])
        return dataclasses.replace(self, matrices=matrices, weights=weights)
