"""Where in its context a question is answered, from the logits of where an answer starts and ends.

As SQuAD's own baselines do it (Devlin et al., arXiv 1810.04805, section 4.2): the pair of tokens whose logits
have the highest sum, the end not before the start.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from prensa.texts.ids import IGNORED

# From an answer's first token to its last.
_LONGEST = 30

FIRST, END, SCORE, NO_ANSWER = range(4)
"""The columns of what is kept of a question: the first character of the answer, the one behind its last, the
sum of logits that it was chosen by, and that of the mark at the start, which stands for no answer."""


def likeliest_span(logits: NDArray[np.float32], spans: list[int]) -> NDArray[np.float64]:
    """Return the best answer to a question ``[4]``, in the order of the columns above.

    ``logits`` are those of where an answer starts and ends ``[tokens, 2]``, and ``spans`` where each token
    begins and ends in the context, as :class:`~prensa.texts.encoding.Encoded` has them. All four numbers are
    NaN where a logit is NaN or infinite.
    """
    places = np.array(spans, dtype=np.int64).reshape(-1, 2)
    # What stands behind was filled up.
    own = logits[: len(places)].astype(np.float64)
    if not np.isfinite(own).all():
        return np.full(4, np.nan)
    no_answer = float(own[0].sum())
    tokens = np.flatnonzero(places[:, 0] != IGNORED)
    if not len(tokens):
        return np.array([0.0, 0.0, no_answer, no_answer])
    starts, ends = own[tokens].T
    best = (-np.inf, 0, 0)
    for length in range(min(_LONGEST + 1, len(tokens))):
        sums = starts[: len(tokens) - length] + ends[length:]
        first = int(sums.argmax())
        # Of equal ones the shortest.
        if sums[first] > best[0]:
            best = (float(sums[first]), first, first + length)
    score, first, last = best
    return np.array([places[tokens[first], 0], places[tokens[last], 1], score, no_answer], dtype=np.float64)
