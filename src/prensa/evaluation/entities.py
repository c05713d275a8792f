"""Entities in words that are labelled one by one, such as ``B-PER I-PER O``: found, and counted by type.

An entity is right if its type, its first and its last word are. That is the definition of seqeval in its
usual mode, which is conlleval's: a word inside of an entity (``I-``) that follows no entity of its type
begins one. So IOB2, IOB1, labels that are all ``I-``, and IOBES are read; BILOU is IOBES with other letters.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from prensa.evaluation.label_scores import Counts

Floats = NDArray[np.floating]
Ids = NDArray[np.int64]

_LABEL = re.compile(r"(?P<tag>[BIESLU])-(?P<type>.+)", re.DOTALL)
# The letters of BILOU for the last word of an entity, and for an entity of one word.
_AS_IOBES = {"L": "E", "U": "S"}
_OUTSIDE = "O"
# What models call words that are none.
_NO_WORD = re.compile(r"\[\w+\]|<\w+>|X|PAD", re.IGNORECASE)

Tag = tuple[str, str]
"""A letter of IOBES and a type, empty outside of entities."""


@dataclass(frozen=True, order=True)
class Entity:
    """The first and the last word of an entity, as places in the words of a text, and its type."""

    first: int
    last: int
    type: str

    def overlaps(self, other: Entity) -> bool:
        """Whether both have a word in common."""
        return self.first <= other.last and other.first <= self.last


@dataclass(frozen=True)
class Scheme:
    """How a model's labels mark entities: what each stands for, by its number, and the types there are."""

    tags: tuple[Tag, ...]
    types: tuple[str, ...]

    def entities(self, ids: Sequence[int] | Ids) -> list[Entity]:
        """List the entities of a text, from the number of each word's label; negative ones are outside."""
        found: list[Entity] = []
        before: Tag = (_OUTSIDE, "")
        start = 0
        # One word outside behind the last one ends what is open there.
        tags = [self.tags[index] if index >= 0 else (_OUTSIDE, "") for index in ids]
        tags.append((_OUTSIDE, ""))
        for place, tag in enumerate(tags):
            if _ends(before, tag):
                found.append(Entity(start, place - 1, before[1]))
            if _begins(before, tag):
                start = place
            before = tag
        return found

    def counted(self, truth: Sequence[Ids], given: Sequence[Ids]) -> Tallies:
        """Count the entities of each text, in labels of its words that are right and that are given."""
        numbers = {name: index for index, name in enumerate(self.types)}
        shape = (len(truth), len(self.types))
        tallies = Tallies(np.zeros(shape), np.zeros(shape), np.zeros(shape))
        for text, (own_truth, own_given) in enumerate(zip(truth, given, strict=True)):
            right = set(self.entities(own_truth))
            chosen = set(self.entities(own_given))
            for counts, some in (
                (tallies.right, right),
                (tallies.given, chosen),
                (tallies.found, right & chosen),
            ):
                for entity in some:
                    counts[text, numbers[entity.type]] += 1
        return tallies


@dataclass(frozen=True)
class Tallies:
    """How many entities of each type a text has ``[texts, types]``: right ones, given ones, and both."""

    right: Floats
    given: Floats
    found: Floats

    def over(self, texts: Ids) -> Counts:
        """Add up some texts: of each type, and behind them of all types ``[types + 1]``."""
        weights = np.bincount(texts, minlength=len(self.right)).astype(float)
        sums = []
        for tally in (self.right, self.given, self.found):
            of_types = weights @ tally
            sums.append(np.append(of_types, of_types.sum()))
        return Counts(*sums)


def _ends(before: Tag, tag: Tag) -> bool:
    """Whether an entity ends with the word before."""
    if before[0] == _OUTSIDE:
        return False
    return before[0] in "ES" or tag[0] in "BSO" or tag[1] != before[1]


def _begins(before: Tag, tag: Tag) -> bool:
    """Whether an entity begins with a word."""
    if tag[0] == _OUTSIDE:
        return False
    return tag[0] in "BS" or before[0] in "ESO" or tag[1] != before[1]


def scheme_of(labels: Sequence[str]) -> Scheme | None:
    """Return how labels mark entities, None where they do not, or not clearly (see :func:`why_none`)."""
    if why_none(labels):
        return None
    tags: list[Tag] = []
    types: dict[str, None] = {}
    for label in labels:
        match = _LABEL.fullmatch(label)
        if match is None:
            tags.append((_OUTSIDE, ""))
            continue
        letter = match["tag"]
        tags.append((_AS_IOBES.get(letter, letter), match["type"]))
        types[match["type"]] = None
    return Scheme(tuple(tags), tuple(types))


def why_none(labels: Sequence[str]) -> str:
    """Say why labels do not mark entities; empty if they do."""
    letters: dict[str, str] = {}
    others: list[str] = []
    for label in labels:
        match = _LABEL.fullmatch(label)
        if match is not None:
            letters.setdefault(match["tag"], label)
        elif label != _OUTSIDE and not _NO_WORD.fullmatch(label):
            others.append(label)
    if not letters:
        return "its labels do not begin with B- or I-"
    if others:
        return f"its label {others[0]} does not begin with B- or I- as {next(iter(letters.values()))} does"
    of_iobes = [letters[letter] for letter in "ES" if letter in letters]
    of_bilou = [letters[letter] for letter in "LU" if letter in letters]
    if of_iobes and of_bilou:
        return f"its labels mix two schemes: {of_iobes[0]} is of IOBES, {of_bilou[0]} of BILOU"
    return ""


def misplaced(scheme: Scheme, ids: Sequence[int] | Ids) -> int | None:
    """Return the first word of a text whose label its scheme does not allow there, None without one.

    IOBES and BILOU begin entities with B or S and end them with E or S. Labels that do otherwise were written
    in another scheme. Without E and S nothing is misplaced.
    """
    if not any(tag in "ES" for tag, _ in scheme.tags):
        return None
    before: Tag = (_OUTSIDE, "")
    tags = [scheme.tags[index] for index in ids]
    for place, tag in enumerate([*tags, (_OUTSIDE, "")]):
        if _begins(before, tag) and tag[0] not in "BS":
            return place
        if _ends(before, tag) and before[0] not in "ES":
            return place - 1
        before = tag
    return None
