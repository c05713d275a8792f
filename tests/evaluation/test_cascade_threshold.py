"""The threshold of a cascade: chosen on one half of the texts, confirmed on the other."""

import numpy as np
import pytest

from prensa.checkpoint.kinds import Task
from prensa.errors import DataError
from prensa.evaluation.bootstrap import Draws
from prensa.evaluation.cascade_threshold import cascaded, choose, times_as_fast
from prensa.evaluation.halves import halve_texts
from prensa.evaluation.quality import Outputs
from prensa.serving.margins import margins
from prensa.texts.columns import Texts

FEW = Draws(20)


def outputs(count=1000, wrong_below=0.2, error=0.5, seed=0):
    """Make a small model that errs on texts that it is unsure of alone, and an original that is always sure."""
    generator = np.random.default_rng(seed)
    margin = generator.uniform(0.01, 1, count)
    small = np.zeros((count, 2))
    small[:, 0] = np.log1p(margin) - np.log1p(-np.minimum(margin, 0.999))
    original = np.tile([5.0, -5.0], (count, 1))
    wrong = (margin < wrong_below) & (generator.uniform(size=count) < error)
    original[wrong] = [-5.0, 5.0]
    # And some that both give the other label, so that the original has more than one.
    other = np.arange(count) % 3 == 0
    original[other] = original[other, ::-1]
    small[other] = small[other, ::-1]
    texts = Texts("some texts", tuple(f"text {number}" for number in range(count)))
    return Outputs(Task("classes", ("no", "yes")), texts, [], list(original), list(small))


def test_as_few_go_on_as_the_agreement_allows():
    choice, quality = choose(outputs(), "99%", FEW)
    assert choice.is_kept
    # Of 20 % that are unsure half are wrong: all but the surest of them must go on.
    assert 0.12 < choice.threshold < 0.2
    assert 0.1 < choice.passed_on < 0.2
    assert choice.alone.value < 0.95
    assert choice.agreement.value == quality.agreement.value >= 0.99


def test_less_agreement_needs_fewer_texts_of_the_original():
    shares = [choose(outputs(), needed, FEW)[0].passed_on for needed in (0.95, 0.97, 0.99)]
    assert shares == sorted(shares)
    assert shares[0] < shares[2]


def test_a_small_model_that_agrees_passes_nothing_on():
    choice, _ = choose(outputs(error=0.0), 0.99, FEW)
    assert (choice.threshold, choice.passed_on, choice.agreement.value) == (0.0, 0.0, 1.0)


def test_it_is_confirmed_on_texts_that_it_was_not_chosen_on():
    """A small model that is right on the half to choose on, and wrong where it is sure on the other."""
    given = outputs(error=0.0)
    for index in halve_texts(given.texts).check:
        given.original[index] = given.original[index][::-1]
    choice, _ = choose(given, 0.99, FEW)
    assert not choice.is_kept
    assert choice.decision == "exceeded"
    assert choice.texts == 500


def test_too_few_texts_decide_nothing():
    choice, _ = choose(outputs(60), 0.99, FEW)
    assert choice.decision == "undecided"
    assert choice.texts_needed > 60
    with pytest.raises(DataError, match="some texts: 39 texts are too few"):
        choose(outputs(39), 0.99, FEW)


def test_a_cascade_answers_what_a_threshold_says():
    given = outputs(50)
    sure = margins("classes", given.result)
    mixed = cascaded(given, sure, 0.5)
    for index, answer in enumerate(mixed):
        expected = given.original if sure[index] < 0.5 else given.result
        assert answer is expected[index]


def test_where_too_many_go_on_it_does_not_pay():
    assert times_as_fast(0.2, 1.0, 0.1) == pytest.approx(1 / 0.3)
    assert times_as_fast(0.5, 1.0, 0.6) < 1
