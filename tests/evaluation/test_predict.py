import math

import numpy as np
import pytest
import tokenizers
import torch
import transformers
from tests.conftest import SIZES, add_tokenizer, build_mixing, build_model

import prensa
from prensa.evaluation.predict import SUMS, predict
from prensa.evaluation.reading import Reading
from prensa.runtime.text_vector import TextVector
from prensa.texts.columns import Texts
from prensa.texts.encoding import encode
from prensa.texts.tokenizers import load_tokenizer

TEXTS = Texts("t", ("one two", "a", "three four five", "", "six seven"))


def predicted(path, kind, models, texts=TEXTS, batch_size=2):
    encoded = encode(load_tokenizer(path), texts, kind, 32)
    kept = [{} for _ in models]
    for indices, outputs in predict(
        models, [TextVector()] * len(models), [Reading(encoded)] * len(models), batch_size
    ):
        for own, output in zip(kept, outputs, strict=True):
            own.update(zip(indices, output, strict=True))
    return encoded, [[own[i] for i in range(len(texts))] for own in kept]


def test_logits_are_those_of_each_text_alone(tmp_path):
    path = add_tokenizer(build_model("deberta", tmp_path / "model"))
    model = prensa.load(path)
    tokenizer = load_tokenizer(path)
    _, (outputs,) = predicted(path, "classes", [model])
    for text, output in zip(TEXTS.texts, outputs, strict=True):
        with torch.inference_mode():
            alone = model(**tokenizer(text, return_tensors="pt")).logits[0].numpy()
        np.testing.assert_allclose(output, alone, atol=1e-5)


@pytest.mark.parametrize("family", ["FNet", "ConvBert"])
def test_a_model_that_mixes_padding_in_is_not_padded(family, tmp_path):
    model = build_mixing(family, tmp_path)
    texts = Texts("t", ("one two", "a", "three four five " * 5, "", "six seven", "two ones"))
    encoded, (outputs,) = predicted(tmp_path, "classes", [model], texts, batch_size=4)
    for row, output in zip(encoded.rows, outputs, strict=True):
        with torch.inference_mode():
            alone = model(torch.tensor([row["input_ids"]])).logits[0].numpy()
        np.testing.assert_allclose(output, alone, atol=1e-4)


def test_words_take_their_first_piece(tmp_path):
    torch.manual_seed(0)
    config = transformers.BertConfig(vocab_size=160, num_labels=3, **SIZES)
    model = transformers.BertForTokenClassification(config).eval()
    model.save_pretrained(tmp_path)
    add_tokenizer(tmp_path)
    encoded, (outputs,) = predicted(tmp_path, "tokens", [model])
    assert [len(output) for output in outputs] == [2, 1, 3, 0, 2]
    with torch.inference_mode():
        alone = model(torch.tensor([encoded.rows[2]["input_ids"]])).logits[0].numpy()
    np.testing.assert_allclose(outputs[2], alone[encoded.places[2]], atol=1e-5)


def test_a_causal_model_is_summed_up_as_its_own_loss_says(tmp_path):
    path = add_tokenizer(build_model("gpt2", tmp_path / "model"), marks=False)
    model = prensa.load(path)
    encoded, (first, second) = predicted(path, "causal", [model, model])
    for text, row, one, other in zip(TEXTS.texts, encoded.rows, first, second, strict=True):
        np.testing.assert_array_equal(one, other)
        sums = dict(zip(SUMS, one, strict=True))
        ids = torch.tensor([row["input_ids"]])
        assert sums["pieces"] == (max(0, len(row["input_ids"]) - 1) if text else 0)
        assert sums["bytes"] == max(0, len(text.encode()) - 1)
        assert sums["divergence"] == sums["largest divergence"] == sums["largest shift"] == 0
        assert sums["same"] == sums["pieces"]
        if sums["pieces"]:
            with torch.inference_mode():
                loss = float(model(ids, labels=ids).loss)
            assert math.isclose(sums["nats"] / sums["pieces"], loss, rel_tol=1e-4)


def byte_level(path):
    """Give a model a tokenizer whose pieces are single bytes."""
    letters = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {"[PAD]": 0, "[MASK]": 1} | {letter: index for index, letter in enumerate(letters, 2)}
    pieces = tokenizers.Tokenizer(tokenizers.models.BPE(vocabulary, []))
    pieces.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=pieces, pad_token="[PAD]", mask_token="[MASK]"
    ).save_pretrained(path)


@pytest.mark.parametrize("kind", ["causal", "masked"])
def test_every_piece_of_a_character_is_foreseen(tmp_path, kind):
    byte_level(tmp_path)
    family = {"causal": transformers.GPT2LMHeadModel, "masked": transformers.BertForMaskedLM}[kind]
    sizes = {"vocab_size": 300, **({"n_embd": 48, "n_layer": 1, "n_head": 4} if kind == "causal" else SIZES)}
    model = family(family.config_class(**sizes)).eval()
    _, (outputs,) = predicted(tmp_path, kind, [model], Texts("t", ("a😀b", "😀", "😀😀😀😀😀😀😀")))
    pieces, nbytes = ([output[SUMS.index(name)] for output in outputs] for name in ("pieces", "bytes"))
    if kind == "causal":  # what the first character is cannot be foreseen
        assert pieces == nbytes == [5, 0, 24]
    else:  # the pieces of one character are masked together
        assert pieces == nbytes
        assert pieces[0] in {1, 4}
        assert pieces[1:] == [4, 4]


def test_a_masked_model_foresees_what_was_masked(tmp_path):
    path = add_tokenizer(build_model("bert", tmp_path / "model"))
    model, other = prensa.load(path), prensa.load(path)
    for weight in other.parameters():
        weight.data *= 1.1
    _, (outputs, changed) = predicted(path, "masked", [model, other])
    assert [output[SUMS.index("pieces")] for output in outputs] == [1, 1, 2, 0, 1]  # 15 %, at least one
    np.testing.assert_array_equal(outputs, predicted(path, "masked", [model])[1][0])
    for output, text in zip(changed, TEXTS.texts, strict=True):
        sums = dict(zip(SUMS, output, strict=True))
        assert 0 <= sums["largest divergence"] <= sums["divergence"] + 1e-12
        assert (sums["divergence"] > 0) == bool(text)
