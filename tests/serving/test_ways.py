"""Many texts at once give the answers of each by itself, or are not answered at once."""

import numpy as np
import pytest

from prensa.serving.ways import InBatches, find_way, one_by_one, probes, take
from prensa.texts.encoding import Encoded


def encoded(lengths, side="right"):
    rows = [
        {"input_ids": [5 + (index + at) % 7 for at in range(length)], "attention_mask": [1] * length}
        for index, length in enumerate(lengths)
    ]
    return Encoded("embedding", side, {"input_ids": 0}, None, rows)


NAMES = ("input_ids", "attention_mask")
TEXTS = encoded([3, 9, 4, 4, 12, 3, 30, 5])


def masked(inputs):
    """Sum what the mask leaves, for each text."""
    return [(inputs["input_ids"] * inputs["attention_mask"]).sum(axis=1, keepdims=True).astype(np.float32)]


def each_token(inputs):
    return [np.stack([inputs["input_ids"], inputs["input_ids"] ** 2], axis=-1).astype(np.float32)]


def mixes_padding_in(inputs):
    return [inputs["input_ids"].mean(axis=1, keepdims=True).astype(np.float32)]


def mixes_texts(inputs):
    return [masked(inputs)[0] + np.float32(len(inputs["input_ids"]))]


def takes_one(inputs):
    if len(inputs["input_ids"]) > 1:
        raise ValueError("Cannot handle batch sizes > 1 if no padding token is defined.")
    return masked(inputs)


def never_the_same():
    state = np.random.default_rng(0)
    return lambda inputs: [state.normal(size=(len(inputs["input_ids"]), 2)).astype(np.float32)]


@pytest.mark.parametrize(
    ("engine", "way"),
    [
        (masked, "padded"),
        (each_token, "padded"),
        (mixes_padding_in, "of equal length"),
        (mixes_texts, "one by one"),
        (takes_one, "one by one"),
        (never_the_same(), None),
    ],
)
def test_the_fastest_way_that_changes_nothing(engine, way):
    tried = take(TEXTS, probes(TEXTS))
    truth = one_by_one(engine, tried, NAMES)
    assert find_way(engine, tried, NAMES, truth) == way


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("engine", [masked, each_token])
def test_padding_is_no_answer(engine, side):
    texts = encoded([3, 9, 4, 1, 4], side)
    found = dict(InBatches(engine, NAMES, "padded").answers(texts))
    for index, alone in enumerate(one_by_one(engine, texts, NAMES)):
        assert np.array_equal(found[index], alone)


def test_batches_are_bounded_and_hold_every_text_once():
    sizes = []

    def engine(inputs):
        sizes.append(inputs["input_ids"].shape)
        return masked(inputs)

    texts = encoded([200] * 30 + [10] * 300 + [5000])
    found = [index for index, _ in InBatches(engine, NAMES, "padded").answers(texts)]
    assert sorted(found) == list(range(331))
    assert all(batch * longest <= 2048 or batch == 1 for batch, longest in sizes)
    assert len(sizes) < 10


@pytest.mark.parametrize("lengths", [[4], [4, 4], [2, 9, 9], [7, 3, 3, 5, 8, 2, 2, 9]])
def test_texts_to_try_are_of_different_and_of_equal_lengths(lengths):
    chosen = probes(encoded(lengths))
    assert len(set(chosen)) == len(chosen) <= 6
    if len(set(lengths)) > 1:
        assert len({lengths[i] for i in chosen}) > 1
