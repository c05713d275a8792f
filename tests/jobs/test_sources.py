import dataclasses

import pytest

from prensa.jobs.sources import both
from prensa.texts.source import Source

TEXTS = Source("texts", text_column="comment", split="unsupervised", limit=20, encoding="cp1252")
DATA = Source("data", text_column="body", label_column="class", split="dev", labels={"a": "b"})


def test_none_of_both():
    assert both(None, None) == (None, None)


def test_texts_stand_in_for_data_without_their_split():
    assert both(TEXTS, None) == (TEXTS, dataclasses.replace(TEXTS, split=None, limit=None))


def test_data_stand_in_for_texts_without_labels_and_split():
    texts, data = both(None, DATA)
    assert data == DATA
    assert texts == Source("data", text_column="body")


def test_each_keeps_what_it_says():
    texts, data = both(TEXTS, DATA)
    assert texts == TEXTS
    assert data == dataclasses.replace(DATA, encoding="cp1252")


def test_a_column_that_one_of_them_names_is_that_of_both():
    texts, data = both("texts", Source("data", text_column="body"))
    assert texts.text_column == data.text_column == "body"


@pytest.mark.parametrize("place", ["a.csv", None])
def test_built_in_texts_take_nothing_over(place):
    texts, _ = both(Source(None, limit=10), DATA)
    assert texts == Source(None, limit=10)
