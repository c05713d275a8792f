"""Exact match and F1 of an answer in words, as SQuAD's official script computes them (version 2.0).

Answers are compared in small letters, without punctuation, articles and needless spaces; where several are
right, the one that is most like the answer counts (Rajpurkar et al., arXiv 1606.05250, section 6.1).
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Callable, Sequence

_ARTICLES = re.compile(r"\b(a|an|the)\b", re.UNICODE)
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalized(answer: str) -> str:
    """Return what of an answer is compared: ``"The  Broncos!"`` → ``"broncos"``."""
    bare = answer.lower().translate(_PUNCTUATION)
    # In this order: an article may come to stand alone where punctuation was.
    return " ".join(_ARTICLES.sub(" ", bare).split())


def exact_match(answer: str, right: Sequence[str]) -> float:
    """Return 1 for an answer that is one of the right ones, else 0."""
    return _best(_is_same, answer, right)


def f1(answer: str, right: Sequence[str]) -> float:
    """Return the F1 of the words of an answer, with that of the right ones where it is highest."""
    return _best(_f1, answer, right)


def _best(score: Callable[[str, str], float], answer: str, right: Sequence[str]) -> float:
    # Right answers of which nothing is left are none; without any, an empty answer is right.
    known = [each for each in right if normalized(each)] or [""]
    return max(score(answer, each) for each in known)


def _is_same(answer: str, right: str) -> float:
    return float(normalized(answer) == normalized(right))


def _f1(answer: str, right: str) -> float:
    words = normalized(answer).split()
    right_words = normalized(right).split()
    if not words or not right_words:
        return float(words == right_words)
    common = (Counter(words) & Counter(right_words)).total()
    if not common:
        return 0.0
    precision = common / len(words)
    recall = common / len(right_words)
    return 2 * precision * recall / (precision + recall)
