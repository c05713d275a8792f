import json

import pytest
import torch
import transformers
from hypothesis import given
from hypothesis import strategies as st
from tests.conftest import add_tokenizer, build_model

from prensa.errors import DataError, SettingError, TokenizerError
from prensa.texts.columns import Texts
from prensa.texts.encoding import Encoded, batches, encode, pad
from prensa.texts.labels import IGNORED
from prensa.texts.tokenizers import load_tokenizer, longest


@pytest.fixture
def tokenizer(tmp_path):
    return load_tokenizer(add_tokenizer(build_model("bert", tmp_path / "model")))


@pytest.fixture
def bare(tmp_path):
    """A tokenizer that puts nothing around a text."""
    return load_tokenizer(add_tokenizer(build_model("gpt2", tmp_path / "model"), marks=False))


def test_rows_and_truncation(tokenizer):
    encoded = encode(tokenizer, Texts("t", ("ab", "", "abcdefgh")), "classes", 6)
    assert encoded.lengths == [4, 2, 6]
    assert encoded.truncated == 1
    assert encoded.rows[0]["input_ids"] == [2, *tokenizer.convert_tokens_to_ids(["a", "b"]), 3]
    assert encode(tokenizer, Texts("t", ("abcdefgh",)), "classes", None).lengths == [10]


def test_pairs(tokenizer):
    encoded = encode(tokenizer, Texts("t", ("ab",), pairs=("c",)), "classes", 32)
    assert tokenizer.convert_ids_to_tokens(encoded.rows[0]["input_ids"]) == [
        *("[CLS]", "a", "b", "[SEP]", "c", "[SEP]")
    ]


def test_an_empty_text_is_one_piece_where_nothing_stands_around_it(bare):
    encoded = encode(bare, Texts("t", ("", "ab")), "causal", None)
    assert encoded.lengths == [1, 2]
    assert encoded.rows[0]["attention_mask"] == [1]


def test_places_of_words(tokenizer):
    words = (("ab", "c"), ("", "abcdefgh", "x"))
    encoded = encode(tokenizer, Texts("t", ("ab c", " abcdefgh x"), words=words), "tokens", 6)
    assert encoded.places == [[1, 3], [IGNORED, 1]]  # the last word was cut off
    assert encode(tokenizer, Texts("t", ("ab c",)), "tokens", 6).places == [[1, 3]]


def test_words_and_labels_must_match(tokenizer):
    with pytest.raises(DataError, match="row 2 has 2 words and 1 labels"):
        encode(tokenizer, Texts("t", ("a", "b c"), labels=[torch.ones(1)] * 2), "tokens", 32)


@given(st.lists(st.text(alphabet="ab é漢😀\n", max_size=20), min_size=1, max_size=4))
def test_bytes_of_pieces_add_up_to_the_text(tmp_path_factory, texts):
    tokenizer = load_tokenizer(add_tokenizer(tmp_path_factory.mktemp("tokenizer"), marks=False))
    encoded = encode(tokenizer, Texts("t", tuple(texts)), "causal", None)
    for text, counts in zip(texts, encoded.nbytes, strict=True):
        assert sum(counts) == len(text.rstrip().encode())


def test_marks_around_a_text_stand_for_no_bytes(tokenizer):
    assert encode(tokenizer, Texts("t", ("ab",)), "masked", None).nbytes == [[IGNORED, 1, 1, IGNORED]]


@pytest.mark.parametrize(("kind", "side"), [("classes", "left"), ("causal", "right"), ("embedding", "right")])
def test_classifiers_are_padded_as_their_tokenizer_says(bare, kind, side):
    bare.padding_side = "left"
    encoded = encode(bare, Texts("t", ("a", "abc")), kind, None)
    first = pad(encoded.rows, encoded, "cpu")["attention_mask"][0].tolist()
    assert first == ([0, 0, 1] if side == "left" else [1, 0, 0])


@given(st.lists(st.integers(1, 50), min_size=1, max_size=40), st.integers(1, 9))
def test_batches(lengths, size):
    parts = batches(lengths, size)
    assert sorted(index for part in parts for index in part) == list(range(len(lengths)))
    assert all(len(part) <= size for part in parts)
    assert max(lengths) in [lengths[index] for index in parts[0]]
    assert parts == batches(lengths, size)
    spans = sorted((max(own), min(own)) for own in ([lengths[i] for i in part] for part in parts))
    assert all(high <= low for (high, _), (_, low) in zip(spans, spans[1:], strict=False))


def test_pad():
    encoded = Encoded("classes", "right", {"input_ids": 9}, None)
    batch = pad([{"input_ids": [5, 6, 7]}, {"input_ids": [8]}], encoded, "cpu")
    assert batch["input_ids"].tolist() == [[5, 6, 7], [8, 9, 9]]


@pytest.mark.parametrize(("side", "padded"), [("right", [5, 6, 9, 9]), ("left", [9, 9, 5, 6])])
def test_pad_to_a_length(side, padded):
    encoded = Encoded("classes", side, {"input_ids": 9}, None)
    rows = [{"input_ids": [5, 6], "attention_mask": [1, 1]}]
    batch = pad(rows, encoded, "cpu", 4)
    assert batch["input_ids"].tolist() == [padded]
    assert batch["attention_mask"].tolist() == [[int(number != 9) for number in padded]]
    # What is longer stays as long as it is.
    assert pad(rows, encoded, "cpu", 1)["input_ids"].tolist() == [[5, 6]]


def test_a_model_without_a_tokenizer(tmp_path):
    model = build_model("deberta", tmp_path / "model")
    with pytest.raises(TokenizerError, match="no tokenizer, expected one of spm.model, tokenizer.json"):
        load_tokenizer(model)
    (model / "tokenizer.json").write_text("{")
    with pytest.raises(TokenizerError, match="no usable tokenizer"):
        load_tokenizer(model)


def test_a_tokenizer_that_cannot_pad_learns_to(tmp_path):
    path = add_tokenizer(tmp_path)
    settings = json.loads((path / "tokenizer_config.json").read_text())
    (path / "tokenizer_config.json").write_text(json.dumps({**settings, "pad_token": None}))
    assert load_tokenizer(path).pad_token == "[UNK]"
    (path / "tokenizer_config.json").write_text(
        json.dumps({**settings, "pad_token": None, "unk_token": None})
    )
    with pytest.raises(TokenizerError, match="names no token to pad with"):
        load_tokenizer(path)


def test_longest(tokenizer):
    bert = transformers.BertConfig(max_position_embeddings=40)
    assert longest(tokenizer, bert, None) == 40
    assert longest(tokenizer, bert, 8) == 8
    assert (
        longest(tokenizer, transformers.RobertaConfig(max_position_embeddings=42, pad_token_id=1), None) == 40
    )
    assert longest(tokenizer, transformers.T5Config(), None) is None
    tokenizer.model_max_length = 16
    assert longest(tokenizer, bert, None) == 16
    with pytest.raises(SettingError, match="`max_length` 17: the model reads at most 16 tokens"):
        longest(tokenizer, bert, 17)
    with pytest.raises(SettingError, match="`max_length` 3: expected more than 3, the marks"):
        longest(tokenizer, bert, 3)
