"""Originals that are no measure: constant, one-sided, guessing, without numbers."""

from pathlib import Path

import numpy as np
import pytest

from prensa.errors import ModelError
from prensa.evaluation.bootstrap import Draws
from prensa.evaluation.classification import answers
from prensa.evaluation.figures import Quality
from prensa.evaluation.original import check_finite, check_not_constant, guessing, likeness

RNG = np.random.default_rng(0)
ROUNDING = 1 + 1e-6 * RNG.normal(size=(9, 1))


@pytest.mark.parametrize(
    ("kind", "outputs"),
    [
        ("classes", list(np.array([0.3, -2.0]) * ROUNDING)),
        ("classes", [np.zeros(3)] * 4),
        ("multi-label", [np.array([0.3, -2.0])] * 4),
        ("regression", [np.array([3.5])] * 4),
        ("embedding", list(RNG.normal(size=8) * ROUNDING)),
        ("tokens", [np.tile([0.5, 1.0], (count, 1)) for count in (2, 0, 3)]),
        ("causal", [np.array([5.0 * n, n, 9, 0, 0, 0, 0]) for n in (3, 4, 7)]),
        ("masked", [np.array([5.0, 1, 9, 0, 0, 0, 0]), np.zeros(7), np.array([10.0, 2, 9, 0, 0, 0, 0])]),
    ],
)
def test_the_same_answer_to_every_text(kind, outputs):
    assert likeness(kind, outputs) == "constant"
    with pytest.raises(ModelError, match="m: the original gives the same answer to every text"):
        check_not_constant(Path("m"), Quality(alike="constant"))


@pytest.mark.parametrize(
    ("kind", "outputs", "expected"),
    [
        ("classes", [np.array([1.0, n]) for n in (0.1, 0.2, 0.9)], "one-sided"),
        ("classes", [np.array([1.0, n]) for n in (0.1, 0.2, 1.9)], ""),
        ("multi-label", [np.array([-1.0, -n]) for n in (0.1, 0.2)], "one-sided"),
        ("multi-label", [np.array([-1.0, n]) for n in (0.1, -0.2)], ""),
        ("tokens", [np.array([[1.0, 0.0], [2.0, 0.0]])], "one-sided"),
        ("tokens", [np.zeros((0, 2)), np.ones((1, 2))], ""),
        ("regression", [np.array([n]) for n in (0.1, 0.2)], ""),
        ("embedding", list(np.eye(3)), ""),
        ("causal", [np.array([n, 2.0, 9, 0, 0, 0, 0]) for n in (3, 4)], ""),
        ("classes", [np.ones(2)], ""),  # of one text nobody can say
    ],
)
def test_answers_that_differ(kind, outputs, expected):
    if kind == "tokens":
        outputs = [*outputs, *outputs] if expected else outputs
    assert likeness(kind, outputs) == expected
    check_not_constant(Path("m"), Quality(alike=expected))


def labelled(probability_right, count=400, classes=4):
    truth = RNG.integers(0, classes, count)
    chosen = np.where(RNG.random(count) < probability_right, truth, RNG.integers(0, classes, count))
    return truth, answers(list(np.eye(classes)[chosen]), many=False)


def test_guesses_are_known():
    truth, given = labelled(0.0)
    found = guessing(truth, given)
    assert found.accuracy == pytest.approx((truth == given.chosen).mean())
    assert found.shuffled == pytest.approx(0.25, abs=0.02)
    assert guessing(*labelled(0.3)) is None


def test_a_rare_label_makes_no_guess_of_a_good_model():
    """It is right less often than the most frequent label would be, and yet knows something."""
    truth = np.zeros(1000, dtype=int)
    truth[:50] = 1
    chosen = truth.copy()
    chosen[:20], chosen[-60:] = 0, 1
    assert (chosen == truth).mean() < (truth == 0).mean()
    assert guessing(truth, answers(list(np.eye(2)[chosen]), many=False)) is None
    assert guessing(truth, answers([np.array([1.0, 0.0])] * 1000, many=False)) is not None


def test_the_spread_of_shuffled_answers_is_right():
    from prensa.evaluation.original import _when_shuffled

    truth, chosen = RNG.integers(0, 3, 40), RNG.integers(0, 3, 40)
    right = [(truth == RNG.permutation(chosen)).sum() for _ in range(4000)]
    mean, variance = _when_shuffled(truth, chosen)
    assert mean == pytest.approx(np.mean(right), rel=0.03)
    assert variance == pytest.approx(np.var(right), rel=0.1)


def test_several_labels():
    truth = RNG.integers(0, 2, (300, 3))
    noise = RNG.normal(size=(300, 3))
    assert guessing(truth, answers(list(noise), many=True)) is not None
    assert guessing(truth, answers(list(noise + truth), many=True)) is None


def test_no_numbers():
    check_finite(Path("m"), [np.ones(2)])
    with pytest.raises(ModelError, match=r"m: the original gives no number .* on 1 of 2 texts"):
        check_finite(Path("m"), [np.ones(2), np.array([1.0, np.nan])])


def test_where_no_answer_changes_other_texts_may():
    from prensa.evaluation.classification import share_changed

    same = np.ones(30, dtype=bool)
    groups = list(np.arange(30).reshape(10, 3))
    assert share_changed(same, groups, Draws(20)).interval == pytest.approx((0, 0.308), abs=1e-3)
    assert share_changed(same, groups, Draws(0)).interval is None
