import pytest

from prensa.errors import RecipeError
from prensa.evaluation.results import Drop, Figure, Quality
from prensa.search.budget import Budget, Trial


def test_a_drop_at_the_limit_is_kept():
    budget = Budget(max_drop=0.3 - 0.2)
    assert budget.allows(Trial(0.1, 5, drop=0.1))
    assert not budget.allows(Trial(0.1, 5, drop=0.1001))
    assert not budget.allows(Trial(0.1, 5))  # what was not measured is not kept


def test_agreement():
    assert Budget(min_agreement=0.99).allows(Trial(0.1, 5, agreement=0.99))
    assert not Budget(min_agreement=0.99).allows(Trial(0.1, 5, agreement=0.98))


def test_quality_and_bytes_are_asked_for_apart():
    both = Budget(max_drop=0.01, max_bytes=100)
    assert both.allows(Trial(0.1, 500, drop=0.0))
    assert not both.allows_size(Trial(0.1, 500, drop=0.0))
    assert Budget(max_bytes=100).allows(Trial(0.1, 100))
    assert not Budget(max_bytes=100).allows(Trial(0.1, 101))


@pytest.mark.parametrize("settings", [{"max_drop": -0.1}, {"max_drop": 1.1}, {"min_agreement": 99.0}])
def test_shares_out_of_range(settings):
    with pytest.raises(RecipeError, match="must be a share from 0 to 1"):
        Budget(**settings)


def test_no_bytes():
    with pytest.raises(RecipeError, match="--max-size must be above 0"):
        Budget(max_bytes=0)


SAME = Figure("same answer", 0.99, is_share=True, interval=(0.985, 0.995))


@pytest.mark.parametrize(
    ("budget", "drop", "same", "decision"),
    [
        (Budget(max_drop=0.01), Drop("accuracy", 0.0, (-0.001, 0.001)), None, "held"),
        (Budget(max_drop=0.01), Drop("accuracy", 0.0, (-0.03, 0.03)), None, "undecided"),
        (Budget(max_drop=0.01), None, SAME, "exceeded"),  # what was not measured
        (Budget(min_agreement=0.98), None, SAME, "held"),
        (Budget(min_agreement=0.99), None, SAME, "doubtful"),
        (Budget(min_agreement=0.999), None, SAME, "exceeded"),
        (Budget(min_agreement=0.98), None, None, "exceeded"),
        (Budget(max_drop=0.01, min_agreement=0.98), Drop("accuracy", 0.0, (-0.03, 0.03)), SAME, "undecided"),
        (Budget(max_drop=0.01, min_agreement=0.999), Drop("accuracy", 0.0, (-0.03, 0.03)), SAME, "exceeded"),
        (Budget(max_bytes=5), None, None, "held"),
    ],
)
def test_the_worse_half_decides(budget, drop, same, decision):
    assert budget.decide(drop, same) == decision


def test_texts_that_would_decide():
    quality = Quality(drop=Drop("accuracy", 0.0, (-0.02, 0.02)), figures=(SAME,))
    assert Budget(max_drop=0.01).texts_needed(quality, 50) == 200
    assert Budget(max_drop=0.1).texts_needed(quality, 50) is None
    assert Budget(min_agreement=0.98).texts_needed(quality, 50) is None


def test_words():
    text = Budget(max_drop=0.01, min_agreement=0.99, max_bytes=20_000_000).describe()
    assert text == "a drop of at most 1.00 points, the same answer on at least 99.00 %, 20.00 MB at most"
