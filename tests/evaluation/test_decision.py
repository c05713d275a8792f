import pytest

from prensa.evaluation.decision import decide, is_within, texts_needed


@pytest.mark.parametrize(
    ("value", "interval", "allowed", "decision"),
    [
        (0.005, (0.0, 0.01), 0.01, "held"),  # all of it within, rounding aside
        (0.91 - 0.90, (0.0, 0.92 - 0.91), 0.01, "held"),
        (0.005, (-0.005, 0.012), 0.01, "doubtful"),
        (0.015, (0.005, 0.02), 0.01, "exceeded"),
        (0.005, (-0.01, 0.02), 0.01, "undecided"),
        (0.015, (-0.01, 0.04), 0.01, "undecided"),
        (0.0, (-0.08, 0.08), 0.01, "undecided"),
        (-0.3, (-0.5, -0.1), 0.01, "held"),  # wide, and wholly on one side
        (0.3, (0.1, 0.5), 0.01, "exceeded"),
        (0.005, None, 0.01, "doubtful"),
        (0.015, None, 0.01, "exceeded"),
        (
            0.0,
            (-0.08, 0.08),
            0.0,
            "doubtful",
        ),  # nothing decides a budget of nothing: what was measured counts
        (0.001, (-0.08, 0.08), 0.0, "exceeded"),
        (0.0, (0.0, 0.0), 0.0, "held"),
    ],
)
def test_what_decides(value, interval, allowed, decision):
    assert decide(value, interval, allowed) == decision


def test_rounding_is_within():
    assert is_within(0.1, 0.3 - 0.2)
    assert not is_within(0.1001, 0.1)
    assert not is_within(float("nan"), 1.0)


def test_how_many_texts_decide():
    assert texts_needed(100, (-0.02, 0.02), 0.01) == 400
    assert texts_needed(90, (-0.01, 0.031), 0.01) == 380  # 378.2, up
    assert texts_needed(45, (0.0, 0.079), 0.01, none_changed=True) == 190
    assert texts_needed(45, (-0.079, 0.079), 0.01, none_changed=True) == 370
