"""Outputs with thresholds chosen, for each model, on one half of the texts: the other half judges."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from prensa.evaluation import classification as cls
from prensa.evaluation.best_label_threshold import best_threshold, dealt_out
from prensa.evaluation.figures import ChosenThreshold
from prensa.evaluation.label_scores import Flags, flags
from prensa.evaluation.label_thresholds import Thresholds
from prensa.evaluation.outputs import Outputs
from prensa.evaluation.predict import Output


def on_other_half(outputs: Outputs) -> Outputs:
    """Choose the thresholds that are to be chosen, and return the outputs for the half that judges.

    Outputs of which nothing is to be chosen, or everything was, are returned as they are. Raises
    :class:`~prensa.errors.DataError` where the texts are too few, or a half has no text with a label.
    """
    if not outputs.terms.to_choose or outputs.chosen[0]:
        return outputs
    halves = dealt_out(outputs.texts, outputs.terms.to_choose, outputs.task)
    some = outputs.take(halves.search)
    truth = np.stack(some.texts.labels or ()).astype(np.int64, copy=False)
    applies = flags(truth, len(outputs.task.labels))
    chosen = (_chosen(some, some.original, applies), _chosen(some, some.result, applies))
    return dataclasses.replace(outputs.take(halves.check), chosen=chosen)


def _chosen(outputs: Outputs, answers: Sequence[Output], applies: Flags) -> Thresholds:
    """Choose each label's threshold as if no other label had one."""
    given = cls.answers(answers, many=outputs.task.kind == "multi-label")
    thresholds: dict[int, float] = {}
    for label in outputs.terms.to_choose:
        thresholds[label] = best_threshold(applies[:, label], given.probabilities[:, label])
    return thresholds


def chosen_thresholds(outputs: Outputs) -> tuple[ChosenThreshold, ...]:
    """Name the thresholds that were chosen."""
    of_original, of_result = outputs.chosen
    named: list[ChosenThreshold] = []
    for label, threshold in of_original.items():
        named.append(ChosenThreshold(outputs.task.labels[label], threshold, of_result[label]))
    return tuple(named)
