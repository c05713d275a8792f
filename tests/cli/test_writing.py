"""Models that write texts, from the search to the card, judged by chrF, ROUGE-L, BLEU and exact match."""

import json

import pytest
import transformers
from tests.seq2seq import bart

import prensa
from prensa.evaluation.generation import text_of, write
from prensa.evaluation.results_file import load_results

LETTERS = "bcdefghijklmnopq"


@pytest.fixture(autouse=True)
def short(monkeypatch):
    """Write a few tokens, and time few."""
    monkeypatch.setattr("prensa.evaluation.generation.MOST_TOKENS", 10)
    monkeypatch.setattr("prensa.evaluation.generation.TIMED_TOKENS", 2)


@pytest.fixture(scope="module")
def summaries(tmp_path_factory):
    """A model, and sixty texts with what it writes for them itself."""
    place = tmp_path_factory.mktemp("writing")
    model = bart(place / "model")
    network = transformers.AutoModelForSeq2SeqLM.from_pretrained(model).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(model)
    texts = [" ".join(LETTERS[(n * k + k) % 16] for k in range(1, 7)) + f" {n}" for n in range(60)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("prensa.evaluation.generation.MOST_TOKENS", 10)
        written = write(network, tokenizer(texts, padding=True, return_tensors="pt"), tokenizer)
    data = place / "texts.jsonl"
    rows = [{"text": text, "summary": text_of(own)} for text, own in zip(texts, written, strict=True)]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return model, data


def test_from_the_search_to_the_card(command, quick, summaries, tmp_path):
    model, data = summaries
    output, page = tmp_path / "out", tmp_path / "page" / "report.html"
    page.parent.mkdir()
    options = ("--data", data, "--max-drop", "90%", "--metric", "ROUGE-L")
    code, out, err = command("compress", model, "-o", output, *options)
    assert (code, "ROUGE-L drops by" in err) == (0, True)
    code, out, _ = command("evaluate", model, output, *options, "--report", page)
    assert code == 0
    assert "its ROUGE-L " in out
    assert " tokens are written." in out
    evaluation = load_results(page.parent)
    quality = evaluation.results[0].quality
    originals = {metric.name: metric.original for metric in quality.metrics}
    assert originals == pytest.approx({"chrF": 1, "ROUGE-L": 1, "exact match": 1, "BLEU": 1})
    assert all(metric.interval for metric in quality.metrics)
    for written in (page, output / "README.md"):
        assert "BLEU" in written.read_text()


def test_texts_that_changed_are_shown(quick, summaries, tmp_path):
    model, data = summaries
    prensa.compress(model, tmp_path / "pruned", prune=0.6)
    quality = prensa.evaluate(model, tmp_path / "pruned", data=data).results[0].quality
    assert quality.drop.of == "chrF"
    assert quality.drop.value > 0.01
    first = quality.disagreements[0]
    assert first.label == first.original != first.result
    # Without right answers the original's are what is compared with.
    alone = prensa.evaluate(model, tmp_path / "pruned", data=prensa.Source(data, label_column=""))
    quality = alone.results[0].quality
    assert (quality.drop.of, quality.metrics) == ("changed answers", ())
    assert [figure.name for figure in quality.figures][1:] == [
        "chrF with the original's texts",
        "ROUGE-L with the original's texts",
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--metric", "rouge"), "--metric rouge: no metric of this model; the nearest: rouge_l"),
        (
            ("--metric", "accuracy"),
            "no metric of this model; expected one of chrf, rouge_l, bleu, exact_match",
        ),
        (("--metric", "bleu", "--label-column", ""), "BLEU (--metric) needs right answers"),
    ],
)
def test_bad_input(command, assert_refused, summaries, tmp_path, options, message):
    model, data = summaries
    found = command("compress", model, "-o", tmp_path / "out", "--data", data, "--max-drop", "1%", *options)
    assert_refused(found, message)
