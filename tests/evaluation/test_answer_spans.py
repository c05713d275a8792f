import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prensa.evaluation.answer_spans import likeliest_span
from prensa.texts.labels import IGNORED

OUTSIDE = [IGNORED, IGNORED]


@settings(max_examples=100)
@given(st.integers(0, 10**6))
def test_no_pair_of_tokens_is_better(seed):
    rng = np.random.default_rng(seed)
    before, tokens, after = rng.integers(1, 4), rng.integers(1, 50), rng.integers(0, 4)
    spans = OUTSIDE * before + [number for place in range(tokens) for number in (3 * place, 3 * place + 2)]
    spans += OUTSIDE
    logits = rng.normal(size=(len(spans) // 2 + after, 2)).astype(np.float32)
    first, end, score, none = likeliest_span(logits, spans)
    pairs = {}
    for i in range(tokens):
        for j in range(i, min(tokens, i + 31)):
            total = float(logits[before + i, 0]) + float(logits[before + j, 1])
            pairs[total] = (3 * i, 3 * j + 2)
    assert pairs[max(pairs)] == (first, end)
    assert (score, none) == (max(pairs), float(logits[0, 0]) + float(logits[0, 1]))


def test_what_cannot_be_answered():
    assert likeliest_span(np.ones((3, 2), np.float32), OUTSIDE * 3).tolist() == [0, 0, 2, 2]
    broken = np.ones((3, 2), np.float32)
    broken[2, 1] = np.inf
    assert np.isnan(likeliest_span(broken, [*OUTSIDE, 0, 1, 1, 2])).all()
    # Behind the row's own tokens the batch was filled up.
    assert likeliest_span(broken, [*OUTSIDE, 0, 1]).tolist() == [0, 1, 2, 2]


def test_answers_have_31_tokens_at_most():
    logits = np.zeros((41, 2), np.float32)
    logits[1, 0] = logits[40, 1] = 10
    logits[31, 1] = 1
    spans = [*OUTSIDE, *(place for token in range(40) for place in (token, token + 1))]
    first, end, score, _ = likeliest_span(logits, spans)
    assert (first, end, score) == (0, 31, pytest.approx(11))
