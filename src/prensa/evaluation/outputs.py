"""What two models answer to the same texts: all that a comparison is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from prensa.checkpoint.task import Task
from prensa.evaluation.predict import Output
from prensa.evaluation.terms import Terms
from prensa.texts.columns import Texts


@dataclass(frozen=True)
class Outputs:
    """What two models make of the same texts.

    ``places`` are, for models of words, the positions of each word's first token in its text. ``terms`` are
    what the result is judged by, where that is not what is usual.
    """

    task: Task
    texts: Texts
    places: Sequence[Sequence[int]]
    original: Sequence[Output]
    result: Sequence[Output]
    terms: Terms = field(default_factory=Terms)
