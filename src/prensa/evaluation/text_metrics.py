"""How like a text is to those that are right: ROUGE-L, chrF and BLEU, of the libraries that define them.

ROUGE-L is the F-measure of ``rouge-score`` without stemming, which reads Latin letters and digits alone. chrF
and BLEU are those of ``sacrebleu`` with its usual settings, as shares where it has per cent. Where several
texts are right, the best one counts for ROUGE-L and chrF, and BLEU takes n-grams from all of them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from prensa.evaluation.figures import BLEU, CHRF, EXACT_MATCH, ROUGE_L
from prensa.evaluation.text_scores import Means

Floats = NDArray[np.floating]
Ids = NDArray[np.int64]

# Words of the longest n-grams that BLEU counts.
_LONGEST = 4


class Written:
    """The metrics of texts that one model wrote."""

    def __init__(self, texts: Sequence[str], right: Sequence[Sequence[str]]) -> None:
        """Compare each text with those that are right."""
        self._means = Means(
            {
                CHRF: chrf(texts, right),
                ROUGE_L: rouge_l(texts, right),
                EXACT_MATCH: exact_matches(texts, right),
            }
        )
        self._counts = bleu_counts(texts, right)

    def of(self, texts: Ids) -> dict[str, float]:
        """Compute the metrics of some texts; BLEU is that of all of them together."""
        return {**self._means.of(texts), BLEU: bleu(self._counts[texts].sum(axis=0))}


def rouge_l(texts: Sequence[str], right: Sequence[Sequence[str]]) -> Floats:
    """Return the ROUGE-L of each text ``[texts]`` (Lin, aclanthology.org/W04-1013)."""
    from rouge_score.rouge_scorer import RougeScorer

    scorer = RougeScorer(["rougeL"], use_stemmer=False)
    scores: list[float] = []
    for text, known in zip(texts, right, strict=True):
        scores.append(max(scorer.score(each, text)["rougeL"].fmeasure for each in known))
    return np.array(scores)


def chrf(texts: Sequence[str], right: Sequence[Sequence[str]]) -> Floats:
    """Return the chrF of each text ``[texts]`` (Popović, aclanthology.org/W15-3049)."""
    from sacrebleu import metrics

    metric = metrics.CHRF()
    scores: list[float] = []
    for text, known in zip(texts, right, strict=True):
        scores.append(metric.sentence_score(text, list(known)).score / 100)
    return np.array(scores)


def exact_matches(texts: Sequence[str], right: Sequence[Sequence[str]]) -> Floats:
    """Return 1 for each text that is one of the right ones, else 0; spaces and line ends are alike."""
    scores: list[float] = []
    for text, known in zip(texts, right, strict=True):
        scores.append(float(_spaced(text) in map(_spaced, known)))
    return np.array(scores)


def _spaced(text: str) -> str:
    return " ".join(text.split())


def bleu_counts(texts: Sequence[str], right: Sequence[Sequence[str]]) -> Floats:
    """Return what BLEU adds up over texts ``[texts, 10]``: n-grams found, n-grams, and both lengths."""
    from sacrebleu import metrics

    # The order changes the score of a text alone, which is not wanted here, and not the counts.
    metric = metrics.BLEU(effective_order=True)
    rows: list[list[float]] = []
    for text, known in zip(texts, right, strict=True):
        score = metric.sentence_score(text, list(known))
        rows.append([*score.counts, *score.totals, score.sys_len, score.ref_len])
    return np.array(rows, dtype=float)


def bleu(counts: Floats) -> float:
    """Return the BLEU of sums over texts ``[10]`` (Papineni et al., aclanthology.org/P02-1040)."""
    from sacrebleu import metrics

    numbers = counts.astype(int).tolist()
    *of_ngrams, length, right_length = numbers
    score = metrics.BLEU.compute_bleu(
        of_ngrams[:_LONGEST], of_ngrams[_LONGEST:], length, right_length, smooth_method="exp"
    )
    return float(score.score) / 100
