"""Compare classifiers: of texts, of texts with several labels, and of words.

Metrics are scikit-learn's and SciPy's. With labels: accuracy, F1, ROC-AUC and calibration error of both
models, and intervals for the differences. Always: agreement, Kullback–Leibler divergence, and the largest
change of a probability.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from prensa.evaluation.bootstrap import Draws, exact_interval, intervals
from prensa.evaluation.calibration_error import calibration_error
from prensa.evaluation.figures import (
    ACCURACY,
    AGREEMENT,
    CHANGED,
    F1,
    MACRO_F1,
    PR_AUC,
    PRECISION,
    RECALL,
    ROC_AUC,
    Drop,
    Figure,
    McNemar,
    Metric,
    metric_of,
    of_label,
    without_label,
)
from prensa.evaluation.label_scores import Rankings, count, flags
from prensa.evaluation.label_thresholds import Thresholds, one_of, several_of

Floats = NDArray[np.floating]
Ids = NDArray[np.int64]
Flags = NDArray[np.bool_]

CALIBRATION_ERROR = "calibration error"

# Of two classes the second one stands for both.
_TWO = 2

_NO_METRIC = {
    ROC_AUC: "needs right answers of at least two classes",
    F1: "no text has this label, and no model gives it",
    RECALL: "no text has this label",
    PRECISION: "a model gives this label to no text",
    PR_AUC: "no text has this label",
}


@dataclass(frozen=True)
class Truth:
    """What is right: ids ``[things]``, or zeros and ones ``[things, labels]``, and the labels' names.

    ``groups`` are the indices of each text's things, None if a text is one thing.
    """

    values: Ids
    labels: Sequence[str]
    groups: Sequence[Ids] | None = None

    @property
    def texts(self) -> int:
        """Count the texts."""
        if self.groups is None:
            return len(self.values)
        return len(self.groups)

    def things(self, texts: Ids) -> Ids:
        """Return the indices of what is in some of the texts."""
        if self.groups is None:
            return texts
        return np.concatenate([self.groups[text] for text in texts])

    def sums(self, some: Flags) -> Floats:
        """Count some of the things ``[things]`` in each text ``[texts]``."""
        if self.groups is None:
            return some.astype(float)
        return np.array([float(some[group].sum()) for group in self.groups])

    def count(self, some: Flags) -> int:
        """Count the texts that have any of some things ``[things]``."""
        return int((self.sums(some) > 0).sum())


@dataclass(frozen=True)
class Answers:
    """What a classifier answers for some things: logits and probabilities ``[things, labels]``.

    Each row is a distribution or, with ``many``, each number the probability that its label applies.
    ``thresholds`` are the probabilities from which on labels are given, where those are not the usual ones.
    """

    logits: Floats
    probabilities: Floats
    many: bool
    thresholds: Thresholds = field(default_factory=dict)

    @cached_property
    def chosen(self) -> Ids:
        """Ids ``[things]``, or zeros and ones ``[things, labels]``."""
        if self.many:
            return several_of(self.probabilities, self.thresholds)
        return one_of(self.probabilities, self.thresholds)

    def at(self, indices: Ids) -> Answers:
        """Return the answers for some of the things."""
        return Answers(self.logits[indices], self.probabilities[indices], self.many, self.thresholds)


def answers(outputs: Sequence[Floats], *, many: bool, thresholds: Thresholds | None = None) -> Answers:
    """Turn logits of texts ``[labels]``, or of their words ``[words, labels]``, into probabilities."""
    from scipy.special import expit, softmax

    rows = [np.atleast_2d(output) for output in outputs]
    # In float64: differences of small probabilities are what divergences are made of.
    logits = np.concatenate(rows).astype(np.float64)
    if many:
        return Answers(logits, expit(logits), many, thresholds or {})
    return Answers(logits, softmax(logits, axis=1), many, thresholds or {})


def scores(truth: Ids, given: Answers, labels: Sequence[str]) -> dict[str, float]:
    """Compute every metric; NaN if it is not defined.

    ``truth`` are ids ``[things]``, or zeros and ones ``[things, labels]``. Macro F1 is the mean over the
    labels that occur in the truth or in the answers, as in scikit-learn. ROC-AUC of several labels is the
    mean over those that both occur and do not.
    """
    return _Scores(truth, given, labels, are_words=False).of(np.arange(len(truth)))


class _Scores:
    """The metrics of one model on any of its things, what is the same for all of them computed once.

    Words have no PR-AUC: there are many of them, and their probabilities would be ranked for each label.
    """

    def __init__(self, truth: Ids, given: Answers, labels: Sequence[str], *, are_words: bool) -> None:
        self._truth = truth
        self._given = given
        self._labels = labels
        self._rankings = None
        if not are_words:
            self._rankings = Rankings(flags(truth, len(labels)), given.probabilities)

    def of(self, things: Ids) -> dict[str, float]:
        """Compute the metrics of some things, named more than once as often as they count."""
        truth = self._truth[things]
        given = self._given.at(things)
        chosen = self._given.chosen[things]
        right = truth == chosen
        if given.many:
            right = right.all(axis=1)
        counts = count(truth, chosen, len(self._labels))
        metrics = {ACCURACY: float(right.mean()), MACRO_F1: _mean(counts.f1)}
        of_labels = {F1: counts.f1, RECALL: counts.recall, PRECISION: counts.precision}
        if self._rankings is not None:
            weights = np.bincount(things, minlength=len(self._truth)).astype(float)
            of_labels[PR_AUC] = self._rankings.average_precision(weights)
        for index, label in enumerate(self._labels):
            for name, values in of_labels.items():
                metrics[of_label(name, label)] = float(values[index])
        metrics[ROC_AUC] = _roc_auc(truth, given)
        confidence, is_right = confidences(truth, given)
        metrics[CALIBRATION_ERROR] = calibration_error(confidence, is_right)
        return metrics


def compare_with_labels(
    truth: Truth,
    original: Answers,
    result: Answers,
    draws: Draws,
) -> tuple[tuple[Metric, ...], McNemar | None]:
    """Return the metrics of both, and McNemar's test if there is one answer for each text.

    Whole texts are drawn for the intervals, since the words of one text have much in common; the test takes
    things to be independent, so it is left out for words.
    """
    are_words = truth.groups is not None
    of_original = _Scores(truth.values, original, truth.labels, are_words=are_words)
    of_result = _Scores(truth.values, result, truth.labels, are_words=are_words)
    everything = np.arange(len(truth.values))
    before = of_original.of(everything)
    after = of_result.of(everything)

    def differences(texts: Ids) -> list[float]:
        at = truth.things(texts)
        # All of the drawn texts may be without words.
        if not len(at):
            return [float("nan")] * len(before)
        one = of_original.of(at)
        other = of_result.of(at)
        return [other[name] - one[name] for name in one]

    of_metrics = intervals(differences, truth.texts, draws)
    rests_on = _rests_on(truth, original)
    metrics = []
    for name, interval in zip(before, of_metrics, strict=True):
        metric = metric_of(
            name,
            before[name],
            after[name],
            interval,
            missing=_NO_METRIC.get(without_label(name), "not defined here"),
            higher_is_better=name != CALIBRATION_ERROR,
            rests_on=rests_on.get(name, truth.texts),
        )
        metrics.append(metric)

    if original.many or are_words:
        return tuple(metrics), None
    test = _mcnemar(original.chosen == truth.values, result.chosen == truth.values)
    return tuple(metrics), test


def _rests_on(truth: Truth, original: Answers) -> dict[str, int]:
    """Return how many texts the metrics of a label rest on: those that have it, are given it, or either.

    All others rest on all texts.
    """
    counts: dict[str, int] = {}
    labels = len(truth.labels)
    right = flags(truth.values, labels)
    given = flags(original.chosen, labels)
    for index, label in enumerate(truth.labels):
        counts[of_label(RECALL, label)] = truth.count(right[:, index])
        counts[of_label(PRECISION, label)] = truth.count(given[:, index])
        counts[of_label(F1, label)] = truth.count(right[:, index] | given[:, index])
    return counts


def compare_outputs(
    original: Answers,
    result: Answers,
    groups: Sequence[Ids] | None,
    draws: Draws,
) -> tuple[Figure, ...]:
    """Compare without labels: share of the same answers, divergence, change of probabilities."""
    changed = share_changed(same_answer(original, result), groups, draws)
    interval = None
    if changed.interval:
        low, high = changed.interval
        interval = (1 - high, 1 - low)
    divergence = divergences(original, result)
    shift = shifts(original, result).max()
    return (
        Figure(AGREEMENT, 1 - changed.value, is_share=True, interval=interval),
        Figure("mean divergence (KL, nats)", float(divergence.mean())),
        Figure("largest divergence (KL, nats)", float(divergence.max())),
        Figure("largest change of a probability", float(shift), is_share=True),
    )


def same_answer(original: Answers, result: Answers) -> Flags:
    """Whether the models choose the same, for each thing ``[things]``."""
    same = original.chosen == result.chosen
    if original.many:
        same = same.all(axis=1)
    return np.asarray(same)


def divergences(original: Answers, result: Answers) -> Floats:
    """Return the Kullback–Leibler divergence from the original, in nats, for each thing ``[things]``."""
    from scipy.special import log_expit, log_softmax

    p = original.probabilities
    before = original.logits
    after = result.logits
    # From logits, not from probabilities: those that round to 0 have no logarithm.
    if not original.many:
        log_ratio = log_softmax(before, axis=1) - log_softmax(after, axis=1)
        return np.asarray((p * log_ratio).sum(axis=1))
    applies = p * (log_expit(before) - log_expit(after))
    applies_not = (1 - p) * (log_expit(-before) - log_expit(-after))
    return np.asarray((applies + applies_not).sum(axis=1))


def shifts(original: Answers, result: Answers) -> Floats:
    """Return the largest change of a probability, for each thing ``[things]``."""
    change = np.abs(original.probabilities - result.probabilities)
    return np.asarray(change.max(axis=1))


def confidences(truth: Ids, given: Answers) -> tuple[Floats, Ids | Flags]:
    """Return how sure the model is of each answer, and whether it is right; with ``many``, of each label."""
    if given.many:
        return given.probabilities.ravel(), truth.ravel()
    # The likeliest label, whatever threshold others have: it is what the model is sure of.
    return given.probabilities.max(axis=1), given.probabilities.argmax(axis=1) == truth


def drop_of(metrics: Sequence[Metric], name: str) -> Drop | None:
    """Return how much a score of the result is below the original's."""
    by_name = {metric.name: metric for metric in metrics}
    metric = by_name[name]
    if metric.difference is None:
        return None
    # From 0.0, not with a minus sign: that would make a negative zero, which JSON keeps.
    value = 0.0 - metric.difference
    if not metric.interval:
        return Drop(name, value, None)
    low, high = metric.interval
    return Drop(name, value, (0.0 - high, 0.0 - low), none_changed=metric.none_changed)


def share_changed(same: Flags, groups: Sequence[Ids] | None, draws: Draws) -> Drop:
    """Return the share of changed answers.

    Its interval is the exact one of Clopper and Pearson or, for words, that of resampled texts; if no word
    changed, so that no resample can differ, the exact one of 0 of so many texts.
    """
    changed = float((~same).mean())
    if groups is None:
        count = int((~same).sum())
        return Drop(CHANGED, changed, exact_interval(count, len(same)), none_changed=not count)
    if draws.count and same.all():
        return Drop(CHANGED, changed, exact_interval(0, len(groups)), none_changed=True)

    # [texts, 2]: changed words and all words of each text, so that a resample is a sum of rows.
    counts = np.array([[(~same[group]).sum(), len(group)] for group in groups], dtype=float)

    def share(texts: Ids) -> list[float]:
        changed_words, words = counts[texts].sum(axis=0)
        if not words:
            return [float("nan")]
        return [float(changed_words / words)]

    (interval,) = intervals(share, len(groups), draws)
    return Drop(CHANGED, changed, interval)


def _roc_auc(truth: Ids, given: Answers) -> float:
    """Return the area under the ROC curve by the ranks of the positives (Mann and Whitney's U)."""
    from scipy.stats import rankdata

    # Both [things, labels]: whether a label is right, and how likely the model finds it.
    p = given.probabilities
    if given.many:
        positive = truth.astype(bool)
    elif p.shape[1] == _TWO:
        positive = (truth == 1)[:, None]
        p = p[:, 1:]
    else:
        positive = truth[:, None] == np.arange(p.shape[1])

    hits = positive.sum(axis=0)
    misses = (~positive).sum(axis=0)
    has_both = (hits > 0) & (misses > 0)
    if not has_both.any():
        return float("nan")
    ranks = np.where(positive, rankdata(p, axis=0), 0).sum(axis=0)
    # U counts the pairs of a positive and a negative that are in the right order; the area is their share.
    u = ranks - hits * (hits + 1) / 2
    pairs = hits * misses
    return float((u[has_both] / pairs[has_both]).mean())


def _mcnemar(original_right: Flags, result_right: Flags) -> McNemar:
    """Test whether the things that only one has right are shared out by chance (McNemar, exact form)."""
    from scipy.stats import binomtest

    only_original = int((original_right & ~result_right).sum())
    only_result = int((result_right & ~original_right).sum())
    discordant = only_original + only_result
    p_value = 1.0
    if discordant:
        p_value = binomtest(only_original, discordant).pvalue
    return McNemar(only_original, only_result, float(p_value))


def _mean(values: Floats) -> float:
    # NumPy warns of a mean of nothing.
    if np.isnan(values).all():
        return float("nan")
    return float(np.nanmean(values))
