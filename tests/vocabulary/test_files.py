"""Every file that lists pieces or names them by number is rewritten, the vocabulary files of old as well."""

import json
import shutil

import pytest
import tokenizers
import transformers
from tests.vocabulary.families import build
from tests.vocabulary.test_trimming import TEXTS, trim
from tokenizers import models

import prensa
from prensa.checkpoint.manifest import load_manifest
from prensa.errors import TokenizerError
from prensa.vocabulary import ids


def test_vocab_txt(tmp_path):
    original = build("bert, wordpiece", tmp_path / "original")
    pieces = json.loads((original / "tokenizer.json").read_text())["model"]["vocab"]
    by_number = sorted(pieces, key=pieces.get)
    (original / "vocab.txt").write_text("".join(f"{piece}\n" for piece in by_number), encoding="utf-8")
    kept = trim(original, tmp_path / "out").vocabulary.kept
    lines = (tmp_path / "out" / "vocab.txt").read_text(encoding="utf-8").splitlines()
    assert lines == [by_number[number] for number in kept]


def test_vocab_json_merges_and_added_tokens(tmp_path):
    original = build("gpt2, byte bpe", tmp_path / "original")
    content = json.loads((original / "tokenizer.json").read_text())["model"]
    (original / "vocab.json").write_text(json.dumps(content["vocab"]))
    (original / "merges.txt").write_text(
        "\n".join(["#version: 0.2", *(" ".join(pair) for pair in content["merges"])]) + "\n"
    )
    (original / "added_tokens.json").write_text(json.dumps({"</s>": content["vocab"]["</s>"]}))
    trim(original, tmp_path / "out")
    out = tmp_path / "out"
    model = models.BPE.from_file(str(out / "vocab.json"), str(out / "merges.txt"))
    expected = json.loads((out / "tokenizer.json").read_text())["model"]
    assert json.loads((out / "vocab.json").read_text()) == expected["vocab"]
    assert json.loads(tokenizers.Tokenizer(model).to_str())["model"]["merges"] == expected["merges"]
    assert json.loads((out / "added_tokens.json").read_text()) == {"</s>": expected["vocab"]["</s>"]}


def test_numbers_in_tokenizer_config(tmp_path):
    original = build("deberta, unigram", tmp_path / "original")
    file = original / "tokenizer_config.json"
    config = json.loads(file.read_text())
    last = len(transformers.AutoTokenizer.from_pretrained(original)) - 1
    config["added_tokens_decoder"] = {str(last): {"content": "[MASK]", "special": True}}
    file.write_text(json.dumps(config))
    kept = trim(original, tmp_path / "out").vocabulary.kept
    found = json.loads((tmp_path / "out" / "tokenizer_config.json").read_text())["added_tokens_decoder"]
    assert list(found) == [str(len(kept) - 1)]


def test_the_vocabulary_of_deberta_v3_and_its_sentencepiece_model(shared, tmp_path):
    """The real one, 128,000 pieces, with a tiny model."""
    sentencepiece = pytest.importorskip("sentencepiece")
    source = shared / "data" / "deberta-v3-tokenizer"
    config = transformers.AutoConfig.from_pretrained(
        source, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16
    )
    transformers.DebertaV2ForSequenceClassification(config).save_pretrained(tmp_path / "original")
    shutil.copyfile(source / "spm.model", tmp_path / "original" / "spm.model")
    found = trim(tmp_path / "original", tmp_path / "out", pieces=9000).vocabulary
    assert (found.before, len(found.kept)) == (128100, 9000)
    old, new = (transformers.AutoTokenizer.from_pretrained(tmp_path / name) for name in ("original", "out"))
    before_slow, after_slow = (
        sentencepiece.SentencePieceProcessor(model_file=str(tmp_path / name / "spm.model"))
        for name in ("original", "out")
    )
    whole = 0
    for text in [*TEXTS, "A text of whole, rare, sesquipedalian words! 你好 🙂", "\u2f00\ue000 ab"]:
        before, after = old(text)["input_ids"], new(text)["input_ids"]
        if set(before) <= set(found.kept):
            assert [found.kept[each] for each in after] == before
        assert (old.unk_token_id in before) == (new.unk_token_id in after)
        before, after = before_slow.encode(text), after_slow.encode(text)
        if set(before) <= set(found.kept):
            assert [found.kept[each] for each in after] == before
            whole += 1
    assert whole >= 2
    model = prensa.load(tmp_path / "out")
    assert model.config.vocab_size == model.deberta.embeddings.word_embeddings.num_embeddings == 9000


def test_a_damaged_sentencepiece_model(tmp_path):
    original = build("deberta, unigram", tmp_path / "original")
    (original / "spm.model").write_bytes(b"\xff\xff not one")
    with pytest.raises(TokenizerError, match="spm.model: not a SentencePiece model"):
        trim(original, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_manifest_keeps_the_old_numbers(tmp_path):
    original = build("t5, unigram", tmp_path / "original")
    found = trim(original, tmp_path / "out")
    assert load_manifest(tmp_path / "out").vocabulary == found.vocabulary
    assert list(found.vocabulary.kept) == sorted(set(found.vocabulary.kept))


def test_fields_that_name_pieces():
    content = {
        "pad_token_id": 0,
        "eos_token_id": [7, 9],
        "forced_bos_token_id": None,
        "decoder_start_token_id": -1,
        "suppress_tokens": [1, 5, 7],
        "bad_words_ids": [[5], [7, 9]],
        "forced_decoder_ids": [[1, 7], [2, 5]],
        "sequence_bias": [[[7], -1.5]],
        "type_vocab_size": 7,
        "num_hidden_layers": 9,
        "text": {"bos_token_id": 9},
        "id2label": {0: "a"},
    }
    assert ids.named(content) == {0, 1, 5, 7, 9}
    found = ids.renamed(content, {0: 0, 7: 1, 9: 2})
    assert found == {
        **content,
        "eos_token_id": [1, 2],
        "suppress_tokens": [1],
        "bad_words_ids": [[], [1, 2]],
        "forced_decoder_ids": [[1, 1]],
        "sequence_bias": [[[1], -1.5]],
        "text": {"bos_token_id": 2},
    }


def test_a_model_with_a_sentencepiece_file_alone(shared, tmp_path):
    """What its marks are was known to its own file; beside ``tokenizer.json`` somebody must say it."""
    found = trim(
        shared / "models" / "stories260k", tmp_path / "out", texts=["Once upon a time"] * 3
    ).vocabulary
    assert len(found.kept) < found.before
    new = transformers.AutoTokenizer.from_pretrained(tmp_path / "out")
    assert (new.bos_token, new.eos_token, new.unk_token) == ("<s>", "</s>", "<unk>")
    assert (tmp_path / "out" / "tokenizer.model").stat().st_size < (
        shared / "models" / "stories260k" / "tokenizer.model"
    ).stat().st_size
