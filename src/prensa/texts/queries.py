"""Which of some texts are queries, which are passages, and what is to be found for which query."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

NEITHER = -1
"""In place of a number: the text is no query, or no passage."""

Grades = Mapping[int, Mapping[int, int]]
"""How relevant passages are, by the numbers of query and passage; those that are not named are not."""


@dataclass(frozen=True)
class Queries:
    """What stands beside texts that are queries, passages, or a query with a passage as its pair.

    ``query_of`` and ``passage_of`` are numbers of each text: a text alone has one of them, a pair has both.
    """

    query_of: tuple[int, ...]
    passage_of: tuple[int, ...]
    grades: Grades

    @property
    def numbers(self) -> list[int]:
        """The numbers of the queries, in the order of the texts."""
        numbers = dict.fromkeys(self.query_of)
        numbers.pop(NEITHER, None)
        return list(numbers)

    def take(self, indices: Sequence[int]) -> Queries:
        """Keep the texts at ``indices``, in that order."""
        return replace(
            self,
            query_of=tuple(map(self.query_of.__getitem__, indices)),
            passage_of=tuple(map(self.passage_of.__getitem__, indices)),
        )

    def texts_of(self, numbers: Sequence[int]) -> list[int]:
        """Return where the texts of some queries stand, and passages that are for all of them."""
        wanted = {*numbers, NEITHER}
        return [index for index, number in enumerate(self.query_of) if number in wanted]
