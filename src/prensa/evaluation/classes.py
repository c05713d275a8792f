"""Compare classifiers of texts: one label for each text, or several."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from prensa.evaluation import classification as cls
from prensa.evaluation.bootstrap import Draws
from prensa.evaluation.calibration_error import reliability
from prensa.evaluation.disagreements import Described, answer, most, named
from prensa.evaluation.figures import ACCURACY, MACRO_F1, Quality, Recall, label_of
from prensa.evaluation.label_scores import flags
from prensa.evaluation.original import guessing
from prensa.evaluation.outputs import Outputs
from prensa.evaluation.recalls import recall_of
from prensa.evaluation.terms import Terms

Integers = NDArray[np.int64]


def compare_texts(outputs: Outputs, draws: Draws) -> Quality:
    """Compare classes, one for each text or several."""
    many = outputs.task.kind == "multi-label"
    of_original, of_result = outputs.thresholds
    before = cls.answers(outputs.original, many=many, thresholds=of_original)
    after = cls.answers(outputs.result, many=many, thresholds=of_result)
    names = outputs.task.labels
    labels = outputs.texts.labels
    truth = None
    known = None
    if labels is not None:
        truth = np.stack(labels).astype(np.int64, copy=False)
        known = cls.Truth(truth, names)
    quality = compare_classes(known, None, before, after, draws, outputs.terms)

    def describe(index: int) -> Described:
        right = ""
        if truth is not None:
            right = named(truth[index], names)
        return right, answer(before, index, names), answer(after, index, names)

    amounts = cls.divergences(before, after)
    listed = most(outputs.texts, amounts, describe)
    return dataclasses.replace(quality, disagreement="divergence (KL, nats)", disagreements=listed)


def compare_classes(
    truth: cls.Truth | None,
    groups: list[Integers] | None,
    before: cls.Answers,
    after: cls.Answers,
    draws: Draws,
    terms: Terms,
) -> Quality:
    """Compare answers, and with the right ones if they are known.

    ``groups`` are the indices of each text's words, None where each text has one answer. The drop is that of
    the metric in ``terms``, usually accuracy, or macro F1 where a text has several answers.
    """
    # The intervals of a score are what takes its time, and what is waited for: these figures report nothing.
    figures = cls.compare_outputs(before, after, groups, Draws(draws.count))
    if truth is None:
        same = cls.same_answer(before, after)
        drop = cls.share_changed(same, groups, draws)
        return Quality(drop=drop, figures=figures)
    metrics, mcnemar = cls.compare_with_labels(truth, before, after, draws)
    judged_by = ACCURACY
    if before.many or groups is not None:
        judged_by = MACRO_F1
    return Quality(
        drop=cls.drop_of(metrics, terms.metric or judged_by),
        metrics=metrics,
        figures=figures,
        mcnemar=mcnemar,
        guessing=guessing(truth.values, before),
        reliability_original=reliability(*cls.confidences(truth.values, before)),
        reliability=reliability(*cls.confidences(truth.values, after)),
        recalls=_recalls(truth, after, draws, terms),
    )


def _recalls(truth: cls.Truth, given: cls.Answers, draws: Draws, terms: Terms) -> tuple[Recall, ...]:
    """Return how much is found of the labels that have a smallest recall."""
    right = flags(truth.values, len(truth.labels))
    chosen = flags(given.chosen, len(truth.labels))
    recalls: list[Recall] = []
    for name, metric in terms.recalls.items():
        index = list(truth.labels).index(label_of(metric))
        has_label = truth.sums(right[:, index])
        found = truth.sums(right[:, index] & chosen[:, index])
        recalls.append(recall_of(name, has_label, found, draws))
    return tuple(recalls)
