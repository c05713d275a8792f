"""Results with a trimmed vocabulary are compared in pieces of their own, language models in those they share."""

import json

import pytest
import torch
import transformers
from tests.vocabulary.families import CORPUS, build
from tests.vocabulary.test_trimming import TEXTS, trim

import prensa
from prensa import TrimVocabulary
from prensa.errors import DataError, TokenizerError
from prensa.report.tables import remarks

OTHERS = [text for text in CORPUS[:40] if text not in TEXTS]


def write(path, texts, labels=None):
    rows = ({"text": text} | ({"label": labels(text)} if labels else {}) for text in texts)
    path.write_text("\n".join(json.dumps(row) for row in rows))
    return str(path)


def test_a_classifier_answers_texts_as_it_cuts_them(tmp_path, evaluated):
    original = build("deberta, unigram", tmp_path / "original")
    trim(original, tmp_path / "out")
    data = write(tmp_path / "data.jsonl", [*TEXTS, *OTHERS], lambda text: len(text) % 2)
    found = evaluated(original, tmp_path / "out", data=data)
    (result,) = found.results
    assert 0 < result.retokenized.texts <= len(OTHERS)
    assert result.retokenized.drop.of == "accuracy"
    assert found.original.retokenized is None
    assert any("tokenizes" in line and "differently" in line for line in remarks(found))
    assert prensa.load_results(_saved(found, tmp_path)) == found
    same = evaluated(original, tmp_path / "out", data=write(tmp_path / "same.jsonl", TEXTS))
    assert same.results[0].retokenized.texts == 0
    assert same.results[0].quality.drop.value == 0


def _saved(found, place):
    found.save(place / "results.json")
    return place / "results.json"


@pytest.mark.parametrize("family", ["bert, wordpiece", "llama, character bpe"])
def test_a_language_model_is_compared_where_all_pieces_stayed(family, tmp_path, evaluated):
    original = build(family, tmp_path / "original")
    trim(original, tmp_path / "out")
    found = evaluated(original, tmp_path / "out", data=write(tmp_path / "data.jsonl", [*TEXTS, *OTHERS]))
    assert len(TEXTS) <= found.data.texts < len(TEXTS) + len(OTHERS)
    (result,) = found.results
    figures = {figure.name: figure.value for figure in result.quality.figures}
    assert figures
    assert result.quality.drop.value == pytest.approx(0, abs=1e-5)
    assert result.retokenized.texts == len(TEXTS) + len(OTHERS) - found.data.texts
    assert any("were left out" in line for line in remarks(found))
    none = write(tmp_path / "none.jsonl", ["Quixotic zephyrs vex jumpy wizards 9876"] * 3)
    with pytest.raises(DataError, match="no text consists of tokens"):
        evaluated(original, tmp_path / "out", data=none)


def test_another_tokenizer_that_was_not_trimmed(tmp_path, evaluated):
    original = build("deberta, unigram", tmp_path / "original")
    trim(original, tmp_path / "out")
    (tmp_path / "out" / "manifest.json").unlink()
    with pytest.raises(TokenizerError, match="its tokenizer is not that of"):
        evaluated(original, tmp_path / "out", data=write(tmp_path / "data.jsonl", TEXTS))


def test_a_vocabulary_that_was_trimmed_twice(tmp_path, evaluated):
    original = build("deberta, unigram", tmp_path / "original")
    trim(original, tmp_path / "once", pieces=300)
    trim(tmp_path / "once", tmp_path / "twice", pieces=250)
    data = write(tmp_path / "data.jsonl", TEXTS)
    assert evaluated(tmp_path / "once", tmp_path / "twice", data=data).results[0].quality.drop is not None
    with pytest.raises(TokenizerError, match="was not trimmed from that of"):
        evaluated(original, tmp_path / "twice", data=data)


def test_words(tmp_path, evaluated):
    original = build("bert, wordpiece", tmp_path / "original")
    config = transformers.AutoConfig.from_pretrained(original, num_labels=2)
    torch.manual_seed(0)
    transformers.BertForTokenClassification(config).save_pretrained(original)
    trim(original, tmp_path / "out")
    (result,) = evaluated(
        original, tmp_path / "out", data=write(tmp_path / "data.jsonl", [*TEXTS, *OTHERS])
    ).results
    assert result.retokenized.texts > 0
    assert result.quality.figures


def test_a_budget_with_a_trimmed_vocabulary(tmp_path):
    original = build("deberta, unigram", tmp_path / "original")
    data = write(tmp_path / "data.jsonl", [f"{text} {n}" for n, text in enumerate(CORPUS[:60])])
    result = prensa.compress(
        original,
        tmp_path / "out",
        min_agreement=0.5,
        data=data,
        trim_vocabulary=TrimVocabulary(coverage=0.95),
    )
    assert result.held
    assert len(result.manifest.vocabulary.kept) == prensa.load(tmp_path / "out").config.vocab_size
