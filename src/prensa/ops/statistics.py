"""What calibration knows of each matrix, ready for the passes that ask for it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from prensa.ops.moment import Moment


@dataclass(frozen=True)
class MatrixStatistics:
    """How the outputs of the model hang on one matrix ``[rows, columns]``, to second order.

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
    """What the texts told. ``matrices`` are named as in the model; ``weights`` counts their elements.

    ``source`` names the texts, ``texts`` of them went through the model and ``counted`` were tokenized to
    count pieces; ``tokens`` is the number of pieces that went through the model.
    """

    matrices: Mapping[str, MatrixStatistics]
    weights: int
    source: str
    texts: int
    counted: int
    tokens: int

    def of_rows(self, rows: Mapping[str, Tensor]) -> Statistics:
        """Return what is known of matrices of which only the rows with these numbers are left."""
        matrices, weights = dict(self.matrices), self.weights
        for name, numbers in rows.items():
            if name in matrices:
                known = matrices[name]
                fewer = len(known.importance) - len(numbers)
                weights -= fewer * known.moment.size
                matrices[name] = dataclasses.replace(known, importance=known.importance[numbers])
        return dataclasses.replace(self, matrices=matrices, weights=weights)
