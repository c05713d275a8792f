"""Models that answer questions, from the search to the card, judged by exact match and F1."""

import json

import pytest
import torch
import transformers
from tests.bert import bert

import prensa
from prensa.evaluation.results_file import load_results

LETTERS = "bcdefghijklmnopq"


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    """A model, and sixty questions with the answers that it gives itself."""
    place = tmp_path_factory.mktemp("questions")
    model = bert(place / "model", "BertForQuestionAnswering")
    network = transformers.AutoModelForQuestionAnswering.from_pretrained(model)
    tokenizer = transformers.AutoTokenizer.from_pretrained(model)
    rows = []
    for n in range(60):
        question = f"{LETTERS[n % 16]} {LETTERS[n % 7]}"
        context = " ".join(LETTERS[(n * k + k) % 16] * 2 for k in range(1, 8))
        answer = answered(network, tokenizer, question, context)
        rows.append(
            {"question": question, "context": context, "answers": {"text": [answer], "answer_start": [0]}}
        )
    data = place / "squad.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return model, data


def answered(network, tokenizer, question, context):
    """The answer by the definition: the best of all pairs of tokens."""
    tokens = tokenizer(question, context, return_offsets_mapping=True, return_tensors="pt")
    offsets = tokens.pop("offset_mapping")[0].tolist()
    with torch.no_grad():
        output = network(**tokens)
    inside = [at for at, sequence in enumerate(tokens.sequence_ids(0)) if sequence == 1]
    best = max(
        (float(output.start_logits[0, i] + output.end_logits[0, j]), i, j)
        for i in inside
        for j in inside
        if j >= i
    )
    return context[offsets[best[1]][0] : offsets[best[2]][1]]


def test_from_the_search_to_the_card(command, quick, asked, tmp_path):
    model, data = asked
    output, page = tmp_path / "out", tmp_path / "page" / "report.html"
    page.parent.mkdir()
    options = ("--data", data, "--max-drop", "80%", "--metric", "Exact Match")
    code, out, err = command("compress", model, "-o", output, *options)
    assert (code, "exact match drops by" in err) == (0, True)
    code, out, _ = command("evaluate", model, output, *options, "--report", page)
    assert code == 0
    assert "its exact match " in out
    assert "answer F1" in out
    evaluation = load_results(page.parent)
    quality = evaluation.results[0].quality
    by_name = {metric.name: metric for metric in quality.metrics}
    assert by_name["exact match"].original == by_name["answer F1"].original == 1
    assert quality.agreement.value == pytest.approx(by_name["exact match"].result, abs=0.05)
    for written in (page, output / "README.md"):
        assert "exact match" in written.read_text()


def test_answers_that_changed_are_shown(quick, asked, tmp_path):
    model, data = asked
    prensa.compress(model, tmp_path / "pruned", prune=0.7)
    evaluation = prensa.evaluate(model, tmp_path / "pruned", data=data)
    quality = evaluation.results[0].quality
    assert quality.drop.of == "answer F1"
    assert quality.drop.value > 0.05
    first = quality.disagreements[0]
    assert first.label == first.original != first.result
    assert first.text.endswith(first.text.split("\n")[1])
    assert first.result in first.text
    alone = prensa.evaluate(model, tmp_path / "pruned", data=prensa.Source(data, label_column=""))
    assert alone.results[0].quality.drop.of == "changed answers"
    assert alone.results[0].quality.metrics == ()


def test_a_long_context_is_truncated_and_a_long_question_refused(quick, asked, tmp_path):
    model, _ = asked
    long = tmp_path / "long.jsonl"
    rows = [{"question": f"b {n}", "context": "cc dd " * 20, "answer": "cc"} for n in range(4)]
    long.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert prensa.evaluate(model, model, data=long).data.truncated == 4
    long.write_text(json.dumps({"question": "b " * 40, "context": "cc", "answer": "cc"}) + "\n")
    with pytest.raises(prensa.DataError, match="a question leaves no room for its context in the 32 tokens"):
        prensa.evaluate(model, model, data=long)


def test_an_export_keeps_the_budget_and_is_compared(command, quick, asked, tmp_path):
    pytest.importorskip("onnxruntime", reason="needs onnxruntime")
    model, data = asked
    options = ("--data", data, "--max-drop", "50%", "--metric", "f1")
    exported = tmp_path / "export"
    code, out, _ = command("export", model, "-o", exported, "--to", "onnx", "--precision", "fp32", *options)
    assert (code, "Its answer F1 stays as it was" in out) == (0, True)
    code, out, _ = command("evaluate", model, exported, *options)
    assert (code, "its answer F1 stays as it was" in out) == (0, True)


def test_a_frontier_of_answers(command, asked, tmp_path, few_resamples, monkeypatch):
    monkeypatch.setattr("prensa.jobs.exploration.NOISES", (0.001,))
    monkeypatch.setattr("prensa.search.frontier.is_installed", lambda module: False)
    model, data = asked
    code, out, _ = command("frontier", model, "-o", tmp_path / "curve", "--data", data, "--metric", "f1")
    assert (code, "The drop is that of answer F1" in out) == (0, True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--metric", "exact_math"), "no metric of this model; the nearest: exact_match"),
        (
            ("--metric", "rouge_l"),
            "--metric rouge_l: no metric of this model; expected one of exact_match, f1",
        ),
        (("--metric", "f1", "--label-column", ""), "answer F1 (--metric) needs right answers"),
        (("--min-recall", "x=9%"), "this model has no labels"),
        (("--label-threshold", "auto"), "--label-threshold works for classifiers of texts"),
        (("--text-column", "question"), "the model reads a question and its context"),
    ],
)
def test_bad_input(command, assert_refused, asked, tmp_path, options, message):
    model, data = asked
    found = command("compress", model, "-o", tmp_path / "out", "--data", data, "--max-drop", "1%", *options)
    assert_refused(found, message)
