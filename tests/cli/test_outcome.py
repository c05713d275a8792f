"""What is said at the end of a search."""

import pytest

from prensa.cli.outcome import describe
from prensa.evaluation.budget import Budget
from prensa.evaluation.figures import Drop, Figure, Quality
from prensa.search.outcome import Check, Outcome
from prensa.search.trial import Trial


@pytest.mark.parametrize(
    ("interval", "same", "doubt"),
    [
        ((-0.002, 0.004), (0.98, 0.99), ""),
        ((-0.002, 0.012), (0.98, 0.99), " (as measured: the interval goes beyond it)"),
        ((-0.002, 0.004), (0.4, 0.6), " (as measured, but not for certain)"),
        (None, (0.98, 0.99), " (as measured, but not for certain)"),
    ],
)
def test_a_doubt_is_an_interval_only_where_one_reaches_beyond(interval, same, doubt, tmp_path):
    budget = Budget(0.01)
    agreement = Figure("same answer", sum(same) / 2, is_share=True, interval=same)
    quality = Quality(figures=(agreement,), drop=Drop("accuracy", 0.001, interval))
    trial = Trial(0.1, 10, drop=0.001, drop_of="accuracy")
    outcome = Outcome(
        budget, nbytes_before=100, trials=(trial,), winner=trial, check=None, drop=None, held=True, best=trial
    )
    said = describe(outcome.checked(Check(trial, quality, budget.decide(quality), None)), tmp_path)
    assert f"Kept: a drop of at most 1.00 points{doubt}." in said
