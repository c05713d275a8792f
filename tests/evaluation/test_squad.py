"""Exact match and F1 equal SQuAD's, derived here once more without its regular expressions."""

import string
from itertools import groupby

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prensa.evaluation.squad import exact_match, f1, normalized

WORDS = [
    "the",
    "The",
    "A",
    "an",
    "Broncos",
    "broncos!",
    "O'Brien",
    "U.S.",
    "a-b",
    "the–end",
    "1,990",
    "é",
    "_a_",
    "…",
]
ANSWERS = st.lists(st.sampled_from(WORDS) | st.text(max_size=5), max_size=6).map(" ".join)


def words_of(answer):
    bare = [character for character in answer.lower() if character not in set(string.punctuation)]
    kept = []
    for is_word, run in groupby(bare, lambda character: character.isalnum() or character == "_"):
        text = "".join(run)
        kept.append(" " if is_word and text in {"a", "an", "the"} else text)
    return "".join(kept).split()


def reference(answer, right):
    """The best exact match and the best F1, of words that are crossed out one by one."""
    golds = [words_of(each) for each in right]
    golds = [gold for gold in golds if gold] or [[]]
    exact = max(float(words_of(answer) == gold) for gold in golds)
    best = 0.0
    for gold in golds:
        words, left, common = words_of(answer), list(gold), 0
        for word in words:
            if word in left:
                left.remove(word)
                common += 1
        if not words or not gold:
            best = max(best, float(words == gold))
        elif common:
            best = max(best, 2 * common / (len(words) + len(gold)))
    return exact, best


@settings(max_examples=200)
@given(ANSWERS, st.lists(ANSWERS, max_size=3))
def test_scores_are_those_of_squad(answer, right):
    exact, best = reference(answer, right)
    assert exact_match(answer, right) == exact
    assert f1(answer, right) == pytest.approx(best, abs=1e-12)


def test_what_is_compared():
    assert normalized("The  Denver Broncos!") == "denver broncos"
    assert (exact_match("the Broncos", ["broncos."]), f1("Denver Broncos", ["the broncos", "x"])) == (
        1,
        2 / 3,
    )
    assert (exact_match("", [""]), f1("", ["the"]), f1("x", [""])) == (1, 1, 0)
