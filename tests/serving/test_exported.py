"""The record of an export: to which lengths texts are padded."""

import pytest

from prensa.serving.exported import Record, padded_length


def record(*, is_paddable, longest=40):
    return Record(
        "openvino", "fp32", (), "logits", longest, "", 0.0, rows=(), answers=(), is_paddable=is_paddable
    )


@pytest.mark.parametrize(("tokens", "padded"), [(1, 16), (16, 16), (17, 32), (33, 40), (40, 40), (41, 41)])
def test_lengths_are_few_and_never_longer_than_the_model_reads(tokens, padded):
    assert record(is_paddable=True).length(tokens) == padded
    assert padded_length(tokens, 40) == padded


def test_what_padding_changes_is_not_padded():
    assert record(is_paddable=False).length(17) == 17


def test_without_a_longest_there_is_no_limit():
    assert padded_length(1000, None) == 1008
