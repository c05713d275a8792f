"""Entities are those that seqeval finds, and what is counted of them gives its numbers."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from seqeval.metrics.sequence_labeling import get_entities, precision_recall_fscore_support
from seqeval.scheme import BILOU, IOB1, Entities

from prensa.evaluation.entities import Entity, misplaced, scheme_of, why_none

TYPES = ("PER", "LOC-2")  # a type may have a hyphen
IOB = ("O", *(f"{tag}-{name}" for name in TYPES for tag in "BI"))
IOBES = ("O", *(f"{tag}-{name}" for name in TYPES for tag in "BIES"))
LUBI = ("O", *(f"{tag}-{name}" for name in TYPES for tag in "BILU"))
NEAR = 1e-12


def as_words(labels, ids):
    return [labels[index] for index in ids]


@settings(max_examples=200)
@given(st.sampled_from([IOB, IOBES]), st.lists(st.integers(0, 8), max_size=12))
def test_entities_are_those_of_seqeval(labels, ids):
    ids = [index % len(labels) for index in ids]
    found = [(each.type, each.first, each.last) for each in scheme_of(labels).entities(ids)]
    assert found == get_entities(as_words(labels, ids))


@settings(max_examples=200)
@given(st.integers(0, 10**6), st.sampled_from([IOB, IOBES]))
def test_numbers_are_those_of_seqeval(seed, labels):
    rng = np.random.default_rng(seed)
    scheme = scheme_of(labels)
    truth, given_ids = [], []
    for _ in range(rng.integers(1, 8)):
        words = rng.integers(0, 12)
        truth.append(rng.integers(0, len(labels), words))
        given_ids.append(np.where(rng.random(words) < 0.8, truth[-1], rng.integers(0, len(labels), words)))
    texts = rng.integers(0, len(truth), len(truth))
    counts = scheme.counted(truth, given_ids).over(texts)
    right = [as_words(labels, truth[text]) for text in texts]
    answered = [as_words(labels, given_ids[text]) for text in texts]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        every = precision_recall_fscore_support(right, answered, average="micro")
        of_types = precision_recall_fscore_support(right, answered, average=None)
    for mine, theirs in zip((counts.precision, counts.recall, counts.f1), every, strict=False):
        np.testing.assert_allclose(np.nan_to_num(mine[-1]), theirs, rtol=0, atol=NEAR)
    # seqeval lists the types that there are, in alphabetical order, and says 0 where nothing is defined.
    there = [index for index in (1, 0) if counts.right[index] + counts.given[index]]
    for mine, theirs in zip((counts.precision, counts.recall, counts.f1), of_types, strict=False):
        np.testing.assert_allclose(np.nan_to_num(mine[there]), theirs, rtol=0, atol=NEAR)


def test_other_ways_to_write_the_same():
    """What a scheme of seqeval's strict mode reads, in labels that are written in it."""
    first_word_inside = ["I-PER", "I-PER", "B-PER", "O", "I-LOC", "I-PER"]
    with_ends = ["B-PER", "L-PER", "U-PER", "O", "U-LOC", "U-PER"]
    expected = [(0, 1, "PER"), (2, 2, "PER"), (4, 4, "LOC"), (5, 5, "PER")]
    for words, theirs in ((first_word_inside, IOB1), (with_ends, BILOU)):
        labels = sorted(set(words))
        mine = scheme_of(labels).entities([labels.index(word) for word in words])
        assert [(each.first, each.last, each.type) for each in mine] == expected
        (entities,) = Entities([words], theirs).entities
        assert sorted((each.start, each.end - 1, each.tag) for each in entities) == expected


@pytest.mark.parametrize(
    ("labels", "why"),
    [
        (("NOUN", "VERB"), "its labels do not begin with B- or I-"),
        (("O", "B-PER", "LOC"), "its label LOC does not begin with B- or I- as B-PER does"),
        (("O", "B-A", "E-A", "L-A"), "its labels mix two schemes: E-A is of IOBES, L-A of BILOU"),
        (("O", "I-PER", "[CLS]", "X"), ""),
        (IOB, ""),
    ],
)
def test_labels_that_mark_entities(labels, why):
    assert why_none(labels) == why
    assert (scheme_of(labels) is None) == bool(why)


@pytest.mark.parametrize(
    ("words", "place"),
    [
        (["B-PER", "E-PER", "S-PER"], None),
        (["O", "I-PER", "E-PER"], 1),
        (["B-PER", "I-PER", "O"], 1),
        (["B-PER", "B-PER", "E-PER"], 0),
    ],
)
def test_labels_of_another_scheme(words, place):
    assert misplaced(scheme_of(IOBES), [IOBES.index(word) for word in words]) == place
    assert misplaced(scheme_of(IOB), [2, 1]) is None


def test_words_without_a_label_are_outside():
    assert scheme_of(IOB).entities([1, -100, 2]) == [Entity(0, 0, "PER"), Entity(2, 2, "PER")]
    assert Entity(0, 2, "PER").overlaps(Entity(2, 3, "LOC"))
    assert not Entity(0, 2, "PER").overlaps(Entity(3, 3, "LOC"))
