"""The metrics that a task can be judged by, and how users name them: ``recall:toxic``, ``entity_f1``.

A name is found whatever its case and separators are, and as a report shows it; unknown ones are refused with
those that are most like them.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from itertools import chain

from prensa.checkpoint.kinds import Kind, Task
from prensa.errors import SettingError
from prensa.evaluation.entities import scheme_of, why_none
from prensa.evaluation.figures import (
    ACCURACY,
    ANSWER_F1,
    BITS,
    BLEU,
    CHRF,
    DISTANCE,
    ENTITY_F1,
    ENTITY_PRECISION,
    ENTITY_RECALL,
    EXACT_MATCH,
    F1,
    MACRO_F1,
    PEARSON,
    PR_AUC,
    PRECISION,
    RECALL,
    ROC_AUC,
    ROUGE_L,
    SPEARMAN,
    of_label,
)
from prensa.evaluation.neighbours import name_of, neighbours_named
from prensa.evaluation.rank_metrics import RankMetric, rank_metric
from prensa.texts.collection import ranks
from prensa.texts.names import find, folded

_OF_LABELS = {"recall": RECALL, "precision": PRECISION, "f1": F1, "pr_auc": PR_AUC}
_OF_ENTITIES = {
    "entity_f1": ENTITY_F1,
    "entity_recall": ENTITY_RECALL,
    "entity_precision": ENTITY_PRECISION,
}
_OF_ALL = {"accuracy": ACCURACY, "macro_f1": MACRO_F1, "roc_auc": ROC_AUC}
_OF_NUMBERS = {"spearman": SPEARMAN, "pearson": PEARSON}
_OF_QUESTIONS = {"exact_match": EXACT_MATCH, "f1": ANSWER_F1}
_OF_WRITING = {"chrf": CHRF, "rouge_l": ROUGE_L, "bleu": BLEU, "exact_match": EXACT_MATCH}

_OF_RANKINGS = ("ndcg@10", "mrr@10", "map", "recall@10", "recall@100")
_OF_KINDS: dict[Kind, dict[str, str]] = {
    "classes": _OF_ALL,
    "multi-label": _OF_ALL,
    "regression": _OF_NUMBERS,
    "embedding": {"cosine": DISTANCE, name_of(10): name_of(10)},
    "questions": _OF_QUESTIONS,
    "writing": _OF_WRITING,
    "masked": {"bits_per_byte": BITS},
    "causal": {"bits_per_byte": BITS},
}

_LABELLED = (_OF_LABELS, _OF_ENTITIES, _OF_ALL, _OF_NUMBERS, _OF_QUESTIONS, _OF_WRITING)
LABELLED = frozenset(chain.from_iterable(metrics.values() for metrics in _LABELLED))
"""Metrics that need right answers."""

# Other words for the same.
_ALSO = {
    "f1 macro": "macro_f1",
    "auc": "roc_auc",
    "auroc": "roc_auc",
    "average precision": "pr_auc",
    "auprc": "pr_auc",
    "spearman correlation": "spearman",
    "pearson correlation": "pearson",
    "spearmanr": "spearman",
    "pearsonr": "pearson",
    "bits": "bits_per_byte",
    "exact": "exact_match",
    "em": "exact_match",
    "answer f1": "f1",
    "rougel": "rouge_l",
    "sacrebleu": "bleu",
}
# Names that are shown as the nearest ones, or without any like it as examples.
_NEAREST = 3
_EXAMPLES = 8


def metric_named(word: str, task: Task) -> str:
    """Return the metric that is meant, by its name in a comparison: ``recall:toxic`` → ``recall: toxic``.

    Raises :class:`SettingError` with the nearest names for one that the task does not have.
    """
    kind, colon, label = word.partition(":")
    kind = _spelled(kind)
    if not colon:
        found = _without_label(task).get(kind)
        if found is None and task.kind == "embedding":
            found = neighbours_named(word)
        if found is not None:
            return found
        raise _unknown(word, task)
    if not label.strip():
        raise _unknown(word, task)
    if task.kind == "tokens" and (kind in _OF_ENTITIES or kind in _OF_LABELS):
        return _of_words(kind, label.strip(), task)
    if kind not in _OF_LABELS or task.kind not in {"classes", "multi-label"}:
        raise _unknown(word, task)
    return of_label(_OF_LABELS[kind], label_in(label.strip(), task.labels, "metric"))


def ranking_named(word: str) -> RankMetric:
    """Return the metric of ranked passages that is meant: ``ndcg@10``, ``MRR@5``, ``map``, ``recall@100``.

    Raises :class:`SettingError` with the nearest names for anything else.
    """
    metric = rank_metric(word)
    if metric is None:
        raise SettingError(
            f"`metric` {word}: no metric of queries with passages to rank; {_like(word, _OF_RANKINGS)}"
        )
    return metric


def recall_named(label: str, task: Task) -> str:
    """Return the metric that says how much of a label is found; of a type, where labels mark entities.

    Raises :class:`SettingError` for a task without labels, or a label that it does not have.
    """
    if task.kind == "tokens":
        return _of_words("recall", label, task, "min_recall")
    if task.kind not in {"classes", "multi-label"}:
        raise SettingError(f"`min_recall` {label}: this model has no labels, so that none has a recall")
    return of_label(RECALL, label_in(label, task.labels, "min_recall"))


def label_in(name: str, labels: Sequence[str], option: str) -> str:
    """Return the label that is meant. Raises :class:`SettingError` with the nearest ones if none fits."""
    label = find(name, labels)
    if label is None:
        raise SettingError(f"`{option}` {name}: no such label; {_like(name, labels)}")
    return label


def _of_words(kind: str, label: str, task: Task, option: str = "metric") -> str:
    """Return a metric of an entity's type or, where it is named by one of them, of a label of words."""
    scheme = scheme_of(task.labels)
    if scheme is None:
        if kind in _OF_ENTITIES:
            raise SettingError(f"`metric` {kind}: the model marks no entities, {why_none(task.labels)}")
        return of_label(_of_word_labels(kind), label_in(label, task.labels, option))
    if kind == "f1" and label in task.labels:
        return of_label(F1, label)
    of_type = label_in(label, scheme.types, option)
    return of_label(_OF_ENTITIES["entity_" + _of_entity(kind)], of_type)


def _of_entity(kind: str) -> str:
    name = kind.removeprefix("entity_")
    if name == "pr_auc":
        raise SettingError("`metric` pr_auc: entities are not ranked; take entity_f1, recall or precision")
    return name


def _of_word_labels(kind: str) -> str:
    if kind == "pr_auc":
        raise SettingError("`metric` pr_auc: works for classifiers of texts; take f1, recall or precision")
    return _OF_LABELS[kind]


def _spelled(kind: str) -> str:
    """Return how a metric is usually spelled: ``"Macro F1"`` → ``"macro_f1"``."""
    key = folded(kind)
    return _ALSO.get(key, key.replace(" ", "_"))


def _without_label(task: Task) -> dict[str, str]:
    """Return the metrics of all labels together, by their spelling."""
    if task.kind != "tokens":
        return dict(_OF_KINDS[task.kind])
    if scheme_of(task.labels) is None:
        return dict(_OF_ALL)
    names = {**_OF_ENTITIES, **_OF_ALL}
    # Of entities these have one meaning.
    for spelling, name in _OF_ENTITIES.items():
        names[spelling.removeprefix("entity_")] = name
    return names


def spellings(task: Task) -> list[str]:
    """List every metric that a task can be judged by, as users name them."""
    names = list(_without_label(task))
    kinds: Sequence[str] = ()
    labels: Sequence[str] = task.labels
    scheme = scheme_of(task.labels) if task.kind == "tokens" else None
    if task.kind in {"classes", "multi-label"}:
        kinds = list(_OF_LABELS)
    elif scheme is not None:
        kinds, labels = ["f1", "recall", "precision"], scheme.types
    elif task.kind == "tokens":
        kinds = ["f1", "recall", "precision"]
    for kind in kinds:
        names += [f"{kind}:{label}" for label in labels]
    return names


def _unknown(word: str, task: Task) -> SettingError:
    why = ""
    if task.kind == "tokens" and word.startswith("entity") and scheme_of(task.labels) is None:
        why = f" (the model marks no entities: {why_none(task.labels)})"
    if ranks(task) and rank_metric(word) is not None:
        why = (
            " on these texts (it is one of queries and passages: give BEIR's directory, or a table with the "
            "columns query, passage and score, without `text_column`)"
        )
    return SettingError(f"`metric` {word}: no metric of this model{why}; {_like(word, spellings(task))}")


def _like(word: str, names: Sequence[str]) -> str:
    """Name what is most like a word, or what there is."""
    by_fold = {folded(name): name for name in names}
    near = difflib.get_close_matches(folded(word), by_fold, n=_NEAREST, cutoff=0.5)
    if near:
        return f"the nearest: {', '.join(by_fold[key] for key in near)}"
    more = "" if len(names) <= _EXAMPLES else ", …"
    return f"expected one of {', '.join(names[:_EXAMPLES])}{more}"
