import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest, entropy
from sklearn.metrics import accuracy_score, average_precision_score, f1_score, recall_score, roc_auc_score

from prensa.evaluation.bootstrap import Draws
from prensa.evaluation.classification import (
    CALIBRATION_ERROR,
    ROC_AUC,
    Truth,
    answers,
    compare_outputs,
    compare_with_labels,
    confidences,
    divergences,
    drop_of,
    scores,
    share_changed,
)
from prensa.evaluation.figures import ACCURACY, MACRO_F1


def random_answers(count, labels, seed=0, *, many=False):
    return answers(list(np.random.default_rng(seed).normal(size=(count, labels))), many=many)


@settings(deadline=None)  # of a busy machine nothing is known
@given(st.integers(2, 5), st.integers(2, 60), st.integers(0, 99))
def test_metrics_are_those_of_scikit_learn(labels, count, seed):
    given_answers = random_answers(count, labels, seed)
    truth = np.random.default_rng(seed + 1).integers(0, labels, count)
    found = scores(truth, given_answers, [str(i) for i in range(labels)])
    assert found[ACCURACY] == accuracy_score(truth, given_answers.chosen)
    assert math.isclose(found[MACRO_F1], f1_score(truth, given_answers.chosen, average="macro"))
    if len(set(truth)) == labels:
        p = given_answers.probabilities
        expected = (
            roc_auc_score(truth, p[:, 1]) if labels == 2 else roc_auc_score(truth, p, multi_class="ovr")
        )
        assert math.isclose(found[ROC_AUC], expected)


@settings(deadline=None)
@given(st.integers(0, 99))
def test_metrics_of_several_labels(seed):
    given_answers = random_answers(30, 3, seed, many=True)
    truth = np.random.default_rng(seed + 1).integers(0, 2, (30, 3))
    found = scores(truth, given_answers, ["a", "b", "c"])
    assert found[ACCURACY] == accuracy_score(truth, given_answers.chosen)
    assert math.isclose(found[MACRO_F1], f1_score(truth, given_answers.chosen, average="macro"))
    assert math.isclose(found[ROC_AUC], roc_auc_score(truth, given_answers.probabilities, average="macro"))
    assert found["F1: b"] == f1_score(truth[:, 1], given_answers.chosen[:, 1])
    assert math.isclose(found["recall: b"], recall_score(truth[:, 1], given_answers.chosen[:, 1]))
    expected = average_precision_score(truth[:, 1], given_answers.probabilities[:, 1])
    assert math.isclose(found["PR-AUC: b"], expected)


def test_one_label_that_may_apply():
    given_answers = random_answers(30, 1, 5, many=True)
    truth = np.random.default_rng(6).integers(0, 2, (30, 1))
    found = scores(truth, given_answers, ["toxic"])
    assert found["F1: toxic"] == f1_score(truth[:, 0], given_answers.chosen[:, 0])
    assert found[MACRO_F1] == found["F1: toxic"]


def test_without_draws_there_are_numbers_and_no_intervals():
    original, result = random_answers(20, 2, 0), random_answers(20, 2, 1)
    truth = Truth(np.arange(20) % 2, ["a", "b"])
    metrics, mcnemar = compare_with_labels(truth, original, result, Draws(0))
    assert {metric.interval for metric in metrics} == {None}
    assert None not in {metric.difference for metric in metrics}
    assert mcnemar is not None


def test_ties_count_half():
    truth, same = np.array([0, 1]), answers([np.zeros(2), np.zeros(2)], many=False)
    assert scores(truth, same, ["a", "b"])[ROC_AUC] == 0.5


def test_one_class_only():
    original, result = random_answers(20, 2, 0), random_answers(20, 2, 1)
    metrics, _ = compare_with_labels(Truth(np.ones(20, dtype=int), ["a", "b"]), original, result, Draws(100))
    by_name = {metric.name: metric for metric in metrics}
    assert by_name[ROC_AUC].original is by_name[ROC_AUC].difference is by_name[ROC_AUC].interval is None
    assert by_name[ROC_AUC].note == "needs right answers of at least two classes"
    assert by_name[ACCURACY].difference == by_name[ACCURACY].result - by_name[ACCURACY].original
    sure = answers([np.array([-5.0, 5.0, 0.0])] * 3, many=False)
    metrics, _ = compare_with_labels(Truth(np.ones(3, dtype=int), ["a", "b", "c"]), sure, sure, Draws(100))
    f1 = next(metric for metric in metrics if metric.name == "F1: c")
    assert (f1.original, f1.note) == (None, "no text has this label, and no model gives it")


def high_of(count):
    return binomtest(0, count).proportion_ci(0.95).high


def test_a_label_whose_answers_did_not_change_is_not_certain():
    """Another label's answers changed; of this one no resample can differ, and other texts may."""
    yes, no, rare = np.eye(3) * 3
    original = answers([yes] * 20 + [no] * 20 + [rare] * 3, many=False)
    result = answers([no] * 5 + [yes] * 15 + [no] * 20 + [rare] * 3, many=False)
    truth = Truth(np.array([0] * 20 + [1] * 20 + [2] * 3), ["yes", "no", "rare"])
    by_name = {each.name: each for each in compare_with_labels(truth, original, result, Draws(50))[0]}
    for name in ("recall: rare", "precision: rare", "F1: rare"):
        assert by_name[name].difference == 0
        assert by_name[name].interval == (-high_of(3), high_of(3))
    assert by_name["recall: no"].interval == (-high_of(20), high_of(20))
    assert by_name["precision: no"].difference < 0  # it is given to more texts
    assert by_name["precision: no"].interval[1] < high_of(20)


def test_thresholds_decide_which_label_is_given():
    p = np.array([[0.4, 0.6], [0.25, 0.75], [0.9, 0.1]])
    usual, strict = (answers(list(np.log(p)), many=False, thresholds=each) for each in ({}, {1: 0.7}))
    assert usual.chosen.tolist() == [1, 1, 0]
    assert strict.chosen.tolist() == strict.at(np.arange(3)).chosen.tolist() == [0, 1, 0]
    truth = np.array([0, 1, 0])
    assert scores(truth, usual, ["a", "b"])["precision: b"] == 0.5
    assert scores(truth, strict, ["a", "b"])["precision: b"] == 1
    for name in ("PR-AUC: b", ROC_AUC, CALIBRATION_ERROR):  # these are about probabilities
        assert scores(truth, usual, ["a", "b"])[name] == scores(truth, strict, ["a", "b"])[name]
    several = answers([np.array([0.5, -0.5])], many=True, thresholds={0: 0.7, 1: 0.3})
    assert several.chosen.tolist() == [[0, 1]]


def test_the_same_answers_differ_in_nothing():
    same = random_answers(50, 3)
    truth = Truth(np.random.default_rng(2).integers(0, 3, 50), ["a", "b", "c"])
    metrics, mcnemar = compare_with_labels(truth, same, same, Draws(100))
    assert {metric.difference for metric in metrics} == {0.0}
    assert (
        metrics[0].interval == metrics[1].interval != (0.0, 0.0)
    )  # resamples cannot differ, other texts may
    by_name = {metric.name: metric.interval for metric in metrics}
    assert by_name["ROC-AUC"] == by_name["PR-AUC: a"] == by_name["calibration error"] == metrics[0].interval
    with_a = int((truth.values == 0).sum())
    assert by_name["recall: a"][1] == binomtest(0, with_a).proportion_ci(0.95).high > high_of(50)
    high = binomtest(0, 50).proportion_ci(0.95).high  # no resample can differ, other texts may
    assert metrics[0].interval == (-high, high)
    assert (mcnemar.only_original, mcnemar.only_result, mcnemar.p_value) == (0, 0, 1.0)
    assert [figure.value for figure in compare_outputs(same, same, None, Draws())] == [1.0, 0.0, 0.0, 0.0]


def test_where_nothing_got_worse_other_texts_still_may():
    """A result that is better, or wrong in another way, must not be surer of a budget than an unchanged one."""
    truth = Truth(np.array([0, 1, 2, 3, 0] * 30), ["a", "b", "c", "d"])
    one_hot = 5 * np.eye(4)
    own = [one_hot[label] for label in truth.values]
    own[0], own[5] = one_hot[1], one_hot[1]
    before = answers(own, many=False)
    high = binomtest(0, 150).proportion_ci(0.95).high
    # Two wrong answers become other wrong ones; then one of them becomes right.
    otherwise = answers([one_hot[2], *own[1:5], one_hot[2], *own[6:]], many=False)
    better = answers([one_hot[0], *own[1:]], many=False)
    for after, value in ((otherwise, 0.0), (better, -1 / 150)):
        metrics, _ = compare_with_labels(truth, before, after, Draws(200))
        drop = drop_of(metrics, ACCURACY)
        assert drop.value == pytest.approx(value)
        assert drop.interval[1] == pytest.approx(high)
        recall = drop_of(metrics, "recall: b")
        assert recall.none_changed
        assert recall.interval[1] == pytest.approx(binomtest(0, 30).proportion_ci(0.95).high)


def test_mcnemar():
    truth = Truth(np.zeros(12, dtype=int), ["a", "b"])
    right, wrong = np.array([1.0, 0.0]), np.array([0.0, 1.0])
    original = answers([right] * 10 + [wrong] * 2, many=False)
    result = answers([wrong] * 7 + [right] * 4 + [wrong], many=False)
    _, mcnemar = compare_with_labels(truth, original, result, Draws(100))
    assert (mcnemar.only_original, mcnemar.only_result) == (7, 1)
    assert math.isclose(mcnemar.p_value, binomtest(7, 8).pvalue)


def test_words_of_one_text_are_drawn_together():
    """Of two texts, one all right and one all wrong, a resample is all, half or nothing right."""
    right, wrong = np.array([9.0, 0.0]), np.array([0.0, 9.0])
    groups = [np.arange(8), np.arange(8, 16), np.array([], dtype=int)]
    truth = Truth(np.zeros(16, dtype=int), ["a", "b"], groups)
    assert truth.texts == 3
    original = answers([right] * 16, many=False)
    result = answers([right] * 8 + [wrong] * 8, many=False)
    metrics, mcnemar = compare_with_labels(truth, original, result, Draws(100))
    # None got better, and of three texts that says little.
    assert metrics[0].interval == (-1.0, binomtest(0, 3).proportion_ci(0.95).high)
    assert mcnemar is None  # it takes answers to be independent


@settings(deadline=None)
@given(st.integers(0, 99))
def test_divergence_is_that_of_scipy(seed):
    original, result = random_answers(5, 4, seed), random_answers(5, 4, seed + 1)
    expected = [entropy(p, q) for p, q in zip(original.probabilities, result.probabilities, strict=True)]
    np.testing.assert_allclose(divergences(original, result), expected, atol=1e-12)


def test_divergence_of_several_labels_adds_up():
    original, result = random_answers(5, 2, 0, many=True), random_answers(5, 2, 1, many=True)
    p, q = original.probabilities, result.probabilities
    expected = entropy([p, 1 - p], [q, 1 - q], axis=0).sum(axis=1)
    np.testing.assert_allclose(divergences(original, result), expected)


def test_divergence_stays_a_number_where_probabilities_vanish():
    original, result = (answers([np.array(row)], many=False) for row in ([0.0, 900.0], [900.0, 0.0]))
    assert divergences(original, result)[0] == pytest.approx(900)


def test_share_changed_has_an_exact_interval():
    drop = share_changed(np.array([True] * 99 + [False]), None, Draws())
    expected = binomtest(1, 100).proportion_ci(0.95)
    assert (drop.value, drop.interval) == (0.01, (expected.low, expected.high))
    nothing = share_changed(np.ones(100, dtype=bool), None, Draws())
    assert nothing.interval[1] > 0.03  # yet not for certain
    groups = [np.arange(50), np.arange(50, 100)]
    changed = share_changed(np.arange(100) < 50, groups, Draws())
    assert (changed.value, changed.interval) == (0.5, (0.0, 1.0))  # two texts, not a hundred words


def test_confidence_and_calibration():
    sure = answers([np.array([0.0, 50.0])] * 4, many=False)
    truth = np.array([1, 1, 1, 0])
    confidence, right = confidences(truth, sure)
    assert confidence.tolist() == pytest.approx([1.0] * 4)
    assert right.tolist() == [True, True, True, False]
    assert scores(truth, sure, ["a", "b"])[CALIBRATION_ERROR] == pytest.approx(0.25)


def test_a_drop_says_whether_its_interval_is_that_of_no_change():
    truth = np.array([0, 0, 0, 1, 1, 1] * 10)
    right = [np.array([1.0, 0.0]) if label == 0 else np.array([0.0, 1.0]) for label in truth]
    # One that is not toxic is called toxic; those that are toxic stay as they were.
    changed = [np.array([0.0, 1.0]), *right[1:]]
    before, after = answers(right, many=False), answers(changed, many=False)
    metrics, _ = compare_with_labels(Truth(truth, ("fine", "toxic")), before, after, Draws(50))
    assert drop_of(metrics, "recall: toxic").none_changed
    assert not drop_of(metrics, "recall: fine").none_changed
    assert not drop_of(metrics, ACCURACY).none_changed
