"""What cannot be trimmed is refused with a reason, before anything is written."""

import json

import pytest
import tokenizers
import transformers
from tests.conftest import add_tokenizer, build_model
from tests.vocabulary.families import build
from tests.vocabulary.test_trimming import trim

import prensa
from prensa import TrimVocabulary
from prensa.errors import DataError, RecipeError, SettingError, TokenizerError
from prensa.pressing.recipe import Recipe, parse_recipe
from prensa.vocabulary.settings import trim_from


@pytest.fixture
def deberta(tmp_path):
    return build("deberta, unigram", tmp_path / "original")


def refused(original, output, error, words, **chosen):
    with pytest.raises(error, match=words):
        trim(original, output, **chosen)
    assert not output.exists()


def test_fewer_pieces_than_must_stay(deberta, tmp_path):
    refused(
        deberta,
        tmp_path / "out",
        SettingError,
        r"`trim_vocabulary` 5: \d+ tokens must stay .* give a larger number",
        pieces=5,
    )


def test_pieces_to_keep_that_there_are_not(deberta, tmp_path):
    refused(
        deberta,
        tmp_path / "out",
        SettingError,
        "not in the vocabulary: 'qqq', 'zzz'",
        keep=("▁the", "qqq", "zzz"),
    )


def test_texts_without_a_piece(deberta, tmp_path):
    refused(
        deberta,
        tmp_path / "out",
        DataError,
        "have no token of its vocabulary",
        texts=["\u2f00 \ue000", "\ue001"],
    )


@pytest.mark.parametrize("chosen", [{}, {"languages": ("en",)}])
def test_a_token_that_only_another_file_names(tmp_path, chosen):
    original = build("gpt2, byte bpe", tmp_path / "original")
    path = original / "tokenizer_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "pad_token": "[PAD]"}))
    words = r"tokenizer.json does not have the token '\[PAD\]', which tokenizer_config.json names"
    refused(original, tmp_path / "out", TokenizerError, words, **chosen)


def test_neither_texts_nor_languages(deberta, tmp_path):
    with pytest.raises(SettingError, match="give `texts`, or `languages`"):
        prensa.compress(deberta, tmp_path / "out", trim_vocabulary=TrimVocabulary(pieces=300))


def test_another_kind_of_tokenizer(tmp_path):
    original = add_tokenizer(build_model("deberta", tmp_path / "original"))
    refused(
        original,
        tmp_path / "out",
        TokenizerError,
        "of the kind WordLevel cannot be trimmed; expected Unigram, WordPiece",
    )


def test_a_tokenizer_of_python_alone(tmp_path):
    original = build_model("bert", tmp_path / "original")
    characters = transformers.CanineTokenizer()
    characters.save_pretrained(original)
    (original / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "CanineTokenizer"}))
    with pytest.raises(TokenizerError):
        trim(original, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_no_tokenizer(tmp_path):
    refused(build_model("deberta", tmp_path / "original"), tmp_path / "out", TokenizerError, "no tokenizer")


def test_a_tokenizer_with_more_pieces_than_the_model_has_rows(deberta, tmp_path):
    tokenizer = tokenizers.Tokenizer.from_file(str(deberta / "tokenizer.json"))
    tokenizer.add_tokens([f"new{number}" for number in range(9)])
    tokenizer.save(str(deberta / "tokenizer.json"))
    refused(deberta, tmp_path / "out", TokenizerError, "the two do not belong together")


def test_a_tokenizer_that_cannot_be_numbered_anew(deberta, tmp_path, monkeypatch):
    """What is written is loaded again before, and must cut texts as it did."""
    from prensa.vocabulary import plan

    monkeypatch.setattr(plan, "_is_whole", lambda row, new: True)
    monkeypatch.setattr(plan, "encode", _reversed(plan.encode))
    with pytest.raises(TokenizerError, match="cannot be trimmed, it would tokenize 'The cat"):
        trim(deberta, tmp_path / "out")


def _reversed(encode):
    def other(*arguments):
        found = encode(*arguments)
        found.rows = [{"input_ids": row["input_ids"][::-1]} for row in found.rows]
        return found

    return other


def test_a_plan_without_its_vocabulary(deberta, tmp_path):
    from prensa.pressing import pipeline

    with pytest.raises(RecipeError, match="give the recipe and the vocabulary"):
        pipeline.plan(deberta, Recipe((), "plain", trim_vocabulary=TrimVocabulary()), tmp_path / "out")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"pieces": -1}, "pieces must be a whole number"),
        ({"pieces": 1.5}, "pieces must be a whole number"),
        ({"coverage": 0}, "coverage must be above 0"),
        ({"coverage": "all"}, "coverage must be above 0"),
        ({"keep": "a"}, "keep must be a list of words"),
        ({"languages": (3,)}, "languages must be a list of words"),
        ({"languages": ("xx",)}, "'xx' is not known"),
    ],
)
def test_settings(settings, words):
    with pytest.raises((RecipeError, SettingError), match=words):
        TrimVocabulary(**settings)


def test_recipes():
    recipe = parse_recipe('[trim_vocabulary]\npieces = 500\nlanguages = ["en"]', "r")
    assert recipe.trim_vocabulary == TrimVocabulary(pieces=500, languages=("en",))
    assert parse_recipe(recipe.to_toml(), "r") == recipe
    with pytest.raises(RecipeError, match="unknown key of trim_vocabulary 'piece'"):
        parse_recipe("[trim_vocabulary]\npiece = 500", "r")
    with pytest.raises(RecipeError, match="must be a table"):
        parse_recipe("trim_vocabulary = 3", "r")


@pytest.mark.parametrize(
    ("amount", "expected"),
    [
        ("texts", TrimVocabulary()),
        ("32,000", TrimVocabulary(pieces=32000)),
        (32000, TrimVocabulary(pieces=32000)),
        ("99.9%", TrimVocabulary(coverage=0.999)),
    ],
)
def test_what_the_command_line_says(amount, expected):
    found = trim_from(amount)
    assert (found.pieces, found.coverage) == (expected.pieces, pytest.approx(expected.coverage))


@pytest.mark.parametrize("wrong", ["0", "-3", "some", "101%", "0%", "nan%", "", True, 0, 0.5])
def test_what_is_no_amount(wrong):
    with pytest.raises(SettingError, match="expected a number of tokens"):
        trim_from(wrong)


def test_options_that_belong_together(tmp_path):
    with pytest.raises(SettingError, match="`languages` en needs `trim_vocabulary`"):
        trim_from(None, languages="en")
    with pytest.raises(SettingError, match="`keep` .* cannot be read"):
        trim_from("texts", keep=tmp_path / "none")
    (tmp_path / "keep").write_text("a\n\nb\na\n")
    assert trim_from("texts", keep=tmp_path / "keep", languages="EN, ru") == TrimVocabulary(
        keep=("a", "b"), languages=("en", "ru")
    )
