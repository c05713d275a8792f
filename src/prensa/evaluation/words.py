"""Compare models of words: the label of each word and, where labels mark entities, those."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from prensa.evaluation import classification as cls
from prensa.evaluation.bootstrap import Draws
from prensa.evaluation.classes import compare_classes
from prensa.evaluation.disagreements import Described, answer, most
from prensa.evaluation.entities import Entity, Scheme, scheme_of
from prensa.evaluation.entity_scores import MarkedTexts, entity_metrics, entity_recalls
from prensa.evaluation.figures import ENTITY_F1, PRECISION, RECALL, Quality, without_label
from prensa.evaluation.outputs import Outputs
from prensa.evaluation.terms import Terms
from prensa.texts.columns import Texts
from prensa.texts.ids import IGNORED
from prensa.texts.labelled import Label

Floats = NDArray[np.floating]
Integers = NDArray[np.int64]


def compare_words(outputs: Outputs, draws: Draws) -> Quality:
    """Compare the class of each word, and the entities that they mark."""
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
    if outputs.texts.labels is not None:
        values = np.concatenate(_labels_of_words(outputs.texts.labels, outputs.places))
        truth = cls.Truth(values, outputs.task.labels, groups)
    scheme = scheme_of(outputs.task.labels)
    compared = _Words(truth, groups, before, after)
    quality = _by_labels(compared, scheme, draws, outputs.terms)
    words = _words(outputs.texts, outputs.places)
    if scheme is None:
        return _with_words(quality, outputs, compared, words)
    return _with_entities(quality, outputs, compared, words, scheme)


@dataclass(frozen=True)
class _Words:
    """What two models answer for the words of all texts; ``groups`` are those of each text."""

    truth: cls.Truth | None
    groups: Sequence[Integers]
    before: cls.Answers
    after: cls.Answers


def _with_words(
    quality: Quality, outputs: Outputs, compared: _Words, words: Sequence[Sequence[str]]
) -> Quality:
    """List the texts with the words on which the models differ most."""
    amounts = cls.divergences(compared.before, compared.after)
    worst = np.array([_worst(group, amounts) for group in compared.groups])
    names = outputs.task.labels

    def describe(index: int) -> Described:
        place = worst[index]
        word = words[index][place - compared.groups[index][0]]
        right = ""
        if compared.truth is not None and compared.truth.values[place] != IGNORED:
            right = f"{word}: {names[compared.truth.values[place]]}"
        before = answer(compared.before, place, names)
        return right, f"{word}: {before}", f"{word}: {answer(compared.after, place, names)}"

    of_texts = np.where(worst < 0, 0.0, amounts[worst])
    listed = most(outputs.texts, of_texts, describe)
    return dataclasses.replace(
        quality, disagreement="largest divergence of a word (KL, nats)", disagreements=listed
    )


def _with_entities(
    quality: Quality, outputs: Outputs, compared: _Words, words: Sequence[Sequence[str]], scheme: Scheme
) -> Quality:
    """List the texts in which most entities changed: lost ones, new ones, and what is right there."""
    lost: list[list[Entity]] = []
    new: list[list[Entity]] = []
    for group in compared.groups:
        before = set(scheme.entities(compared.before.chosen[group]))
        after = set(scheme.entities(compared.after.chosen[group]))
        lost.append(sorted(before - after))
        new.append(sorted(after - before))

    def describe(index: int) -> Described:
        changed = [*lost[index], *new[index]]
        right: list[Entity] = []
        if compared.truth is not None:
            for entity in scheme.entities(compared.truth.values[compared.groups[index]]):
                if any(entity.overlaps(other) for other in changed):
                    right.append(entity)
        some = words[index]
        return _in_words(right, some), _in_words(lost[index], some), _in_words(new[index], some)

    amounts = np.array([len(gone) + len(more) for gone, more in zip(lost, new, strict=True)], dtype=float)
    divergence = cls.divergences(compared.before, compared.after)
    ties = np.array([divergence[group].max(initial=0.0) for group in compared.groups])
    listed = most(outputs.texts, amounts, describe, ties)
    return dataclasses.replace(quality, disagreement="entities that changed", disagreements=listed)


def _in_words(entities: Sequence[Entity], words: Sequence[str]) -> str:
    """``PER Angela Merkel, LOC Berlin``."""
    parts = [f"{entity.type} {' '.join(words[entity.first : entity.last + 1])}" for entity in entities]
    return ", ".join(parts) or "none"


def _worst(group: Integers, amounts: Floats) -> int:
    """Return the word of a text with the largest amount, −1 for a text without words."""
    if not len(group):
        return -1
    return int(group[amounts[group].argmax()])


def _by_labels(compared: _Words, scheme: Scheme | None, draws: Draws, terms: Terms) -> Quality:
    """Leave out words without a label, then compare as texts are compared; by entities, if there are any."""
    groups = list(compared.groups)
    truth = compared.truth
    if truth is None or (truth.values == IGNORED).all():
        return compare_classes(None, groups, compared.before, compared.after, draws, terms)
    kept = truth.values != IGNORED
    # The number that each kept word has among those that are kept.
    numbers = np.cumsum(kept) - 1
    of_texts = [numbers[group[kept[group]]] for group in groups]
    known = cls.Truth(truth.values[kept], truth.labels, of_texts)
    before = compared.before.at(kept)
    after = compared.after.at(kept)
    if scheme is None:
        return compare_classes(known, of_texts, before, after, draws, terms)
    quality = compare_classes(known, of_texts, before, after, draws, Terms())
    marked = MarkedTexts(
        scheme,
        [known.values[group] for group in of_texts],
        [before.chosen[group] for group in of_texts],
        [after.chosen[group] for group in of_texts],
    )
    # Of single words less is of interest. Their metrics are what takes its time, and has been waited for.
    of_words = [each for each in quality.metrics if without_label(each.name) not in {RECALL, PRECISION}]
    metrics = (*entity_metrics(marked, Draws(draws.count)), *of_words)
    return dataclasses.replace(
        quality,
        drop=cls.drop_of(metrics, terms.metric or ENTITY_F1),
        metrics=metrics,
        recalls=entity_recalls(marked, terms.recalls, draws),
    )


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
