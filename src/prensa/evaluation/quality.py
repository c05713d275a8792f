"""How well the result does what its task asks, beside the original: one function for each kind of task."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prensa.checkpoint.task import Kind, Task
from prensa.evaluation import classification as cls
from prensa.evaluation import embeddings, language, regression
from prensa.evaluation.bootstrap import Draws
from prensa.evaluation.calibration import reliability
from prensa.evaluation.original import guessing, likeness
from prensa.evaluation.predict import Output
from prensa.evaluation.results import ACCURACY, MACRO_F1, Disagreement, Quality
from prensa.texts.columns import Texts
from prensa.texts.ids import IGNORED

Array = NDArray[Any]

_Both = tuple[cls.Answers, cls.Answers]
"""Answers of the original and of the result."""

SHOWN = 20  # texts on which the models disagree most
_LONGEST = 2000  # characters of a text that is shown
_NOISE = 1e-9  # a disagreement below this is rounding


@dataclass(frozen=True)
class Outputs:
    """What two models make of the same texts.

    ``places`` are, for models of words, the positions of each word's first piece in its text.
    """

    task: Task
    texts: Texts
    places: Sequence[Sequence[int]]
    original: Sequence[Output]
    result: Sequence[Output]


def compare(outputs: Outputs, draws: Draws) -> Quality:
    """Compare a result's outputs with the original's, and with the right answers where they are known."""
    alike = likeness(outputs.task.kind, outputs.original)
    broken = sum(not np.isfinite(output).all() for output in outputs.result)
    if broken:
        return Quality(broken=broken, alike=alike)
    return dataclasses.replace(_COMPARISONS[outputs.task.kind](outputs, draws), alike=alike)


def _of_texts(outputs: Outputs, draws: Draws) -> Quality:
    many = outputs.task.kind == "multi-label"
    before, after = (cls.answers(each, many=many) for each in (outputs.original, outputs.result))
    labels = outputs.texts.labels
    truth = None if labels is None else np.stack(labels)
    known = None if truth is None else cls.Truth(truth, outputs.task.labels)
    quality = _classification(known, None, (before, after), draws)
    amounts = cls.divergences(before, after)
    names = outputs.task.labels

    def describe(index: int) -> tuple[str, str, str]:
        right = "" if truth is None else _named(truth[index], names)
        return right, _answer(before, index, names), _answer(after, index, names)

    listed = _most(outputs.texts, amounts, describe)
    return dataclasses.replace(quality, disagreement="divergence (KL, nats)", disagreements=listed)


def _of_words(outputs: Outputs, draws: Draws) -> Quality:
    before, after = (cls.answers(each, many=False) for each in (outputs.original, outputs.result))
    if not len(before.probabilities):  # no text has a word
        return Quality()
    ends = np.cumsum([0, *(len(output) for output in outputs.original)])
    groups = [np.arange(start, stop) for start, stop in pairwise(ends)]
    labels = outputs.texts.labels
    truth = None if labels is None else np.concatenate(_labels_of_pieces(labels, outputs.places))
    known = None if truth is None else cls.Truth(truth, outputs.task.labels, groups)
    quality = _labelled_words(known, groups, (before, after), draws)
    amounts = cls.divergences(before, after)
    worst = np.array([group[amounts[group].argmax()] if len(group) else -1 for group in groups])
    names = outputs.task.labels
    words = _words_of_pieces(outputs.texts, outputs.places)

    def describe(index: int) -> tuple[str, str, str]:
        thing = worst[index]
        word = words[index][thing - ends[index]]
        right = "" if truth is None or truth[thing] == IGNORED else f"{word}: {names[truth[thing]]}"
        return right, f"{word}: {_answer(before, thing, names)}", f"{word}: {_answer(after, thing, names)}"

    of_texts = np.where(worst < 0, 0.0, amounts[worst])
    listed = _most(outputs.texts, of_texts, describe)
    return dataclasses.replace(
        quality, disagreement="largest divergence of a word (KL, nats)", disagreements=listed
    )


def _labelled_words(truth: cls.Truth | None, groups: list[Array], both: _Both, draws: Draws) -> Quality:
    """Leave out words without a label, then compare as texts are compared."""
    if truth is None or (truth.values == IGNORED).all():
        return _classification(None, groups, both, draws)
    kept = truth.values != IGNORED
    numbers = np.cumsum(kept) - 1
    of_texts = [numbers[group[kept[group]]] for group in groups]
    known = cls.Truth(truth.values[kept], truth.labels, of_texts)
    return _classification(known, of_texts, (both[0].at(kept), both[1].at(kept)), draws)


def _classification(
    truth: cls.Truth | None, groups: list[Array] | None, both: _Both, draws: Draws
) -> Quality:
    before, after = both
    # The intervals of a score are what takes its time, and what is waited for.
    figures = cls.compare_outputs(before, after, groups, Draws(draws.count))
    if truth is None:
        drop = cls.share_changed(cls.same_answer(before, after), groups, draws)
        return Quality(drop=drop, figures=figures)
    metrics, mcnemar = cls.compare_with_labels(truth, before, after, draws)
    judged_by = MACRO_F1 if before.many or groups is not None else ACCURACY
    return Quality(
        drop=cls.drop_of(metrics, judged_by),
        metrics=metrics,
        figures=figures,
        mcnemar=mcnemar,
        guessing=guessing(truth.values, before),
        reliability_original=reliability(*cls.confidences(truth.values, before)),
        reliability=reliability(*cls.confidences(truth.values, after)),
    )


def _of_numbers(outputs: Outputs, draws: Draws) -> Quality:
    before, after = (np.concatenate(each).astype(float) for each in (outputs.original, outputs.result))
    labels = outputs.texts.labels
    truth = None if labels is None else np.array(labels, dtype=float)

    def describe(index: int) -> tuple[str, str, str]:
        right = "" if truth is None else f"{truth[index]:.4g}"
        return right, f"{before[index]:.4g}", f"{after[index]:.4g}"

    quality = regression.compare(truth, before, after, draws)
    listed = _most(outputs.texts, np.abs(after - before), describe)
    return dataclasses.replace(quality, disagreement="distance", disagreements=listed)


def _of_language(outputs: Outputs, draws: Draws) -> Quality:
    before, after = np.stack(outputs.original), np.stack(outputs.result)

    def describe(index: int) -> tuple[str, str, str]:
        return "", language.describe(before[index]), language.describe(after[index])

    listed = _most(outputs.texts, language.mean_divergences(after), describe)
    quality = language.compare(before, after, draws)
    return dataclasses.replace(
        quality, disagreement="mean divergence (KL, nats per piece)", disagreements=listed
    )


def _of_vectors(outputs: Outputs, draws: Draws) -> Quality:
    before, after = np.stack(outputs.original), np.stack(outputs.result)
    distances = 1 - embeddings.cosines(before, after)

    def describe(index: int) -> tuple[str, str, str]:
        return "", "", f"cosine {1 - distances[index]:.4f}"

    listed = _most(outputs.texts, distances, describe)
    quality = embeddings.compare(before, after, draws)
    return dataclasses.replace(quality, disagreement="1 − cosine", disagreements=listed)


_COMPARISONS: dict[Kind, Callable[[Outputs, Draws], Quality]] = {
    "classes": _of_texts,
    "multi-label": _of_texts,
    "tokens": _of_words,
    "regression": _of_numbers,
    "masked": _of_language,
    "causal": _of_language,
    "embedding": _of_vectors,
}


def _most(
    texts: Texts, amounts: Array, describe: Callable[[int], tuple[str, str, str]]
) -> tuple[Disagreement, ...]:
    """List the texts with the largest amounts; texts without any disagreement are not listed."""
    order = [int(index) for index in np.argsort(-amounts, kind="stable")[:SHOWN] if amounts[index] > _NOISE]
    return tuple(
        Disagreement(_shown(texts, index), *describe(index), float(amounts[index])) for index in order
    )


def _shown(texts: Texts, index: int) -> str:
    text = texts.texts[index] + (f"\n{texts.pairs[index]}" if texts.pairs else "")
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} …"


def _answer(given: cls.Answers, index: int, names: Sequence[str]) -> str:
    """``toxic 93.1 %``: what is chosen, and how sure it is; of several labels, all that apply."""
    p, chosen = given.probabilities[index], given.chosen[index]
    ids = np.flatnonzero(chosen) if given.many else [chosen]
    return ", ".join(f"{names[int(i)]} {100 * p[i]:.1f} %" for i in ids) or f"none, {100 * p.max():.1f} %"


def _named(truth: Array, names: Sequence[str]) -> str:
    return names[int(truth)] if truth.ndim == 0 else ", ".join(names[int(i)] for i in np.flatnonzero(truth))


def _labels_of_pieces(labels: Sequence[Array], places: Sequence[Sequence[int]]) -> list[Array]:
    """Keep the labels of the words that the model was asked about: not cut off, and made of pieces."""
    return [
        np.array([label for label, at in zip(own, where, strict=False) if at != IGNORED], dtype=np.int64)
        for own, where in zip(labels, places, strict=True)
    ]


def _words_of_pieces(texts: Texts, places: Sequence[Sequence[int]]) -> list[list[str]]:
    words = texts.words or tuple(tuple(text.split()) for text in texts.texts)
    return [
        [word for word, at in zip(own, where, strict=False) if at != IGNORED]
        for own, where in zip(words, places, strict=True)
    ]
