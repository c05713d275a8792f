"""What a comparison of two models found, as frozen values: the part of the results that is about quality."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from prensa.evaluation.bootstrap import widened

ACCURACY, MACRO_F1, ROC_AUC = "accuracy", "macro F1", "ROC-AUC"
SPEARMAN, PEARSON = "Spearman correlation", "Pearson correlation"
BITS, DISTANCE, CHANGED = "bits per byte", "1 − cosine", "changed answers"
RECALL, PRECISION, F1, PR_AUC = "recall", "precision", "F1", "PR-AUC"
EXACT_MATCH, ANSWER_F1 = "exact match", "answer F1"
CHRF, ROUGE_L, BLEU = "chrF", "ROUGE-L", "BLEU"
ENTITY_RECALL, ENTITY_PRECISION, ENTITY_F1 = "entity recall", "entity precision", "entity F1"
"""What a drop may be of; the last two lines also with a label, as in ``recall: toxic`` (:func:`of_label`)."""

NEIGHBOURS = "neighbours"
"""What a drop may be of where texts are vectors: nearest texts that are others, ``neighbours@10``."""

NDCG, MRR, MAP = "NDCG", "MRR", "MAP"
"""What a drop may be of where passages are ranked; the first two, and recall, behind so many: ``NDCG@10``."""

_SCORES = frozenset(
    {
        EXACT_MATCH,
        ANSWER_F1,
        ACCURACY,
        MACRO_F1,
        ROC_AUC,
        RECALL,
        PRECISION,
        F1,
        PR_AUC,
        ENTITY_RECALL,
        ENTITY_PRECISION,
        ENTITY_F1,
    }
)
_OF_NUMBERS = frozenset({SPEARMAN, PEARSON})
# What stands between a metric and the label that it is of.
_OF_LABEL = ": "

AGREEMENT = "same answer"
"""The figure that says how many of the answers are the original's."""

FEW_SAME = 0.9
"""Below this share of the original's answers a score alone does not hold a budget for certain."""

Alike = Literal["", "constant", "one-sided"]
"""Whether an original answers every text alike.

``constant``   the same numbers for every text: nothing can be judged by it
``one-sided``  the same label for every text, with numbers that differ: agreement proves little
"""


def of_label(metric: str, label: str) -> str:
    """Name a metric of one label: ``recall: toxic``."""
    return f"{metric}{_OF_LABEL}{label}"


def without_label(name: str) -> str:
    """Return the metric alone: ``recall: toxic`` → ``recall``."""
    return name.partition(_OF_LABEL)[0]


def is_of_rankings(name: str) -> bool:
    """Whether a metric is one of queries and the order of their passages."""
    kind, at, _ = without_label(name).partition("@")
    return kind == MAP or (bool(at) and kind in {NDCG, MRR, RECALL})


def label_of(name: str) -> str:
    """Return the label that a metric is of, empty for one of all labels: ``recall: toxic`` → ``toxic``."""
    return name.partition(_OF_LABEL)[2]


def in_words(name: str) -> str:
    """Word a metric for a sentence: ``recall: toxic`` → ``recall of toxic``."""
    return name.replace(_OF_LABEL, " of ", 1)


@dataclass(frozen=True)
class Metric:
    """A metric of both models, and its difference (result minus original) with a 95 % interval.

    ``note`` says why a number is None. ``none_changed`` says that nothing it is made of did, so that the
    interval is the exact one of 0 changes.
    """

    name: str
    original: float | None
    result: float | None
    interval: tuple[float, float] | None = None
    higher_is_better: bool = True
    is_share: bool = True
    note: str = ""
    none_changed: bool = False

    @property
    def difference(self) -> float | None:
        """Result minus original."""
        if self.original is None or self.result is None:
            return None
        return self.result - self.original


def metric_of(
    name: str,
    before: float,
    after: float,
    interval: tuple[float, float] | None,
    *,
    missing: str,
    higher_is_better: bool = True,
    is_share: bool = True,
    rests_on: int | None = None,
) -> Metric:
    """Make a metric of two numbers; ``missing`` says why, where one of them is NaN.

    ``interval`` is that of resamples of ``rests_on`` things, and gets room where none of them has any; where
    that is None it stays as it is.
    """
    none_changed = False
    if interval is not None and rests_on is not None:
        none_changed = interval == (0.0, 0.0)
        interval = widened(interval, rests_on)
    note = ""
    if math.isnan(before) or math.isnan(after):
        note = missing
    return Metric(
        name,
        number_or_none(before),
        number_or_none(after),
        interval,
        higher_is_better=higher_is_better,
        is_share=is_share,
        note=note,
        none_changed=none_changed,
    )


def number_or_none(value: float) -> float | None:
    """Return a number that a file of JSON can hold: None in place of NaN."""
    if math.isnan(value):
        return None
    return value


@dataclass(frozen=True)
class Figure:
    """A number that compares the result's outputs with the original's, whatever the right answer is.

    ``interval`` is the 95 % interval, None if it was not computed.
    """

    name: str
    value: float
    is_share: bool = False
    interval: tuple[float, float] | None = None


@dataclass(frozen=True)
class Bin:
    """Predictions of like confidence: how many, how confident, and the share of them that was right."""

    count: int
    confidence: float
    right: float


@dataclass(frozen=True)
class Disagreement:
    """A text on which the models differ, what each says, and by how much (``Quality.disagreement``)."""

    text: str
    label: str
    original: str
    result: str
    amount: float


@dataclass(frozen=True)
class McNemar:
    """McNemar's exact test: answers that only one of the models has right."""

    only_original: int
    only_result: int
    p_value: float


@dataclass(frozen=True)
class Drop:
    """How much worse the result is, by the figure that its task is judged by; negative where it is better.

    All of them are shares: of accuracy or another score, of bits per byte (relative), of changed answers.
    The interval is missing if an interruption left no time for it. Where ``none_changed`` of what it is made
    of, it is the exact one of 0 changes.
    """

    of: str
    value: float
    interval: tuple[float, float] | None
    none_changed: bool = False


@dataclass(frozen=True)
class Recall:
    """The share of what has a label that the result gives it to, with its 95 % interval.

    Not a difference: what counts is how much is found. ``label`` is in the words that it was named by. None
    of it is known (``value``) where nothing has the label.
    """

    label: str
    value: float | None
    interval: tuple[float, float] | None = None


@dataclass(frozen=True)
class ChosenThreshold:
    """From which probability on a label is given by the original and by the result, chosen for each."""

    label: str
    original: float
    result: float


@dataclass(frozen=True)
class Guessing:
    """The original does no better than guessing: its accuracy, and that of its answers when shuffled."""

    accuracy: float
    shuffled: float


@dataclass(frozen=True)
class Quality:
    """What the result answers, beside what the original answers.

    ``broken`` counts texts on which the result gives no number (NaN or infinity); then there is nothing else.
    ``disagreement`` names what the disagreements are sorted by. ``alike`` and ``guessing`` say what the
    original's own answers are worth as a measure; ``guessing`` is None where they are. ``queries`` counts
    those whose passages were ranked, 0 where none were. Where ``thresholds`` were chosen, everything else is
    of the ``judged`` texts that they were not chosen on.
    """

    drop: Drop | None = None
    metrics: tuple[Metric, ...] = ()
    figures: tuple[Figure, ...] = ()
    mcnemar: McNemar | None = None
    reliability_original: tuple[Bin, ...] = ()
    reliability: tuple[Bin, ...] = ()
    disagreement: str = ""
    disagreements: tuple[Disagreement, ...] = ()
    broken: int = 0
    alike: Alike = ""
    guessing: Guessing | None = None
    recalls: tuple[Recall, ...] = ()
    queries: int = 0
    thresholds: tuple[ChosenThreshold, ...] = ()
    judged: int | None = None

    @property
    def agreement(self) -> Figure | None:
        """The share of answers that are the original's, None if answers are no choices."""
        for figure in self.figures:
            if figure.name == AGREEMENT:
                return figure
        return None

    @property
    def has_few_same(self) -> bool:
        """Whether a score may stay as it was although many answers are others."""
        agreement = self.agreement
        if agreement is None or not self.is_of_a_score:
            return False
        return agreement.value < FEW_SAME

    def has_less_than(self, allowed: float) -> bool:
        """Whether the original's own score is no higher than an allowed drop: then any result holds it.

        Correlations may fall below 0, so that more can be lost of them.
        """
        if self.drop is None or self.drop.of in _OF_NUMBERS:
            return False
        for metric in self.metrics:
            if metric.name == self.drop.of and metric.original is not None and metric.higher_is_better:
                return metric.original <= allowed
        return False

    @property
    def is_of_a_score(self) -> bool:
        """Whether the drop is one of right answers, which may be right about other texts than before."""
        return self.drop is not None and without_label(self.drop.of) in _SCORES
