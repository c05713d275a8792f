"""Each metric equals that of the library that defines it, on resamples of the texts as well."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer
from sacrebleu.metrics import BLEU, CHRF

from prensa.evaluation.text_metrics import Written

NEAR = 1e-12
WORDS = ["the", "cat", "sat", "on", "a", "mat", "Mat", ".", "naïve", "東京", "3.5"]


def drawn(seed):
    """Return texts, what is right of each, and what a resample draws of them."""
    rng = np.random.default_rng(seed)
    count, references = int(rng.integers(1, 12)), int(rng.integers(1, 4))
    right, texts = [], []
    for _ in range(count):
        known = [list(rng.choice(WORDS, rng.integers(1, 12))) for _ in range(references)]
        text = [word if rng.random() < 0.7 else rng.choice(WORDS) for word in known[0]]
        right.append([" ".join(words) for words in known])
        texts.append("" if rng.random() < 0.1 else " ".join(text))
    return texts, right, rng.integers(0, count, count)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 10**6))
def test_metrics_are_those_of_the_libraries(seed):
    texts, right, at = drawn(seed)
    found = Written(texts, right).of(at)
    some, known = [texts[index] for index in at], [right[index] for index in at]
    # sacrebleu takes a list of the first right texts, one of the second ones, and so on.
    turned = [list(each) for each in zip(*known, strict=True)]
    assert found["BLEU"] == pytest.approx(BLEU().corpus_score(some, turned).score / 100, abs=NEAR)
    of_texts = [CHRF().sentence_score(text, each).score / 100 for text, each in zip(some, known, strict=True)]
    assert found["chrF"] == pytest.approx(np.mean(of_texts), abs=NEAR)
    scorer = RougeScorer(["rougeL"])
    best = [scorer.score_multi(each, text)["rougeL"].fmeasure for text, each in zip(some, known, strict=True)]
    assert found["ROUGE-L"] == pytest.approx(np.mean(best), abs=NEAR)
    exact = [text in each for text, each in zip(some, known, strict=True)]
    assert found["exact match"] == pytest.approx(np.mean(exact), abs=NEAR)


def test_spaces_do_not_matter_to_an_exact_match():
    found = Written(["a  b\n", "c"], [["x", " a b"], ["d"]]).of(np.arange(2))
    assert found["exact match"] == 0.5
