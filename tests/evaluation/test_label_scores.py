"""Each number equals scikit-learn's, on resamples as well, where things count more than once or not at all."""

import warnings

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, precision_recall_fscore_support

from prensa.evaluation.label_scores import Rankings, count, flags

NEAR = 1e-12
SEEDS = st.integers(0, 10**6)


def drawn(seed, *, many):
    """Return truth and answers of some things, what a resample draws of them, and their number of labels."""
    rng = np.random.default_rng(seed)
    labels = int(rng.integers(1 if many else 2, 6))
    things = int(rng.integers(1, 40))
    shape = (things, labels) if many else things
    truth = rng.integers(0, 2 if many else labels, shape)
    chosen = np.where(rng.random(shape) < 0.6, truth, rng.integers(0, 2 if many else labels, shape))
    return truth, chosen, rng.integers(0, things, things), labels


@settings(max_examples=200)
@given(SEEDS, st.booleans())
def test_recall_precision_and_f1_are_those_of_scikit_learn(seed, many):
    truth, chosen, at, labels = drawn(seed, many=many)
    found = count(truth[at], chosen[at], labels)
    for label in range(labels):
        right, answered = flags(truth, labels)[at, label], flags(chosen, labels)[at, label]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            expected = precision_recall_fscore_support(
                right, answered, average="binary", zero_division=np.nan
            )
        for mine, theirs in zip((found.precision, found.recall, found.f1), expected, strict=False):
            np.testing.assert_allclose(mine[label], theirs, rtol=0, atol=NEAR)


@settings(max_examples=200)
@given(SEEDS, st.integers(1, 10))
def test_average_precision_is_that_of_scikit_learn(seed, ties):
    rng = np.random.default_rng(seed)
    things = int(rng.integers(1, 40))
    applies = rng.random((things, 3)) < rng.random(3)
    probabilities = np.round(rng.random((things, 3)) * ties) / ties  # few numbers: many things are as likely
    rankings = Rankings(applies, probabilities)
    at = rng.integers(0, things, things)
    found = rankings.average_precision(np.bincount(at, minlength=things).astype(float))
    for label in range(3):
        if not applies[at, label].any():
            assert np.isnan(found[label])
            continue
        expected = average_precision_score(applies[at, label], probabilities[at, label])
        np.testing.assert_allclose(found[label], expected, rtol=0, atol=NEAR)


def test_what_is_not_defined():
    counts = count(np.array([0, 0]), np.array([0, 1]), 3)
    assert np.isnan(counts.recall[1])
    assert counts.precision[1] == counts.f1[1] == 0
    assert np.isnan([counts.recall[2], counts.precision[2], counts.f1[2]]).all()
