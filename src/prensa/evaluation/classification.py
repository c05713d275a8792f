"""Compare classifiers: of texts, of texts with several labels, and of words.

Metrics are scikit-learn's and SciPy's. With labels: accuracy, F1, ROC-AUC and calibration error of both
models, and intervals for the differences. Always: agreement, Kullback–Leibler divergence, and the largest
change of a probability.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, log_expit, log_softmax, softmax
from scipy.stats import binomtest, rankdata
from sklearn.metrics import accuracy_score, f1_score

from prensa.evaluation.bootstrap import Draws, Interval, intervals
from prensa.evaluation.calibration import calibration_error
from prensa.evaluation.results import ACCURACY, AGREEMENT, CHANGED, MACRO_F1, Drop, Figure, McNemar, Metric

Array = NDArray[Any]

ROC_AUC, CALIBRATION_ERROR = "ROC-AUC", "calibration error"

_NO_METRIC = {
    ROC_AUC: "needs right answers of at least two classes",
    "F1": "no text has this label, and no model gives it",
}


@dataclass(frozen=True)
class Truth:
    """What is right: ids ``[things]``, or zeros and ones ``[things, labels]``, and the labels' names.

    ``groups`` are the things of each text, where a text has several.
    """

    values: Array
    labels: Sequence[str]
    groups: Sequence[Array] | None = None

    @property
    def texts(self) -> int:
        """Count the texts."""
        return len(self.values if self.groups is None else self.groups)

    def things(self, texts: Array) -> Array:
        """Return the indices of what is in some of the texts."""
        return texts if self.groups is None else np.concatenate([self.groups[i] for i in texts])


@dataclass(frozen=True)
class Answers:
    """What a classifier says of some things: logits and probabilities ``[things, labels]``.

    Each row is a distribution or, with ``many``, each number the probability that its label applies.
    """

    logits: Array
    probabilities: Array
    many: bool

    @cached_property
    def chosen(self) -> Array:
        """Ids ``[things]``, or zeros and ones ``[things, labels]``."""
        if self.many:
            return (self.probabilities > 0.5).astype(np.int64)  # noqa: PLR2004
        return np.asarray(self.probabilities.argmax(axis=1))

    def at(self, indices: Array) -> Answers:
        """Return the answers for some of the things."""
        return Answers(self.logits[indices], self.probabilities[indices], self.many)


def answers(outputs: Sequence[Array], *, many: bool) -> Answers:
    """Turn logits of texts ``[labels]``, or of their words ``[words, labels]``, into probabilities."""
    logits = np.concatenate([np.atleast_2d(output) for output in outputs]).astype(np.float64)
    return Answers(logits, expit(logits) if many else softmax(logits, axis=1), many)


def scores(truth: Array, given: Answers, labels: Sequence[str]) -> dict[str, float]:
    """Compute every metric; NaN where it is not defined.

    ``truth`` are ids ``[things]``, or zeros and ones ``[things, labels]``. Macro F1 is the mean over the
    labels that occur in the truth or in the answers, as in scikit-learn. ROC-AUC of several labels is the
    mean over those that both occur and do not.
    """
    each = _f1(truth, given.chosen, len(labels))
    return {
        ACCURACY: float(accuracy_score(truth, given.chosen)),
        MACRO_F1: _mean(each),
        **{f"F1: {label}": float(f1) for label, f1 in zip(labels, each, strict=True)},
        ROC_AUC: _roc_auc(truth, given),
        CALIBRATION_ERROR: calibration_error(*confidences(truth, given)),
    }


def compare_with_labels(
    truth: Truth, original: Answers, result: Answers, draws: Draws
) -> tuple[tuple[Metric, ...], McNemar | None]:
    """Return the metrics of both, and McNemar's test where there is one answer for each text.

    Whole texts are drawn for the intervals, since the words of one text have much in common; the test takes
    things to be independent, so it is left out for words.
    """
    before, after = (scores(truth.values, given, truth.labels) for given in (original, result))

    def differences(texts: Array) -> list[float]:
        at = truth.things(texts)
        if not len(at):  # texts without words
            return [float("nan")] * len(before)
        one, other = (scores(truth.values[at], each.at(at), truth.labels) for each in (original, result))
        return [other[name] - one[name] for name in one]

    found = dict(zip(before, intervals(differences, truth.texts, draws), strict=True))
    if same_answer(original, result).all():
        for name in (ACCURACY, MACRO_F1):
            found[name] = found[name] and _none_changed(truth.texts)
    metrics = tuple(
        Metric(
            name,
            _known(before[name]),
            _known(after[name]),
            found[name],
            higher_is_better=name != CALIBRATION_ERROR,
            note=_note(name, before[name], after[name]),
        )
        for name in before
    )
    if original.many or truth.groups is not None:
        return metrics, None
    return metrics, _mcnemar(original.chosen == truth.values, result.chosen == truth.values)


def compare_outputs(
    original: Answers, result: Answers, groups: Sequence[Array] | None, draws: Draws
) -> tuple[Figure, ...]:
    """Compare without labels: share of the same answers, divergence, change of probabilities."""
    divergence = divergences(original, result)
    changed = share_changed(same_answer(original, result), groups, draws)
    interval = changed.interval and (1 - changed.interval[1], 1 - changed.interval[0])
    return (
        Figure(AGREEMENT, 1 - changed.value, is_share=True, interval=interval),
        Figure("mean divergence (KL, nats)", float(divergence.mean())),
        Figure("largest divergence (KL, nats)", float(divergence.max())),
        Figure("largest change of a probability", float(shifts(original, result).max()), is_share=True),
    )


def same_answer(original: Answers, result: Answers) -> Array:
    """Whether the models choose the same, for each thing."""
    same = original.chosen == result.chosen
    return np.asarray(same.all(axis=1) if original.many else same)


def divergences(original: Answers, result: Answers) -> Array:
    """Return the Kullback–Leibler divergence of each thing's answer from the original's, in nats."""
    p, before, after = original.probabilities, original.logits, result.logits
    if not original.many:
        return np.asarray((p * (log_softmax(before, axis=1) - log_softmax(after, axis=1))).sum(axis=1))
    applies = p * (log_expit(before) - log_expit(after))
    applies_not = (1 - p) * (log_expit(-before) - log_expit(-after))
    return np.asarray((applies + applies_not).sum(axis=1))


def shifts(original: Answers, result: Answers) -> Array:
    """Return the largest change of a probability, for each thing."""
    return np.asarray(np.abs(original.probabilities - result.probabilities).max(axis=1))


def confidences(truth: Array, given: Answers) -> tuple[Array, Array]:
    """Return how sure the model is of each answer, and whether it is right; with ``many``, of each label."""
    if given.many:
        return given.probabilities.ravel(), truth.ravel()
    return given.probabilities.max(axis=1), given.chosen == truth


def drop_of(metrics: Sequence[Metric], name: str) -> Drop | None:
    """Return how much a score of the result is below the original's."""
    metric = next(each for each in metrics if each.name == name)
    if metric.difference is None:
        return None
    interval = metric.interval and (0.0 - metric.interval[1], 0.0 - metric.interval[0])  # no negative zero
    return Drop(name, 0.0 - metric.difference, interval)


def share_changed(same: Array, groups: Sequence[Array] | None, draws: Draws) -> Drop:
    """Return the share of changed answers.

    Its interval is the exact one of Clopper and Pearson or, for words, that of resampled texts; where no word
    changed, so that no resample can differ, the exact one of 0 of so many texts.
    """
    changed = float((~same).mean())
    if groups is None:
        return Drop(CHANGED, changed, _exact(int((~same).sum()), len(same)))
    if draws.count and same.all():
        return Drop(CHANGED, changed, _exact(0, len(groups)))
    counts = np.array([[(~same[group]).sum(), len(group)] for group in groups], dtype=float)

    def share(texts: Array) -> list[float]:
        drawn = counts[texts].sum(axis=0)
        return [float(drawn[0] / drawn[1]) if drawn[1] else float("nan")]

    return Drop(CHANGED, changed, intervals(share, len(groups), draws)[0])


def _none_changed(texts: int) -> Interval:
    """Return an interval for a difference where no answer differs.

    Resamples of such texts cannot differ either; but the share of other texts on which the models would may
    be as high as the exact interval of 0 of so many says.
    """
    high = _exact(0, texts)[1]
    return -high, high


def _exact(count: int, of: int) -> Interval:
    found = binomtest(count, of).proportion_ci(0.95)
    return float(found.low), float(found.high)


def _f1(truth: Array, chosen: Array, labels: int) -> Array:
    """Return each label's F1; scikit-learn takes a single column for answers of its own, so it gets a row."""
    if truth.ndim > 1 and labels == 1:
        truth, chosen, ids = truth[:, 0], chosen[:, 0], [1]
    else:
        ids = list(range(labels))
    return np.asarray(f1_score(truth, chosen, labels=ids, average=None, zero_division=np.nan))


def _roc_auc(truth: Array, given: Answers) -> float:
    """Return the area under the ROC curve by the ranks of the positives (Mann and Whitney's U)."""
    p = given.probabilities
    if given.many:
        positive = truth.astype(bool)
    elif p.shape[1] == 2:  # noqa: PLR2004  the second class stands for both
        positive, p = (truth == 1)[:, None], p[:, 1:]
    else:
        positive = truth[:, None] == np.arange(p.shape[1])
    hits, misses = positive.sum(axis=0), (~positive).sum(axis=0)
    applies = (hits > 0) & (misses > 0)
    if not applies.any():
        return float("nan")
    ranks = np.where(positive, rankdata(p, axis=0), 0).sum(axis=0)
    u = ranks - hits * (hits + 1) / 2
    return float((u[applies] / (hits * misses)[applies]).mean())


def _mcnemar(original_right: Array, result_right: Array) -> McNemar:
    """Test whether the things that only one has right are shared out by chance (McNemar, exact form)."""
    only_original = int((original_right & ~result_right).sum())
    only_result = int((result_right & ~original_right).sum())
    discordant = only_original + only_result
    p_value = binomtest(only_original, discordant).pvalue if discordant else 1.0
    return McNemar(only_original, only_result, float(p_value))


def _mean(values: Array) -> float:
    return float(np.nanmean(values)) if not np.isnan(values).all() else float("nan")


def _known(value: float) -> float | None:
    return None if np.isnan(value) else value


def _note(name: str, before: float, after: float) -> str:
    if not np.isnan([before, after]).any():
        return ""
    return _NO_METRIC.get(name.partition(":")[0], "not defined here")
