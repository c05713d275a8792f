import numpy as np
import pytest

from prensa.checkpoint.kinds import Task
from prensa.evaluation import neighbours
from prensa.evaluation.bootstrap import Draws
from prensa.evaluation.neighbours import Neighbours
from prensa.evaluation.outputs import Outputs
from prensa.evaluation.quality import compare
from prensa.evaluation.terms import Terms
from prensa.texts.columns import Texts

DRAWS = Draws(50)
RNG = np.random.default_rng(0)
STAY = "ten nearest that stay"


def compared(before, after, metric=""):
    texts = Texts("t", tuple(f"text {i}" for i in range(len(before))))
    return compare(
        Outputs(Task("embedding"), texts, (), list(before), list(after), Terms(metric=metric)), DRAWS
    )


def unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def shares_lost(before, after, count):
    """Count without any library, pair by pair."""
    lost = []
    for text in range(len(before)):
        others = [other for other in range(len(before)) if other != text]
        first = sorted(others, key=lambda other: -(before[text] @ before[other]))[:count]
        then = sorted(others, key=lambda other: -(after[text] @ after[other]))[:count]
        lost.append(1 - len(set(first) & set(then)) / count)
    return lost


@pytest.mark.parametrize("count", [1, 3, 10])
def test_neighbours_are_counted_pair_by_pair(count, monkeypatch):
    # Smaller than the texts, and no divisor of their number.
    monkeypatch.setattr(neighbours, "_ROWS", 7)
    before = unit(RNG.normal(size=(40, 6)))
    after = unit(before + 0.2 * RNG.normal(size=before.shape))
    found = Neighbours.of(before, after, 10).lost(count)
    assert found == pytest.approx(shares_lost(before, after, count), abs=1e-12)
    assert 0 < found.mean() < 1


def test_judged_by_neighbours():
    before = RNG.normal(size=(60, 6))
    after = before + 0.2 * RNG.normal(size=before.shape)
    by_cosine = compared(before, after)
    by_neighbours = compared(before, after, "neighbours@10")
    assert by_cosine.drop.of == "1 − cosine"
    assert by_neighbours.drop.of == "neighbours@10"
    [stay] = [figure for figure in by_neighbours.figures if figure.name == STAY]
    assert stay in by_cosine.figures
    assert by_neighbours.drop.value == pytest.approx(1 - stay.value)
    low, high = by_neighbours.drop.interval
    assert low < by_neighbours.drop.value < high
    assert stay.interval == pytest.approx((1 - high, 1 - low))


def test_what_changed_is_shown():
    before = np.array([[1.0, 0.0], [0.99, 0.1], [0.9, 0.4], [0.0, 1.0], [0.1, 1.0], [0.3, 1.0]])
    after = before.copy()
    after[[1, 4]] = before[[4, 1]]
    quality = compared(before, after, "neighbours@1")
    shown = {each.text: (each.original, each.result, each.amount) for each in quality.disagreements}
    assert shown["text 0"] == ("near: text 1", "near: text 4", 1.0)
    assert quality.disagreement == "share of the 1 nearest texts that are others"


def test_copies_of_a_text_are_as_near_as_each_other():
    kinds = RNG.normal(size=(3, 5))
    before = np.repeat(kinds, 20, axis=0)
    # Which of the twenty copies come first is rounding.
    after = before + 1e-9 * RNG.normal(size=before.shape)
    quality = compared(before, after, "neighbours@10")
    assert quality.drop.value == 0
    assert not quality.disagreements


def test_too_few_texts_have_no_neighbours():
    few = RNG.normal(size=(2, 4))
    assert [figure.name for figure in compared(few, few).figures] == ["mean cosine", "smallest cosine"]
    some = RNG.normal(size=(8, 4))
    quality = compared(some, some, "neighbours@10")
    assert quality.drop is None
    assert STAY not in {figure.name for figure in quality.figures}
    assert quality.figures[2].value == 1
