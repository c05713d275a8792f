"""Two texts that are read together, from every command: the ids are those of the user's own code."""

import csv
import json

import pytest
import torch
import transformers
from tests.bert import bert

import prensa

LETTERS = "abcdefghijklmnop"
COLUMNS = ("--text-column", "premise,hypothesis")


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """A classifier of pairs with a table of them, and what transformers answers. Not to be changed."""
    place = tmp_path_factory.mktemp("pairs")
    names = {0: "no", 1: "yes"}
    path = bert(
        place / "model",
        "BertForSequenceClassification",
        id2label=names,
        label2id={name: index for index, name in names.items()},
    )
    tokenizer = transformers.AutoTokenizer.from_pretrained(path)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(path)
    rows, probabilities, ids = [], [], []
    for n in range(60):
        # Some are longer than the 32 tokens that the model reads: the first, the second, or both.
        one = f"{LETTERS[n % 13]} {n} " + LETTERS * (n % 3)
        other = f"{LETTERS[n % 7] * 3} " + LETTERS[::-1] * (n % 4)
        batch = tokenizer(one, other, truncation=True, return_tensors="pt")
        with torch.no_grad():
            probability = model(**batch).logits.softmax(-1)[0]
        rows.append([one, other, names[int(probability.argmax())]])
        probabilities.append(float(probability.max()))
        ids.append(batch["input_ids"][0].tolist())
    with (place / "pairs.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["premise", "hypothesis", "label"], *rows])
    return path, place / "pairs.csv", rows, probabilities, ids


def test_evaluate(command, quick, pairs, tmp_path):
    path, table, *_ = pairs
    prensa.compress(path, tmp_path / "half", preset="half")
    options = ("--data", table, *COLUMNS, "--label-column", "label", "--json")
    code, out, err = command("evaluate", path, tmp_path / "half", *options)
    assert code == 0
    assert "texts in 'premise', 'hypothesis'" in err
    content = json.loads(out)
    # The right answers are those that the user's own code gives.
    assert content["results"][0]["quality"]["metrics"][0]["original"] == 1
    assert content["data"]["truncated"] > 20


def test_compress(command, pairs, tmp_path, few_resamples):
    path, table, *_ = pairs
    options = ("--data", table, *COLUMNS, "--label-column", "label", "--max-drop", "60%")
    code, _, err = command("compress", path, "-o", tmp_path / "out", *options)
    assert code == 0
    assert "texts in 'premise', 'hypothesis'" in err
    assert json.loads((tmp_path / "out" / "search.json").read_text())["check"]["agreement"] > 0.4
    code, _, _ = command("compress", path, "-o", tmp_path / "small", "--texts", table, *COLUMNS)
    assert code == 0
    read = json.loads((tmp_path / "small" / "manifest.json").read_text())["calibration"]
    assert read["tokens"] > 60 * 15


def test_export(command, pairs, tmp_path, monkeypatch):
    monkeypatch.setitem(prensa.serving.exported.TOLERANCES, "fp32", 10)
    path, table, _, _, ids = pairs
    options = ("--to", "openvino", "--precision", "fp32", "--texts", table, *COLUMNS)
    budget = ("--label-column", "label", "--max-drop", "20%")
    code, _, _ = command("export", path, "-o", tmp_path / "out", *options, *budget)
    assert code == 0
    record = json.loads((tmp_path / "out" / "prensa_export.json").read_text())
    assert record["drop"] == 0
    for row in record["rows"]:
        assert row["input_ids"] in ids


def test_predict(command, pairs, tmp_path):
    path, table, rows, probabilities, _ = pairs
    output = tmp_path / "answers.csv"
    in_torch = ("--runtime", "torch", "--precision", "fp32", "--prefix", "my_")
    code, _, _ = command("predict", path, "-o", output, "--data", table, *COLUMNS, *in_torch)
    assert code == 0
    with output.open(newline="") as file:
        answers = list(csv.DictReader(file))
    assert [answer["hypothesis"] for answer in answers] == [row[1] for row in rows]
    assert [answer["my_label"] for answer in answers] == [row[2] for row in rows]
    assert [float(answer["my_score"]) for answer in answers] == pytest.approx(probabilities, abs=1e-4)
