"""Texts that wait to be answered, and which of them are answered together next.

Callers come in any order with texts of any length. What is padded is computed for nothing, so a batch has
texts of like length; nobody waits for ever, so the one that is next in line is always in it. Here are no
threads and no clock: :mod:`prensa.serving.desk` has those.
"""

from __future__ import annotations

import math
from bisect import insort
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from prensa.serving.answers import Numbers
from prensa.texts.encoding import Row

TOKENS = 4096
"""Tokens of a batch. What attention takes grows with the square, and runtimes never give it back."""

# Padding that a text may bring to a batch, all texts together: in tokens, as many as take about as long as
# starting another batch, or a share of the tokens that are text.
_PADDING = 32
_SHARE = 1 / 16
# The same where all texts are one caller's, sorted: they are nearly alike, or there are few of them. Less
# would make many batches of many sizes, and with more the few that a cascade passes on take twice their time.
_PADDING_ALONE = 512
_SHARE_ALONE = 1 / 2
# Texts of one request that stand in the line as one.
_ABREAST = 8
# How often a text is tried whose batch ended with its worker: the second time alone.
_TRIES = 2


@dataclass(eq=False)
class Request:
    """Rows that one caller wants answered, and what became of them.

    ``most`` is how many texts a batch may have, None for no such limit. ``done`` is called once, in the
    thread that finished the last row. ``since``, ``began`` and ``ended`` are when it came, when its first
    batch began and when it was finished, in seconds of ``time.perf_counter``.
    """

    rows: Sequence[Row]
    most: int | None = None
    done: Callable[[Request], None] | None = None
    outputs: dict[int, Numbers] = field(default_factory=dict)
    error: Exception | None = None
    is_withdrawn: bool = False
    since: float = 0.0
    began: float = 0.0
    ended: float = 0.0
    missing: int = field(init=False)

    def __post_init__(self) -> None:
        self.missing = len(self.rows)

    @property
    def is_over(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.is_withdrawn or not self.missing

    def in_order(self) -> list[Numbers]:
        """Return what the model gave for each row. Raises the error that a row had."""
        if self.error is not None:
            raise self.error
        return [self.outputs[index] for index in range(len(self.rows))]


@dataclass(eq=False)
class Place:
    """A row's place in the line: the ``index``-th of its request, whose ``number`` counts those that came.

    The one of the lowest ``rank`` is next.
    """

    request: Request
    index: int
    rank: int
    number: int
    tries: int = 0
    length: int = field(init=False)

    def __post_init__(self) -> None:
        self.length = len(self.row["input_ids"])

    @property
    def row(self) -> Row:
        """What the model reads."""
        return self.request.rows[self.index]

    @property
    def turn(self) -> tuple[int, int, int]:
        """Sorts by whose turn it is: of one rank those of the fewest texts, and then who came first."""
        return self.rank, self.index, self.number

    @property
    def key(self) -> tuple[int, int, int, int]:
        """Sorts by length; of one length the next in line is last."""
        return self.length, -self.rank, -self.index, -self.number


class Waiting:
    """All rows that wait."""

    def __init__(self, tokens: int = TOKENS) -> None:
        """Start with none. A batch has up to ``tokens``, padding included; a longer text is one alone."""
        self._limit = tokens
        # From the shortest to the longest.
        self._places: list[Place] = []
        self._of_requests: Counter[Request] = Counter()
        # How many batches were taken: the rank of whoever comes now.
        self._now = 0
        self._came = 0
        self.tokens = 0

    def __len__(self) -> int:
        return len(self._places)

    def add(self, request: Request) -> None:
        """Put all rows of a request in the line.

        Its later rows stand as if they had come some batches later: a single text does not wait for all of
        a thousand that came just before. Ranks grow with each batch, so that those come to their turn, too.
        """
        self._came += 1
        for index in range(len(request.rows)):
            rank = self._now + index // _ABREAST
            self._insert(Place(request, index, rank, self._came))

    def put_back(self, places: Sequence[Place]) -> list[Place]:
        """Put rows back whose batch was not finished, to be tried alone; return those tried often enough."""
        given_up = []
        for place in places:
            place.tries += 1
            if place.request.is_withdrawn:
                continue
            if place.tries < _TRIES:
                self._insert(place)
            else:
                given_up.append(place)
        return given_up

    def remove(self, request: Request) -> None:
        """Take a request's rows out of the line."""
        kept = []
        for place in self._places:
            if place.request is request:
                self.tokens -= place.length
            else:
                kept.append(place)
        self._places = kept
        del self._of_requests[request]

    def take(self) -> list[Place]:
        """Take the next batch out of the line, the longest text first; empty if nothing waits."""
        if not self._places:
            return []
        # Of one caller alone nobody is first: sorted by length all of it takes the least time.
        if len(self._of_requests) == 1 and not any(place.tries for place in self._places):
            start, end = self._longest()
        else:
            start, end = self._around_next()
        batch = self._places[start:end]
        del self._places[start:end]
        for place in batch:
            self.tokens -= place.length
            self._of_requests[place.request] -= 1
            if not self._of_requests[place.request]:
                del self._of_requests[place.request]
        batch.reverse()
        return batch

    def _insert(self, place: Place) -> None:
        insort(self._places, place, key=lambda other: other.key)
        self._of_requests[place.request] += 1
        self.tokens += place.length

    def _longest(self) -> tuple[int, int]:
        """Return where the longest texts begin and end that are answered together without much padding."""
        end = len(self._places)
        start = end - 1
        last = self._places[start]
        total = last.length
        while True:
            joined = total + self._joining(start - 1)
            bearable = max(_PADDING_ALONE, _SHARE_ALONE * total)
            if self._padding(start - 1, end, joined, last.request.most) > bearable:
                break
            start -= 1
            total += self._places[start].length
        return end - round_number(end - start), end

    def _around_next(self) -> tuple[int, int]:
        """Return where the texts begin and end that are answered with the one that is next in line.

        From that one on to both sides, whichever brings less padding, until it would be too much.
        """
        places = self._places
        start = min(range(len(places)), key=lambda index: places[index].turn)
        end = start + 1
        first = places[start]
        self._now += 1
        # One that ended its worker before is alone with it the next time.
        if first.tries:
            return start, end
        total = first.length
        most = first.request.most
        while True:
            shorter = self._padding(start - 1, end, total + self._joining(start - 1), most)
            longer = self._padding(start, end + 1, total + self._joining(end), most)
            if min(shorter, longer) > max(_PADDING, _SHARE * total):
                break
            if shorter < longer:
                start -= 1
                total += places[start].length
            else:
                total += places[end].length
                end += 1
        # The longest ones bring most padding: they go first, but not the one whose turn it is.
        while end - start > round_number(end - start):
            if places[end - 1] is first:
                start += 1
            else:
                end -= 1
        return start, end

    def _joining(self, index: int) -> float:
        """Return the tokens of the text that may join a batch, infinite where none may."""
        if not 0 <= index < len(self._places) or self._places[index].tries:
            return math.inf
        return float(self._places[index].length)

    def _padding(self, start: int, end: int, total: float, most: int | None) -> float:
        """Return how many tokens of a batch are padding, ``total`` being text; infinite for too many."""
        if total == math.inf:
            return math.inf
        longest = self._places[end - 1].length
        if end - start > self._size(longest, most):
            return math.inf
        return (end - start) * longest - total

    def _size(self, longest: int, most: int | None) -> int:
        """Return how many texts a batch may have whose longest has so many tokens."""
        size = max(1, self._limit // max(1, longest))
        return int(min(size, most or math.inf))


def round_number(count: int) -> int:
    """Return the largest power of two, or one and a half times one, that is not above ``count``.

    A runtime keeps what it has prepared for each shape of a batch that it meets: megabytes, and for a small
    model more time than answering. So there are not to be many shapes.
    """
    power = 1 << (count.bit_length() - 1)
    between = power * 3 // 2
    return between if between <= count else power
