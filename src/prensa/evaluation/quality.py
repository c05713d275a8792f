"""How well the result does what its task asks, beside the original: one function for each kind of task."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from prensa.checkpoint.task import Kind, Task
from prensa.evaluation import classification as cls
from prensa.evaluation import embeddings, language, regression
from prensa.evaluation.bootstrap import Draws
from prensa.evaluation.calibration import reliability
from prensa.evaluation.figures import ACCURACY, MACRO_F1, Disagreement, Quality
from prensa.evaluation.original import guessing, likeness
from prensa.evaluation.predict import Output
from prensa.texts.columns import Texts
from prensa.texts.ids import IGNORED
from prensa.texts.labelled import Label

Floats: TypeAlias = "NDArray[np.floating]"
Integers: TypeAlias = "NDArray[np.int64]"

SHOWN = 20
"""Texts on which the models disagree most that are listed."""

# Characters of a text that is shown.
_LONGEST = 2000
# A disagreement below this is rounding.
_NOISE = 1e-9

Described = tuple[str, str, str]
"""Of one text: the right answer, the original's and the result's."""


@dataclass(frozen=True)
class Outputs:
    """What two models make of the same texts.

    ``places`` are, for models of words, the positions of each word's first token in its text.
    """

    task: Task
    texts: Texts
    places: Sequence[Sequence[int]]
    original: Sequence[Output]
    result: Sequence[Output]


def compare(outputs: Outputs, draws: Draws) -> Quality:
    """Compare a result's outputs with the original's, and with the right answers if they are known."""
    alike = likeness(outputs.task.kind, outputs.original)
    broken = 0
    for output in outputs.result:
        if not np.isfinite(output).all():
            broken += 1
    if broken:
        return Quality(broken=broken, alike=alike)
    compare_kind = _COMPARISONS[outputs.task.kind]
    return dataclasses.replace(compare_kind(outputs, draws), alike=alike)


def _of_texts(outputs: Outputs, draws: Draws) -> Quality:
    """Compare classes, one for each text or several."""
    many = outputs.task.kind == "multi-label"
    before = cls.answers(outputs.original, many=many)
    after = cls.answers(outputs.result, many=many)
    names = outputs.task.labels
    labels = outputs.texts.labels
    truth = None
    known = None
    if labels is not None:
        truth = np.stack(labels).astype(np.int64, copy=False)
        known = cls.Truth(truth, names)
    quality = _classification(known, None, before, after, draws)

    def describe(index: int) -> Described:
        right = ""
        if truth is not None:
            right = _named(truth[index], names)
        return right, _answer(before, index, names), _answer(after, index, names)

    amounts = cls.divergences(before, after)
    listed = _most(outputs.texts, amounts, describe)
    return dataclasses.replace(quality, disagreement="divergence (KL, nats)", disagreements=listed)


def _of_words(outputs: Outputs, draws: Draws) -> Quality:
    """Compare the class of each word."""
    before = cls.answers(outputs.original, many=False)
    after = cls.answers(outputs.result, many=False)
    if not len(before.probabilities):
        # No text has a word.
        return Quality()
    # All words stand in one array; those of a text are from its start to that of the next one.
    lengths = [len(output) for output in outputs.original]
    starts = np.cumsum([0, *lengths])
    groups = [np.arange(start, end) for start, end in pairwise(starts)]
    truth = None
    known = None
    if outputs.texts.labels is not None:
        truth = np.concatenate(_labels_of_words(outputs.texts.labels, outputs.places))
        known = cls.Truth(truth, outputs.task.labels, groups)
    quality = _labelled_words(known, groups, before, after, draws)
    amounts = cls.divergences(before, after)
    worst = np.array([_worst(group, amounts) for group in groups])
    names = outputs.task.labels
    words = _words(outputs.texts, outputs.places)

    def describe(index: int) -> Described:
        place = worst[index]
        word = words[index][place - starts[index]]
        right = ""
        if truth is not None and truth[place] != IGNORED:
            right = f"{word}: {names[truth[place]]}"
        return right, f"{word}: {_answer(before, place, names)}", f"{word}: {_answer(after, place, names)}"

    of_texts = np.where(worst < 0, 0.0, amounts[worst])
    listed = _most(outputs.texts, of_texts, describe)
    return dataclasses.replace(
        quality, disagreement="largest divergence of a word (KL, nats)", disagreements=listed
    )


def _worst(group: Integers, amounts: Floats) -> int:
    """Return the word of a text with the largest amount, −1 for a text without words."""
    if not len(group):
        return -1
    return int(group[amounts[group].argmax()])


def _labelled_words(
    truth: cls.Truth | None, groups: list[Integers], before: cls.Answers, after: cls.Answers, draws: Draws
) -> Quality:
    """Leave out words without a label, then compare as texts are compared."""
    if truth is None or (truth.values == IGNORED).all():
        return _classification(None, groups, before, after, draws)
    kept = truth.values != IGNORED
    # The number that each kept word has among those that are kept.
    numbers = np.cumsum(kept) - 1
    of_texts = [numbers[group[kept[group]]] for group in groups]
    known = cls.Truth(truth.values[kept], truth.labels, of_texts)
    return _classification(known, of_texts, before.at(kept), after.at(kept), draws)


def _classification(
    truth: cls.Truth | None,
    groups: list[Integers] | None,
    before: cls.Answers,
    after: cls.Answers,
    draws: Draws,
) -> Quality:
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
        drop=cls.drop_of(metrics, judged_by),
        metrics=metrics,
        figures=figures,
        mcnemar=mcnemar,
        guessing=guessing(truth.values, before),
        reliability_original=reliability(*cls.confidences(truth.values, before)),
        reliability=reliability(*cls.confidences(truth.values, after)),
    )


def _of_numbers(outputs: Outputs, draws: Draws) -> Quality:
    before = np.concatenate(outputs.original).astype(float)
    after = np.concatenate(outputs.result).astype(float)
    truth = None
    if outputs.texts.labels is not None:
        truth = np.array(outputs.texts.labels, dtype=float)

    def describe(index: int) -> Described:
        right = ""
        if truth is not None:
            right = f"{truth[index]:.4g}"
        return right, f"{before[index]:.4g}", f"{after[index]:.4g}"

    quality = regression.compare(truth, before, after, draws)
    listed = _most(outputs.texts, np.abs(after - before), describe)
    return dataclasses.replace(quality, disagreement="distance", disagreements=listed)


def _of_language(outputs: Outputs, draws: Draws) -> Quality:
    before = np.stack(outputs.original)
    after = np.stack(outputs.result)

    def describe(index: int) -> Described:
        return "", language.describe(before[index]), language.describe(after[index])

    listed = _most(outputs.texts, language.mean_divergences(after), describe)
    quality = language.compare(before, after, draws)
    return dataclasses.replace(
        quality, disagreement="mean divergence (KL, nats per piece)", disagreements=listed
    )


def _of_vectors(outputs: Outputs, draws: Draws) -> Quality:
    before = np.stack(outputs.original)
    after = np.stack(outputs.result)
    distances = 1 - embeddings.cosines(before, after)

    def describe(index: int) -> Described:
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


def _most(texts: Texts, amounts: Floats, describe: Callable[[int], Described]) -> tuple[Disagreement, ...]:
    """List the texts with the largest amounts; texts without any disagreement are not listed."""
    largest_first = np.argsort(-amounts, kind="stable")
    listed: list[Disagreement] = []
    for index in largest_first[:SHOWN].tolist():
        amount = float(amounts[index])
        if amount > _NOISE:
            right, before, after = describe(index)
            listed.append(Disagreement(_shown(texts, index), right, before, after, amount))
    return tuple(listed)


def _shown(texts: Texts, index: int) -> str:
    text = texts.texts[index]
    if texts.pairs:
        text += f"\n{texts.pairs[index]}"
    if len(text) > _LONGEST:
        return f"{text[:_LONGEST]} …"
    return text


def _answer(given: cls.Answers, index: int, names: Sequence[str]) -> str:
    """``toxic 93.1 %``: what is chosen, and how sure it is; of several labels, all that apply."""
    probabilities = given.probabilities[index]
    chosen = [int(given.chosen[index])] if not given.many else np.flatnonzero(given.chosen[index]).tolist()
    if not chosen:
        return f"none, {100 * probabilities.max():.1f} %"
    return ", ".join(f"{names[label]} {100 * probabilities[label]:.1f} %" for label in chosen)


def _named(truth: Integers, names: Sequence[str]) -> str:
    """Name the right label of a text, or all that apply."""
    if truth.ndim == 0:
        return names[int(truth)]
    return ", ".join(names[label] for label in np.flatnonzero(truth).tolist())


def _labels_of_words(labels: Sequence[Label], places: Sequence[Sequence[int]]) -> list[Integers]:
    """Keep the labels of the words that the model was asked about: not truncated, and made of tokens."""
    kept: list[Integers] = []
    for of_text, own_places in zip(labels, places, strict=True):
        asked = [label for label, place in zip(of_text, own_places, strict=False) if place != IGNORED]
        kept.append(np.array(asked, dtype=np.int64))
    return kept


def _words(texts: Texts, places: Sequence[Sequence[int]]) -> list[list[str]]:
    """Return the words that the model was asked about."""
    words = texts.words
    if words is None:
        words = tuple(tuple(text.split()) for text in texts.texts)
    kept: list[list[str]] = []
    for of_text, own_places in zip(words, places, strict=True):
        kept.append([word for word, place in zip(of_text, own_places, strict=False) if place != IGNORED])
    return kept
