"""In which terms results are judged: a metric, labels that have to be found, and thresholds.

What a user named is looked up among the metrics and labels that the task has; what the texts cannot give is
refused before a weight is read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from prensa.checkpoint.kinds import LANGUAGE, Task
from prensa.errors import DataError, SettingError
from prensa.evaluation.best_label_threshold import dealt_out
from prensa.evaluation.budget import Budget
from prensa.evaluation.entities import Scheme, misplaced, scheme_of
from prensa.evaluation.figures import PEARSON, ROC_AUC, ROUGE_L, SPEARMAN, in_words, label_of, without_label
from prensa.evaluation.label_scores import Ids
from prensa.evaluation.label_thresholds import Thresholds
from prensa.evaluation.metrics import LABELLED, label_in, metric_named, ranking_named, recall_named
from prensa.evaluation.neighbours import count_in
from prensa.evaluation.similarity import COSINE
from prensa.texts.columns import Texts
from prensa.texts.ids import IGNORED
from prensa.texts.labelled import Label

_OF_NUMBERS = {SPEARMAN, PEARSON}
_READ_BY_ROUGE = re.compile("[a-z0-9]", re.IGNORECASE | re.ASCII)
# Texts that begin entities as their scheme does not: more than this share of them was written in another one.
_MISPLACED = 0.1
# Tasks whose answers are no choice among a few.
_WITHOUT_CHOICE = {"regression", "embedding"} | LANGUAGE
# Texts for each neighbour that is looked for: a search judges by half of them.
_TIMES_AS_MANY = 4


@dataclass(frozen=True)
class Terms:
    """What a comparison pays heed to beyond what is usual for its task.

    ``metric`` is what the drop is of, empty for the task's usual one. ``recalls`` are metrics by the words
    that a label was named with. ``thresholds`` are by the label's number, and ``to_choose`` the numbers of
    the labels whose thresholds are chosen for each model. ``similarity`` names how near vectors of queries
    and passages are.
    """

    metric: str = ""
    recalls: Mapping[str, str] = field(default_factory=dict)
    thresholds: Thresholds = field(default_factory=dict)
    similarity: str = COSINE
    to_choose: tuple[int, ...] = ()


def terms_of(budget: Budget, task: Task, texts: Texts) -> Terms:
    """Look up what a budget names. Raises :class:`SettingError` for what the task does not have.

    Raises :class:`DataError` for what the texts cannot give: a metric of right answers without any, or of a
    label that no text has.
    """
    if texts.queries is not None:
        return _of_rankings(budget)
    if budget.min_agreement is not None and task.kind in _WITHOUT_CHOICE:
        raise SettingError(
            "`min_agreement` is the share of the same answers, and this model's are numbers, vectors or "
            "predictions of tokens, which are never quite the same; give `max_drop`"
        )
    metric = ""
    if budget.metric is not None:
        metric = metric_named(budget.metric, task)
    recalls = {name: recall_named(name, task) for name in budget.recalls_needed}
    _check_once("min_recall", recalls)
    thresholds, to_choose = _thresholds(budget, task)
    terms = Terms(metric, recalls, thresholds, to_choose=to_choose)
    check_given(terms, task, texts)
    return terms


def _of_rankings(budget: Budget) -> Terms:
    """Look up what a budget names where passages are ranked.

    Raises :class:`SettingError` for what is of classifiers, and for other metrics.
    """
    of_classes = {
        "min_recall": budget.min_recall,
        "label_threshold": budget.label_threshold,
        "min_agreement": budget.min_agreement,
    }
    for option, value in of_classes.items():
        if value is not None:
            raise SettingError(
                f"`{option}` works for classifiers, and these texts are queries with passages to rank; give "
                "`max_drop` with a `metric` such as ndcg@10 or recall@10"
            )
    if budget.metric is None:
        return Terms()
    return Terms(ranking_named(budget.metric).name)


def _thresholds(budget: Budget, task: Task) -> tuple[dict[int, float], tuple[int, ...]]:
    """Return thresholds by the labels' numbers, and the numbers of those whose thresholds are chosen."""
    named = [*budget.thresholds, *filter(None, budget.to_choose)]
    if (named or budget.to_choose) and task.kind not in {"classes", "multi-label"}:
        raise SettingError("`label_threshold` works for classifiers of texts: other models have none to set")
    labels = {name: label_in(name, task.labels, "label_threshold") for name in named}
    _check_once("label_threshold", labels)
    thresholds: dict[int, float] = {}
    for name, value in budget.thresholds.items():
        thresholds[task.labels.index(labels[name])] = value
    to_choose: list[int] = []
    for number, label in enumerate(task.labels):
        is_every = "" in budget.to_choose and number not in thresholds
        if is_every or any(labels[name] == label for name in budget.to_choose if name):
            to_choose.append(number)
    return thresholds, tuple(to_choose)


def _check_once(option: str, meant: Mapping[str, str]) -> None:
    """Raise :class:`SettingError` where two names mean the same label: one would be without effect."""
    first: dict[str, str] = {}
    for name, label in meant.items():
        other = first.setdefault(label, name)
        if other != name:
            raise SettingError(f"`{option}`: {other} and {name} are the same label; name it once")


def check_given(terms: Terms, task: Task, texts: Texts) -> None:
    """Raise :class:`DataError` where the texts cannot give what results are judged by."""
    if terms.to_choose:
        halves = dealt_out(texts, terms.to_choose, task)
        # What thresholds were chosen on judges nothing.
        texts = texts.take(halves.check)
    options = dict.fromkeys(terms.recalls.values(), "min_recall")
    if terms.metric:
        options[terms.metric] = "metric"
        _check_others(terms.metric, texts)
    for name, option in options.items():
        metric = without_label(name)
        if metric not in LABELLED:
            continue
        if texts.labels is None:
            raise DataError(
                f"{texts.name}: {in_words(name)} (`{option}`) needs right answers; name their column in "
                "`label_column`"
            )
        if metric in _OF_NUMBERS:
            _check_numbers(name, texts)
        elif metric == ROC_AUC:
            _check_both(task, texts)
        elif metric == ROUGE_L:
            _check_latin(texts)
        elif name != metric or metric.startswith("entity"):
            _check_label(name, option, task, texts)


def _check_others(metric: str, texts: Texts) -> None:
    """Raise where too few texts lie about for some of them to be a text's nearest."""
    needed = _TIMES_AS_MANY * count_in(metric)
    if len(texts) < needed:
        raise DataError(
            f"{texts.name}: {metric} (`metric`) needs {needed:,} texts or more, found {len(texts):,}: of "
            "few texts most are near to any other"
        )


def _check_numbers(name: str, texts: Texts) -> None:
    numbers = np.array(texts.labels, dtype=float)
    if np.ptp(numbers) == 0:
        raise DataError(
            f"{texts.name}: all right answers are {numbers[0]:g}; {name} (`metric`) needs numbers that differ"
        )


def _check_latin(texts: Texts) -> None:
    for right in texts.labels or ():
        if any(_READ_BY_ROUGE.search(str(text)) for text in right):
            return
    raise DataError(
        f"{texts.name}: no right answer has a Latin letter or a digit, and ROUGE-L (`metric`) reads nothing "
        "else; take chrf or bleu"
    )


def _check_both(task: Task, texts: Texts) -> None:
    rows = np.concatenate([_known(ids) for ids in texts.labels or ()])
    if task.kind == "multi-label":
        rows = rows.reshape(-1, len(task.labels))
    if len(rows) and np.ptp(rows, axis=0).any():
        return
    raise DataError(
        f"{texts.name}: all texts have the same right answer; ROC-AUC (`metric`) needs at least two of them"
    )


def _check_label(name: str, option: str, task: Task, texts: Texts) -> None:
    """Raise where no text has a label, or no text an entity (of a type)."""
    metric = without_label(name)
    label = label_of(name)
    what = f"the label {label}"
    scheme = scheme_of(task.labels) if metric.startswith("entity") else None
    if scheme is not None:
        what = f"an entity of type {label}" if label else "an entity"
        _check_scheme(scheme, texts)
    if not _has(label, scheme, task, texts):
        raise DataError(
            f"{texts.name}: none of these {len(texts):,} texts has {what}, so that {in_words(name)} "
            f"(`{option}`) is not known; give texts that have it"
        )


def _has(label: str, scheme: Scheme | None, task: Task, texts: Texts) -> bool:
    for ids in texts.labels or ():
        known = _known(ids)
        if scheme is None:
            if _shows(task.labels.index(label), task, known):
                return True
        elif any(label in {"", entity.type} for entity in scheme.entities(known)):
            return True
    return False


def _shows(label: int, task: Task, known: Ids) -> bool:
    """Whether a text, or any word of it, has a label."""
    if task.kind == "multi-label":
        return bool(known[label])
    return bool((known == label).any())


def _known(ids: Label) -> Ids:
    """Return a text's labels, without those of words that have none."""
    return np.atleast_1d(ids[ids != IGNORED]).astype(np.int64)


def _check_scheme(scheme: Scheme, texts: Texts) -> None:
    """Raise where the right labels are not of the scheme that the model's labels are of."""
    wrong = 0
    marked = 0
    for ids in texts.labels or ():
        known = _known(ids)
        if scheme.entities(known):
            marked += 1
            wrong += misplaced(scheme, known) is not None
    if wrong > _MISPLACED * marked:
        raise DataError(
            f"{texts.name}: the model's labels are IOBES (or BILOU), but {wrong:,} of {marked:,} texts with "
            "entities have right labels of another scheme, such as IOB2; write them in the model's"
        )
