"""Budgets of exports that are kept layer by layer."""

import json

import pytest
import torch
import transformers
from tests.outlier import RUINED, ruined, write_texts

from prensa.serving import exported
from prensa.serving.exported import read_record


@pytest.mark.parametrize(("to", "shown"), [("onnx", ()), ("openvino", ("--json",))])
def test_a_budget_is_kept_layer_by_layer_from_the_command_line(
    command, tmp_path, few_resamples, monkeypatch, to, shown
):
    """Words, whose budget OpenVINO's own accuracy control would not know."""
    pytest.importorskip("openvino" if to == "openvino" else "onnxruntime")
    monkeypatch.setitem(exported.TOLERANCES, "int8", 10)
    many = write_texts(tmp_path / "many.csv")
    labels = {0: "O", 1: "B-PER"}
    names = {"id2label": labels, "label2id": {name: index for index, name in labels.items()}}
    model = ruined(tmp_path / "model", "BertForTokenClassification", **names)
    data = own_words(model, many, tmp_path / "words.jsonl")
    budget = ("--data", data, "--max-drop", "20%", "--metric", "entity_f1")
    options = ("--texts", many, "--to", to, *shown)
    code, out, err = command("export", model, "-o", tmp_path / "out", *options, *budget)
    assert code == 0, err
    record = read_record(tmp_path / "out")
    assert record.drop <= 0.2
    assert f"bert.{RUINED}" in record.back
    if shown:
        assert json.loads(out)["back"] == record.back
    else:
        assert f"Layers that int8 costs too much: bert.{RUINED} (float32)" in out
        assert "of the weights in products are multiplied in 8 bits." in out


def test_nearest_texts_are_kept_layer_by_layer(command, tmp_path, few_resamples, monkeypatch):
    """An embedder, without a right answer anywhere."""
    pytest.importorskip("openvino")
    monkeypatch.setitem(exported.TOLERANCES, "int8", 10)
    many = write_texts(tmp_path / "many.csv")
    model = ruined(tmp_path / "model", "BertModel")
    budget = ("--data", many, "--max-drop", "15%", "--metric", "neighbours@3")
    options = ("--texts", many, "--to", "openvino")
    code, out, err = command("export", model, "-o", tmp_path / "out", *options, *budget)
    assert code == 0, err
    record = read_record(tmp_path / "out")
    assert record.drop <= 0.15
    assert RUINED in record.back
    assert f"Layers that int8 costs too much: {RUINED} (float32)" in out


def own_words(model, texts, path):
    """Words with the labels that a model gives them itself."""
    network = transformers.AutoModelForTokenClassification.from_pretrained(model)
    tokenizer = transformers.AutoTokenizer.from_pretrained(model)
    rows = []
    for line in texts.read_text().splitlines()[1:]:
        words = line.split()
        inputs = tokenizer(words, is_split_into_words=True, return_tensors="pt")
        with torch.no_grad():
            given = network(**inputs).logits[0].argmax(-1).tolist()
        first = [inputs.word_ids().index(number) for number in range(len(words))]
        tags = [network.config.id2label[given[place]] for place in first]
        rows.append(json.dumps({"tokens": words, "ner_tags": tags}))
    path.write_text("\n".join(rows) + "\n")
    return path
