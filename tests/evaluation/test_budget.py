from pathlib import Path

import pytest

from prensa.errors import DataError, SettingError
from prensa.evaluation.budget import Budget
from prensa.evaluation.figures import Drop, Figure, Metric, Quality, Recall
from prensa.search.outcome import warnings_of

MEGABYTE = 10**6
MODEL = Path("model")


def test_a_drop_at_the_limit_is_kept():
    budget = Budget(max_drop=0.3 - 0.2)
    assert budget.allows(0.1, None)
    assert not budget.allows(0.1001, None)
    assert not budget.allows(None, None)  # what was not measured is not kept


def test_agreement():
    assert Budget(min_agreement=0.99).allows(None, 0.99)
    assert not Budget(min_agreement=0.99).allows(None, 0.98)
    assert not Budget(min_agreement=0.99).allows(None, None)


def test_quality_and_bytes_are_decided_apart():
    both = Budget(max_drop=0.01, max_size=100)
    assert both.allows(0.0, None)
    assert not both.allows_size(500, of=MEGABYTE)
    assert Budget(max_size=100).allows_size(100, of=MEGABYTE)
    assert not Budget(max_size=100).allows_size(101, of=MEGABYTE)
    assert Budget(max_drop=0.01).allows_size(10**12, of=MEGABYTE)


@pytest.mark.parametrize(
    ("size", "nbytes"),
    [(100, 100), ("100", 100), ("12%", 120_000), ("20MB", 20_000_000), ("1.5kb", 1500), ("7B", 7)],
)
def test_sizes_in_words(size, nbytes):
    assert Budget(max_size=size).max_bytes(of=MEGABYTE) == nbytes


def test_shares_in_words():
    budget = Budget(max_drop="1%", min_agreement="0.99")
    assert (budget.drop_allowed, budget.agreement_needed) == (0.01, 0.99)


@pytest.mark.parametrize("name", ["max_drop", "min_agreement"])
@pytest.mark.parametrize("share", [-0.1, 1.1, "120%", "-1%"])
def test_shares_out_of_range(name, share):
    with pytest.raises(SettingError, match=f"`{name}` must be a share from 0 to 1"):
        Budget(**{name: share})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_drop": "little"}, "`max_drop`: expected a share such as 0.01 or 1%, found 'little'"),
        ({"max_size": "small"}, "`max_size`: expected 12%, 20MB or bytes, found 'small'"),
        ({"max_size": "infMB"}, "`max_size`: expected 12%, 20MB or bytes"),
        ({"max_size": 0}, "`max_size` must be above 0"),
        ({"max_size": "0%"}, "`max_size` must be above 0"),
    ],
)
def test_words_that_are_no_numbers(settings, message):
    with pytest.raises(SettingError) as raised:
        Budget(**settings)
    assert message in str(raised.value)


SAME = Figure("same answer", 0.99, is_share=True, interval=(0.985, 0.995))
FEW_SAME = Figure("same answer", 0.5, is_share=True, interval=(0.4, 0.6))


@pytest.mark.parametrize(
    ("budget", "drop", "same", "decision"),
    [
        (Budget(max_drop=0.01), Drop("accuracy", 0.0, (-0.001, 0.001)), None, "held"),
        (Budget(max_drop=0.01), Drop("accuracy", 0.0, (-0.03, 0.03)), None, "undecided"),
        (Budget(max_drop=0.01), Drop("accuracy", 0.0, (-0.001, 0.001)), FEW_SAME, "doubtful"),
        (Budget(max_drop=0.01), None, SAME, "unknown"),
        (Budget(min_agreement=0.98), None, SAME, "held"),
        (Budget(min_agreement=0.99), None, SAME, "doubtful"),
        (Budget(min_agreement=0.999), None, SAME, "exceeded"),
        (Budget(min_agreement=0.98), None, None, "unknown"),
        (Budget(max_drop=0.01, min_agreement=0.98), Drop("accuracy", 0.0, (-0.03, 0.03)), SAME, "undecided"),
        (Budget(max_drop=0.01, min_agreement=0.999), Drop("accuracy", 0.0, (-0.03, 0.03)), SAME, "exceeded"),
        (Budget(max_size=5), None, None, "none"),
    ],
)
def test_the_worse_half_decides(budget, drop, same, decision):
    figures = () if same is None else (same,)
    assert budget.decide(Quality(drop=drop, figures=figures)) == decision


def test_what_proves_nothing_keeps_no_budget():
    held = Quality(drop=Drop("accuracy", 0.0, (0.0, 0.0)), alike="constant")
    assert Budget(max_drop=0.01).decide(held) == "unknown"
    assert Budget(max_drop=0.01).decide(Quality(broken=1)) == "exceeded"
    assert Budget(max_drop=0.01).decide(None) == "unknown"


def test_texts_that_would_decide():
    quality = Quality(drop=Drop("accuracy", 0.0, (-0.02, 0.02)), figures=(SAME,))
    assert Budget(max_drop=0.01).texts_needed(quality, 50) == 200
    assert Budget(max_drop=0.1).texts_needed(quality, 50) is None
    assert Budget(min_agreement=0.98).texts_needed(quality, 50) is None


def test_words():
    text = Budget(max_drop=0.01, min_agreement=0.99, max_size="20MB").describe(of=MEGABYTE)
    assert text == "a drop of at most 1.00 points, the same answer on at least 99.00 %, 20.00 MB at most"


@pytest.mark.parametrize(
    ("metric", "original", "decision"),
    [
        ("BLEU", 0.004, "doubtful"),
        ("BLEU", 0.02, "held"),
        ("NDCG@10", 0.01, "doubtful"),
        # A correlation may fall below 0.
        ("Spearman correlation", 0.004, "held"),
    ],
)
def test_what_is_not_there_cannot_be_lost(metric, original, decision):
    metrics = (Metric(metric, original, original, (-0.001, 0.001)),)
    quality = Quality(drop=Drop(metric, 0.0, (-0.001, 0.001)), metrics=metrics)
    assert Budget(max_drop=0.01).decide(quality) == decision
    warnings = warnings_of(quality, Budget(max_drop=0.01))
    assert any("any result holds it" in warning for warning in warnings) == (decision == "doubtful")


def found(value, interval=None, label="toxic"):
    return Quality(drop=Drop("accuracy", 0.0, (-0.001, 0.001)), recalls=(Recall(label, value, interval),))


@pytest.mark.parametrize(
    ("needed", "quality", "decision"),
    [
        ("toxic=95%", found(0.99, (0.96, 1.0)), "held"),
        ("toxic=95%", found(0.99, (0.94, 1.0)), "doubtful"),
        ("toxic=95%", found(0.94, (0.90, 0.96)), "exceeded"),
        ("toxic=99%", found(1.0, (0.90, 1.0)), "undecided"),
        ("toxic=95%", found(0.90, (0.85, 0.93)), "exceeded"),
        ("toxic=95%", found(None), "unknown"),
        ("toxic=95%,rare=90%", found(0.99, (0.96, 1.0)), "unknown"),
        ({"toxic": 0.95}, found(0.99, (0.96, 1.0)), "held"),
    ],
)
def test_recall_that_is_needed(needed, quality, decision):
    budget = Budget(max_drop=0.01, min_recall=needed)
    assert budget.decide(quality) == decision
    recalls = quality.recalls
    as_measured = (
        recalls[0].value is not None and len(budget.recalls_needed) == 1 and recalls[0].value >= 0.95
    )
    assert budget.allows(0.0, None, recalls) == (
        as_measured and budget.recalls_needed["toxic"] <= recalls[0].value
    )
    assert not budget.allows(0.0, None)


def test_found_is_found_however_many_answers_changed():
    quality = Quality(figures=(FEW_SAME,), recalls=(Recall("toxic", 0.99, (0.96, 1.0)),))
    assert Budget(min_recall="toxic=95%").decide(quality) == "held"


def test_texts_that_would_decide_a_recall():
    """Of 1,000 texts 30 have the label, all of them found: the exact interval of 0 of 30 is 11.6 points wide."""
    high = 1 - 0.025 ** (1 / 30)
    quality = Quality(recalls=(Recall("toxic", 1.0, (1 - high, 1.0)),))
    needed = Budget(min_recall="toxic=99%").texts_needed(quality, 1000)
    assert needed == 6100  # 183 of 0 misses, times 1000 / 30, rounded up


def test_more_than_the_original_finds():
    with pytest.raises(
        DataError, match=r"the original's own recall of toxic is 94.00 % .* below the 95.00 %"
    ):
        Budget(min_recall="toxic=95%").check_reachable(found(0.94), MODEL)
    Budget(min_recall="toxic=95%").check_reachable(found(0.95), MODEL)
    Budget(min_recall="toxic=95%").check_reachable(found(None), MODEL)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"min_recall": "toxic"}, "`min_recall`: expected LABEL=SHARE with commas between"),
        ({"min_recall": "toxic=much"}, "`min_recall`: expected a share such as 0.01 or 1%, found 'much'"),
        ({"min_recall": "toxic=99%,toxic=95%"}, "toxic is named twice, as 0.99 and as 95%"),
        (
            {"min_recall": ""},
            "`min_recall`: expected LABEL=SHARE with commas between, as toxic=0.9, found ''",
        ),
        ({"label_threshold": ""}, "`label_threshold`: expected LABEL=SHARE"),
        ({"label_threshold": {"toxic": 7}}, "`label_threshold` must be a share from 0 to 1"),
    ],
)
def test_shares_of_labels_that_are_none(settings, message):
    with pytest.raises(SettingError) as refused:
        Budget(**settings)
    assert message in str(refused.value)


def test_what_does_not_go_together():
    with pytest.raises(SettingError, match="`metric` is what `max_drop` is a drop of: give `max_drop`"):
        Budget(metric="accuracy", min_agreement=0.9).check_together()
    with pytest.raises(SettingError, match="`label_threshold` needs a budget of quality"):
        Budget(label_threshold="toxic=0.7", max_size="10%").check_together()
    Budget(0.01, metric="accuracy", label_threshold="toxic=0.7").check_together()


def test_terms_in_words():
    text = Budget(max_drop=0.01, metric="f1:toxic", min_recall="toxic=99%").describe(of=MEGABYTE)
    assert text == "a drop in f1:toxic of at most 1.00 points, a recall of toxic of at least 99.00 %"


def test_what_did_not_change_is_counted_by_the_drop_itself():
    # None of the texts with the label changed, but others did: the interval is the exact one of 0 changes.
    exact = Drop("recall: toxic", 0.0, (-0.0711, 0.0711), none_changed=True)
    assert Budget(max_drop=0.01).texts_needed(Quality(drop=exact, figures=(SAME,)), 1000) == 7400
    # No answer changed, but probabilities did: the interval is drawn.
    same = Figure("same answer", 1.0, is_share=True, interval=(0.992, 1.0))
    drawn = Drop("ROC-AUC", 0.0, (-0.001, 0.003))
    assert Budget(max_drop=0.0005).texts_needed(Quality(drop=drawn, figures=(same,)), 500) == 8000
