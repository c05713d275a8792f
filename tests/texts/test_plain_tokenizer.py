"""``tokenizer.json`` without transformers: the same ids, or no answer at all."""

import json

import pytest
import transformers
from hypothesis import given
from hypothesis import strategies as st
from tests.bert import tokenizer
from tests.vocabulary.families import FAMILIES

from prensa.errors import TokenizerError
from prensa.texts.plain_tokenizer import Batch, PlainTokenizer, traits_of

TEXTS = ["", "a", "Hello, you there!", "naïve café  Привет 日本語 😀", "x " * 60, "[SEP] </s> [MASK]"]


def saved(family, path):
    made, names = FAMILIES[family][0]()
    if "pad_token" not in names:
        names = {**names, "pad_token": names["eos_token"]}
    transformers.PreTrainedTokenizerFast(tokenizer_object=made, **names).save_pretrained(path)
    return path


def both(path):
    full = transformers.AutoTokenizer.from_pretrained(path)
    traits = traits_of(path, full)
    assert traits is not None
    return full, PlainTokenizer(path, traits)


@pytest.fixture(
    scope="module", params=sorted({family.split(", ")[1]: family for family in FAMILIES}.values())
)
def pair(request, tmp_path_factory):
    return both(saved(request.param, tmp_path_factory.mktemp("plain")))


def same(full, plain, *texts, **settings):
    own, other = full(*texts, verbose=False, **settings), plain(*texts, verbose=False, **settings)
    for name in (*full.model_input_names, "special_tokens_mask"):
        if name in own:
            assert own[name] == other[name]
    for name in ("token_type_ids", "attention_mask"):
        assert (name in own) == (name in other)
    for index in range(len(own["input_ids"])):
        assert own.encodings[index].offsets == other.encodings[index].offsets
        assert own.word_ids(index) == other.word_ids(index)
        assert own.sequence_ids(index) == other.sequence_ids(index)


def test_the_same_tokens_in_every_way_they_are_asked_for(pair):
    full, plain = pair
    same(full, plain, TEXTS)
    same(full, plain, TEXTS, TEXTS[::-1], truncation=True, max_length=9)
    same(full, plain, TEXTS, add_special_tokens=False)
    same(full, plain, TEXTS, truncation=True, max_length=7)
    same(full, plain, TEXTS, return_special_tokens_mask=True)
    same(full, plain, [text.split() for text in TEXTS], is_split_into_words=True)
    windows = {"truncation": "only_second", "max_length": 20, "stride": 3, "return_overflowing_tokens": True}
    same(full, plain, ["what?"], ["so and so " * 9], **windows)
    # Nothing of how it truncated is left.
    same(full, plain, TEXTS)
    names = ("padding_side", "truncation_side", "pad_token_id", "pad_token_type_id", "cls_token_id")
    for name in (*names, "mask_token_id"):
        assert getattr(full, name) == getattr(plain, name)
    assert list(plain.model_input_names) == full.model_input_names
    assert plain.num_special_tokens_to_add(pair=True) == full.num_special_tokens_to_add(pair=True)
    assert plain.convert_ids_to_tokens(3) == full.convert_ids_to_tokens(3)


@given(texts=st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1, max_size=4))
def test_any_text(pair, texts):
    same(*pair, texts, truncation=True, max_length=16)


@pytest.mark.parametrize(
    "settings", [{"padding_side": "left"}, {"truncation_side": "left"}, {"model_input_names": ["input_ids"]}]
)
def test_what_transformers_adds_is_kept(tmp_path, settings):
    made = tokenizer(32)
    for name, value in settings.items():
        setattr(made, name, value)
    made.save_pretrained(tmp_path)
    full, plain = both(tmp_path)
    same(full, plain, TEXTS, truncation=True, max_length=5)
    assert plain.padding_side == full.padding_side


def test_a_tokenizer_that_does_more_has_no_traits(tmp_path):
    tokenizer(32).save_pretrained(tmp_path)
    full = transformers.AutoTokenizer.from_pretrained(tmp_path)
    assert traits_of(tmp_path, full) is not None
    full.add_tokens(["new"])
    assert traits_of(tmp_path, full) is None

    class Own(transformers.PreTrainedTokenizerFast):
        def _encode_plus(self, *arguments, **settings):
            return super()._encode_plus(*arguments, **settings)

    assert traits_of(tmp_path, Own.from_pretrained(tmp_path)) is None
    split = transformers.AutoTokenizer.from_pretrained(tmp_path, split_special_tokens=True)
    assert traits_of(tmp_path, split) is None
    (tmp_path / "tokenizer.json").unlink()
    assert traits_of(tmp_path, full) is None


@pytest.mark.parametrize("content", [None, "{", json.dumps({"model": 3})])
def test_a_damaged_file(tmp_path, content):
    tokenizer(32).save_pretrained(tmp_path)
    traits = traits_of(tmp_path, transformers.AutoTokenizer.from_pretrained(tmp_path))
    (tmp_path / "tokenizer.json").unlink()
    if content is not None:
        (tmp_path / "tokenizer.json").write_text(content)
    with pytest.raises(TokenizerError, match=r"tokenizer\.json: not usable .* export the model again"):
        PlainTokenizer(tmp_path, traits)


def test_each_text_is_read_once_for_each_list():
    """Of many texts each is asked for by itself: lists that were made anew every time would take minutes."""

    class Encoding:
        reads = 0

        @property
        def ids(self):
            Encoding.reads += 1
            return [1, 2]

    batch = Batch([Encoding() for _ in range(50)], ("input_ids",))
    assert [batch["input_ids"][index] for index in range(50)] == [[1, 2]] * 50
    assert Encoding.reads == 50
