"""A metric, recalls and thresholds from the command line to the model card, for texts and for words."""

import json

import numpy as np
import pytest
import torch
import transformers
from tests.bert import bert
from tests.conftest import add_tokenizer, build_model

import prensa
from prensa.evaluation.results_file import load_results

LETTERS = "abcdefghijklmnop"


@pytest.fixture
def judged(original, tmp_path):
    """Sixty texts whose right answers are the original's own at the threshold that is returned with them."""
    path = tmp_path / "judged.csv"
    return path, f"LABEL_1={write_judged(original, path, 60)}"


def write_judged(original, path, count):
    model = transformers.AutoModelForSequenceClassification.from_pretrained(original)
    tokenizer = transformers.AutoTokenizer.from_pretrained(original)
    texts = [f"{LETTERS[n % 13]} {LETTERS[n % 7] * 3} {n}" for n in range(count)]
    with torch.no_grad():
        logits = torch.cat([model(**tokenizer(text, return_tensors="pt")).logits for text in texts])
    likely = logits.softmax(-1)[:, 1].numpy()
    # Between two texts, so that no rounding decides.
    middle = np.sort(likely)[count // 2 - 1 : count // 2 + 1].mean()
    rows = [f"{text},LABEL_{int(p > middle)}" for text, p in zip(texts, likely, strict=True)]
    path.write_text("\n".join(["text,label", *rows]) + "\n")
    return middle


def test_evaluate_speaks_in_the_metric(command, quick, original, judged, tmp_path):
    data, threshold = judged
    half = tmp_path / "half"
    prensa.compress(original, half, preset="half")
    terms = ("--metric", "recall:label_1", "--min-recall", "LABEL_1=1%", "--label-threshold", threshold)
    page = tmp_path / "page" / "report.html"
    page.parent.mkdir()
    code, out, _ = command(
        "evaluate", original, half, "--data", data, *terms, "--max-drop", "1", "--report", page
    )
    assert code == 0
    said = "its recall of LABEL_1 "
    assert said in out
    assert "the same label to all" not in out
    assert "a recall of LABEL_1 of 1.00 % was held: it is " in out
    assert "PR-AUC: LABEL_1" in out
    assert said in (half / "README.md").read_text().replace("\\", "")
    evaluation = load_results(page.parent)
    assert evaluation.settings.metric == "recall:label_1"
    assert evaluation.settings.min_recall == {"LABEL_1": 0.01}
    quality = evaluation.results[0].quality
    assert quality.drop.of == "recall: LABEL_1"
    by_name = {metric.name: metric for metric in quality.metrics}
    assert (
        by_name["recall: LABEL_1"].original == 1
    )  # the threshold makes the right answers the original's own
    assert quality.recalls[0].value == by_name["recall: LABEL_1"].result
    shown = page.read_text()
    assert said in shown
    for option in ("--min-recall LABEL_1=0.01", "--label-threshold LABEL_1=", "--metric recall:label_1"):
        assert option in shown

    code, out, _ = command("evaluate", original, original, "--data", data, "--min-recall", "LABEL_0=100%")
    assert (code, "a recall of LABEL_0 of 100.00 % was NOT held" in out) == (1, True)  # not at 0.5


def test_a_search_keeps_a_recall(command, original, judged, tmp_path, few_resamples):
    data, threshold = judged
    options = ("--max-drop", "60%", "--metric", "f1:LABEL_1", "--min-recall", "LABEL_1=50%")
    code, out, err = command(
        "compress", original, "-o", tmp_path / "out", "--data", data, *options, "--label-threshold", threshold
    )
    assert code == 0
    assert "F1 of LABEL_1 drops by" in err
    assert "recall of LABEL_1 " in err
    assert "its F1 of LABEL_1 " in out
    assert (
        "Kept: a drop in f1:LABEL_1 of at most 60.00 points, a recall of LABEL_1 of at least 50.00 %" in out
    )
    written = json.loads((tmp_path / "out" / "search.json").read_text())
    assert written["winner"]["drop_of"] == "F1: LABEL_1"
    assert written["check"]["recalls"][0]["value"] >= 0.5
    assert written["budget"]["min_recall"] == {"LABEL_1": 0.5}


def test_a_frontier_of_a_metric(command, original, judged, tmp_path, few_resamples, monkeypatch):
    monkeypatch.setattr("prensa.jobs.exploration.NOISES", (0.001,))
    monkeypatch.setattr("prensa.search.frontier.is_installed", lambda module: False)
    data, threshold = judged
    options = ("--metric", "pr_auc:LABEL_1", "--label-threshold", threshold)
    code, out, _ = command("frontier", original, "-o", tmp_path / "curve", "--data", data, *options)
    assert code == 0
    assert "The drop is that of PR-AUC of LABEL_1" in out
    points = json.loads((tmp_path / "curve" / "frontier.json").read_text())["points"]
    assert {point["drop_of"] for point in points} == {"PR-AUC: LABEL_1"}


def test_an_export_keeps_a_recall(command, original, judged, tmp_path, converted):
    data, threshold = judged
    options = ("--to", "onnx", "--texts", data, "--min-recall", "LABEL_1=30%", "--label-threshold", threshold)
    code, _, _ = command("export", original, "-o", tmp_path / "out", *options)
    assert code == 0
    assert (tmp_path / "out" / "prensa_export.json").exists()
    chosen = ("--max-drop", "90%", "--metric", "f1:LABEL_1", "--label-threshold", "auto")
    options = ("--to", "onnx", "--texts", data, *chosen)
    code, out, _ = command("export", original, "-o", tmp_path / "chosen", *options)
    assert (code, "95 % interval" in out) == (0, True)


@pytest.fixture(scope="module")
def tagger(tmp_path_factory):
    """A model that marks people, with texts and the labels that it gives them itself."""
    place = tmp_path_factory.mktemp("tagger")
    labels = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")
    names = dict(enumerate(labels))
    model = bert(
        place / "model",
        "BertForTokenClassification",
        id2label=names,
        label2id={name: index for index, name in names.items()},
    )
    network = transformers.AutoModelForTokenClassification.from_pretrained(model)
    tokenizer = transformers.AutoTokenizer.from_pretrained(model)
    rows = []
    for n in range(60):
        words = [LETTERS[(n * k + k) % 16] for k in range(1, 9)]
        with torch.no_grad():
            given = network(**tokenizer(" ".join(words), return_tensors="pt")).logits.argmax(-1)[0, 1:-1]
        rows.append({"tokens": words, "ner_tags": [labels[index] for index in given.tolist()]})
    data = place / "words.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return model, data


def test_entities_from_the_search_to_the_card(command, quick, tagger, tmp_path):
    model, data = tagger
    output = tmp_path / "out"
    options = ("--max-drop", "60%", "--min-recall", "PER=20%")
    code, out, err = command("compress", model, "-o", output, "--data", data, *options)
    assert (code, "entity F1 drops by" in err) == (0, True)
    assert "recall of PER " in out
    code, out, _ = command("evaluate", model, output, "--data", data, *options, "--metric", "recall:PER")
    assert code == 0
    assert "its entity recall of PER " in out
    assert "a recall of PER of 20.00 % was held" in out
    for name in ("entity F1", "entity precision: LOC", "F1: B-PER"):
        assert name in out
    assert "entity recall: PER" in (output / "README.md").read_text()


def test_entities_that_are_lost_are_shown(command, quick, tagger, tmp_path):
    model, data = tagger
    prensa.compress(model, tmp_path / "pruned", prune=0.7)
    evaluation = prensa.evaluate(model, tmp_path / "pruned", data=data, min_recall={"PER": 0.999})
    quality = evaluation.results[0].quality
    assert quality.drop.of == "entity F1"
    assert quality.disagreement == "entities that changed"
    assert any(each.original.startswith(("PER ", "LOC ")) for each in quality.disagreements)
    assert not evaluation.within_budget


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--max-drop", "1%", "--metric", "recall:LABEL_2"), "--metric LABEL_2: no such label; the nearest:"),
        (("--max-drop", "1%", "--metric", "acuracy"), "no metric of this model; the nearest: accuracy"),
        (("--max-drop", "1%", "--metric", "entity_f1"), "--metric entity_f1: no metric of this model"),
        (("--min-agreement", "9%", "--metric", "accuracy"), "--metric is what --max-drop is a drop of"),
        (("--min-recall", "LABEL=9%"), "--min-recall LABEL: no such label"),
        (("--min-recall", "LABEL_1=9%,LABEL_1=8%"), "LABEL_1 is named twice"),
        (("--min-recall", "LABEL_1=high"), "--min-recall: expected a share such as 0.01 or 1%, found 'high'"),
        (
            ("--max-size", "9%", "--label-threshold", "LABEL_1=0.7"),
            "--label-threshold needs a budget of quality",
        ),
        (
            ("--min-recall", "LABEL_1=9%", "--label-column", ""),
            "recall of LABEL_1 (--min-recall) needs right answers",
        ),
    ],
)
def test_bad_input(command, assert_refused, original, texts, tmp_path, options, message):
    found = command("compress", original, "-o", tmp_path / "out", "--data", texts, *options)
    assert_refused(found, message)
    assert not (tmp_path / "out").exists()


def assert_refused_after_notes(result, message):
    code, out, err = result
    assert (code, out) == (2, "")
    last = err.splitlines()[-1]
    assert last.startswith("prensa: error: ")
    assert message in last


def test_no_result_can_find_more_than_the_original(command, original, judged, tmp_path):
    data, _ = judged
    found = command(
        "compress", original, "-o", tmp_path / "out", "--data", data, "--min-recall", "LABEL_0=100%"
    )
    assert_refused_after_notes(found, "the original's own recall of LABEL_0 is ")
    threshold = ("--label-threshold", "LABEL_1=1")
    options = ("--max-drop", "50%", "--metric", "precision:LABEL_1", *threshold)
    found = command("compress", original, "-o", tmp_path / "out", "--data", data, *options)
    assert_refused_after_notes(found, "the original has no precision of LABEL_1 (--metric) on these texts")
    assert not (tmp_path / "out").exists()


def test_a_cascade_has_no_thresholds(command, assert_refused, original, pressed, judged):
    data, threshold = judged
    for given in (threshold, "auto"):
        found = command(
            "evaluate", original, pressed, "--data", data, "--cascade", "9%", "--label-threshold", given
        )
        assert_refused(found, "--cascade compares the likeliest labels: leave --label-threshold out")


def test_a_language_model_is_judged_by_bits(command, quick, tmp_path, texts):
    model = add_tokenizer(build_model("gpt2", tmp_path / "model"))
    prensa.compress(model, tmp_path / "half", preset="half")
    options = ("--data", texts, "--metric", "Bits per byte", "--max-drop", "5%")
    code, out, _ = command("evaluate", model, tmp_path / "half", *options)
    assert (code, "its cost in bits per byte " in out, "was held" in out) == (0, True, True)


def test_thresholds_are_chosen_for_each_model(command, quick, original, tmp_path):
    data = tmp_path / "many.csv"
    middle = write_judged(original, data, 100)
    pruned, page = tmp_path / "pruned", tmp_path / "page" / "report.html"
    page.parent.mkdir()
    prensa.compress(original, pruned, prune=0.5)
    options = ("--data", data, "--metric", "f1:LABEL_1", "--max-drop", "100%")
    code, out, _ = command(
        "evaluate", original, pruned, *options, "--label-threshold", "auto", "--report", page
    )
    assert code == 0
    assert "on 50 of 100 texts of" in out
    assert "thresholds chosen on the other half: LABEL_0 " in out
    evaluation = load_results(page.parent)
    assert evaluation.settings.label_threshold == {"LABEL_0": "auto", "LABEL_1": "auto"}
    quality = evaluation.results[0].quality
    _, chosen = quality.thresholds
    assert chosen.label == "LABEL_1"
    assert abs(chosen.original - middle) < 0.01
    assert chosen.result != chosen.original
    by_name = {metric.name: metric for metric in quality.metrics}
    assert by_name["F1: LABEL_1"].original > 0.9  # the threshold that made the right answers was found
    assert sum(each.count for each in quality.reliability) == 50
    for written in (page.read_text(), (pruned / "README.md").read_text().replace("\\", "")):
        assert "Thresholds" in written
        assert f"{chosen.result:.6g}" in written
    assert "--label-threshold LABEL_0=auto,LABEL_1=auto" in page.read_text()


def test_a_search_and_a_frontier_choose_thresholds(
    command, original, tmp_path, few_resamples, monkeypatch, assert_refused
):
    data = tmp_path / "many.csv"
    write_judged(original, data, 160)
    options = ("--metric", "f1:LABEL_1", "--label-threshold", "LABEL_1=auto", "--data", data)
    output = tmp_path / "out"
    code, out, _ = command("compress", original, "-o", output, "--max-drop", "60%", *options)
    assert code == 0
    assert "; thresholds chosen on the other half: LABEL_1 " in out
    written = json.loads((output / "search.json").read_text())
    assert written["budget"]["label_threshold"] == {"LABEL_1": "auto"}
    assert written["check"]["thresholds"][0]["label"] == "LABEL_1"

    monkeypatch.setattr("prensa.jobs.exploration.NOISES", (0.001,))
    monkeypatch.setattr("prensa.search.frontier.is_installed", lambda module: False)
    code, out, _ = command("frontier", original, "-o", tmp_path / "curve", *options)
    assert code == 0
    assert "Thresholds of LABEL_1 were chosen for each model on one half of the texts" in out

    few = tmp_path / "few.csv"
    few.write_text("\n".join(data.read_text().splitlines()[:61]))
    found = command("compress", original, "-o", tmp_path / "no", "--max-drop", "9%", *options[:-1], few)
    assert_refused(found, "the half to search on: 30 texts are too few to choose thresholds on one half and")
