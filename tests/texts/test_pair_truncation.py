"""Pairs get the ids that the user's own code gives them."""

import json

import pytest
import transformers
from tests.bert import tokenizer

from prensa.texts.columns import Texts
from prensa.texts.encoding import encode
from prensa.texts.library import Library
from prensa.texts.pair_truncation import pair_truncation
from prensa.texts.plain_tokenizer import PlainTokenizer, traits_of
from prensa.texts.tokenizers import load_tokenizer

LONGEST = 16
FIRST = ("abcdefghijklmnopq", "ab", "abcdefghijk", "abc def", "")
SECOND = ("xy", "uvwxyzuvwxyzuvwxyzuvwxyz", "uvwxyzuvwxy", "x", "uvwxyzuvwxyzuvwxyzuvwxyz")
BOTH = Texts("pairs", FIRST, pairs=SECOND)


def saved(directory, strategy=None):
    """Save a tokenizer, as a training that truncates by ``strategy`` leaves it."""
    made = tokenizer(LONGEST)
    if strategy is not None:
        made("a", "b", truncation=strategy)
    made.save_pretrained(directory)
    content = json.loads((directory / "tokenizer.json").read_text())
    assert (content["truncation"] is None) == (strategy is None)
    return directory


def expected(directory, truncation, texts=BOTH):
    """Tokenize as the user's own code does, pair by pair."""
    plain = transformers.AutoTokenizer.from_pretrained(directory)
    found = []
    for one, other in zip(texts.texts, texts.pairs, strict=True):
        found.append(dict(plain(one, other, truncation=truncation)))
    return found


@pytest.mark.parametrize("strategy", [None, "longest_first"])
def test_without_another_setting_as_truncation_true(tmp_path, strategy):
    directory = saved(tmp_path, strategy)
    reader = load_tokenizer(directory)
    assert pair_truncation(reader) == "longest_first"
    encoded = encode(reader, BOTH, "classes", LONGEST)
    assert encoded.rows == expected(directory, truncation=True)
    assert encoded.truncated == 4
    assert Library().encode(reader, BOTH, "classes", LONGEST).rows == encoded.rows


@pytest.mark.parametrize("strategy", ["only_first", "only_second"])
def test_a_saved_setting_is_followed(tmp_path, strategy):
    directory = saved(tmp_path, strategy)
    reader = load_tokenizer(directory)
    assert pair_truncation(reader) == strategy
    rows = encode(reader, BOTH, "classes", LONGEST).rows
    usual = expected(directory, truncation=True)
    whole = SECOND if strategy == "only_first" else FIRST
    for place, (text, row) in enumerate(zip(whole, rows, strict=True)):
        # A text alone that leaves no room for the other: it cannot stay whole.
        fits = len(text.replace(" ", "")) + 3 < LONGEST
        own = expected(directory, strategy, BOTH.take([place]))[0] if fits else usual[place]
        assert row == own
    assert rows != usual


def test_exports_know_it_too(tmp_path):
    directory = saved(tmp_path, "only_first")
    reader = load_tokenizer(directory)
    plain = PlainTokenizer(directory, traits_of(directory, reader))
    assert encode(plain, BOTH, "classes", LONGEST).rows == encode(reader, BOTH, "classes", LONGEST).rows
    assert encode(plain, BOTH, "classes", None).rows == expected(directory, truncation=False)
