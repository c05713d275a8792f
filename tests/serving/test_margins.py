"""How sure a classifier is: from its two likeliest classes, or from the label that it is least sure of."""

import numpy as np
import pytest

from prensa.errors import ModelError
from prensa.serving.margins import check_has_margins, margins, unsure


def logits(*shares):
    return np.log(np.array(shares, dtype=np.float64))


def test_of_classes_the_two_likeliest_count():
    sure = margins("classes", [logits(0.7, 0.2, 0.1), logits(0.2, 0.4, 0.4)])
    assert sure == pytest.approx([0.5, 0.0])


def test_of_several_labels_the_least_sure_one_counts():
    # Probabilities 0.9 and 0.6: the second one is 0.2 from being the other answer.
    sure = margins("multi-label", [np.log(np.array([9.0, 1.5])), np.log(np.array([1 / 9, 9.0]))])
    assert sure == pytest.approx([0.2, 0.8])


@pytest.mark.parametrize("kind", ["classes", "multi-label"])
@pytest.mark.parametrize("broken", [np.nan, np.inf, -np.inf])
def test_an_answer_without_numbers_is_never_sure(kind, broken):
    sure = margins(kind, [np.array([3.0, broken]), np.array([3.0, -3.0])])
    assert unsure(sure, threshold=0.0) == [0]


def test_large_numbers_do_not_overflow():
    with np.errstate(over="raise", invalid="raise"):
        assert margins("classes", [np.array([1e4, -1e4, 0.0])]) == pytest.approx([1.0])
        assert margins("multi-label", [np.array([1e4, -1e4])]) == pytest.approx([1.0])


def test_what_is_exactly_as_sure_as_needed_is_sure():
    assert unsure(np.array([0.4, 0.5, 0.6]), 0.5) == [0]


@pytest.mark.parametrize("kind", ["regression", "embedding", "tokens", "causal", None])
def test_only_classifiers_have_margins(kind):
    with pytest.raises(ModelError, match=r"^small: a cascade needs a classifier of texts, found [a-z ]+,"):
        check_has_margins("small", kind)
