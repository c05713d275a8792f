"""Rerankers and embedders in their own terms, from the command line to the model card."""

import json

import pytest
from tests.bert import around, bert, pooling
from tests.queries import some_beir, write_beir

import prensa
from prensa.cli.outcome import describe
from prensa.evaluation.budget import Budget
from prensa.evaluation.figures import Drop
from prensa.evaluation.results_file import load_results
from prensa.search.outcome import Outcome
from prensa.search.trial import Trial


@pytest.fixture(scope="module")
def beir(tmp_path_factory):
    """Forty-eight queries and sixty passages. Not to be changed."""
    return some_beir(tmp_path_factory.mktemp("data") / "beir")


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A reranker, one of two classes, and an embedder, each with a pressed copy. Not to be changed."""
    place = tmp_path_factory.mktemp("models")
    made = {
        "reranker": bert(place / "reranker", "BertForSequenceClassification", num_labels=1),
        "classes": bert(place / "classes", "BertForSequenceClassification", num_labels=2),
        "embedder": around(
            bert(place / "embedder"), pooling(), settings={"prompts": {"query": "q ", "document": "d "}}
        ),
    }
    for path in made.values():
        prensa.compress(path, path.with_name(f"{path.name}-int8"), preset="int8")
    return made


@pytest.fixture
def table(tmp_path):
    """The same kind of data as a table: each query with a passage that is relevant, and two that are not."""
    rows = []
    for n in range(44):
        rows += [f"query {n},passage {n},1", f"query {n},passage {n + 1},0", f"query {n},other {n},0"]
    path = tmp_path / "table.csv"
    path.write_text("\n".join(["query,passage,score", *rows]) + "\n")
    return path


@pytest.mark.parametrize("name", ["reranker", "classes", "embedder"])
def test_evaluate_speaks_in_the_metric(command, quick, models, beir, name, tmp_path):
    original = models[name]
    result = original.with_name(f"{original.name}-int8")
    page = tmp_path / "report.html"
    options = ("--data", beir, "--max-drop", "90%", "--report", page)
    code, out, err = command("evaluate", original, result, *options)
    assert code == 0
    assert "BEIR's layout, 48 queries and 60 passages read; 48 queries taken" in err
    said = f"on 48 queries of {beir} (split test); the budget of 90.00 points was held"
    assert "its NDCG@10 " in out
    assert said in out
    assert "The texts have no labels" not in out
    assert "NDCG@10" in (result / "README.md").read_text()
    evaluation = load_results(tmp_path)
    assert evaluation.data.queries == 48
    quality = evaluation.results[0].quality
    assert [metric.name for metric in quality.metrics] == ["NDCG@10", "MRR@10", "MAP", "recall@10"]
    assert 0 < quality.metrics[0].original < 1
    shown = page.read_text()
    assert "those of 48 queries with their passages" in shown
    assert "because other queries might have been chosen" in shown
    change = quality.disagreements[0]
    assert " → " in change.result
    assert " → " in change.label


def test_a_table_and_another_metric(command, quick, models, table):
    original = models["embedder"]
    options = ("--data", table, "--metric", "Recall_3", "--max-drop", "1", "--limit", "20", "--json")
    code, out, _ = command("evaluate", original, original.with_name("embedder-int8"), *options)
    assert code == 0
    content = json.loads(out)
    assert content["results"][0]["quality"]["drop"]["of"] == "recall@3"
    assert content["results"][0]["quality"]["queries"] == 20
    assert content["data"]["texts"] == 20 + 44 + 1 + 44


@pytest.mark.parametrize("name", ["reranker", "embedder"])
def test_a_search_keeps_a_metric(command, models, beir, name, tmp_path, few_resamples):
    out_path = tmp_path / "out"
    options = ("--data", beir, "--max-drop", "60%", "--metric", "mrr")
    code, out, err = command("compress", models[name], "-o", out_path, *options)
    assert code == 0
    assert "MRR@10 drops by" in err
    assert "on queries that the search had not seen" in out
    assert "Kept: a drop in mrr of at most 60.00 points" in out
    written = json.loads((out_path / "search.json").read_text())
    assert written["winner"]["drop_of"] == "MRR@10"


def test_a_frontier_of_a_metric(command, models, beir, tmp_path, few_resamples, monkeypatch):
    monkeypatch.setattr("prensa.jobs.exploration.NOISES", (0.001,))
    monkeypatch.setattr("prensa.search.frontier.is_installed", lambda module: False)
    options = ("--data", beir, "--metric", "map")
    code, out, _ = command("frontier", models["embedder"], "-o", tmp_path / "curve", *options)
    assert code == 0
    assert "The drop is that of MAP" in out
    written = json.loads((tmp_path / "curve" / "frontier.json").read_text())
    assert (written["texts"], written["unit"]) == (48, "queries")
    assert {point["drop_of"] for point in written["points"]} == {"MAP"}
    assert "judged on 48 queries of" in (tmp_path / "curve" / "frontier.html").read_text()


def test_an_export_keeps_a_metric(command, models, beir, tmp_path, monkeypatch):
    monkeypatch.setitem(prensa.serving.exported.TOLERANCES, "fp32", 10)
    options = ("--to", "openvino", "--precision", "fp32", "--data", beir, "--max-drop", "40%")
    code, _, _ = command("export", models["reranker"], "-o", tmp_path / "out", *options, "--metric", "ndcg@5")
    assert code == 0
    assert abs(json.loads((tmp_path / "out" / "prensa_export.json").read_text())["drop"]) < 0.01


def test_what_is_refused(command, assert_refused, models, beir, table, tmp_path):
    def refused(message, *options, name="reranker", data=beir):
        original = models[name]
        result = original.with_name(f"{original.name}-int8")
        assert_refused(command("evaluate", original, result, "--data", data, *options), message)

    refused(
        "--metric ndgc@10: no metric of queries with passages to rank; the nearest: ndcg@10",
        "--metric",
        "ndgc@10",
    )
    refused("--metric accuracy: no metric of queries", "--metric", "accuracy")
    refused("--min-recall works for classifiers", "--min-recall", "LABEL_1=99%", name="classes")
    refused("--label-threshold works for classifiers", "--label-threshold", "LABEL_1=0.7", name="classes")
    refused("--cascade compares the answers of classifiers", "--cascade", "99%", name="classes")
    refused("1 query taken (--limit 1)", "--limit", "1")
    refused("expected dev.tsv, found test; give --split", "--split", "dev")
    plain = ("--text-column", "query,passage", "--label-column", "score", "--metric", "ndcg@10")
    refused("without --text-column", *plain, data=table)
    lost = write_beir(tmp_path / "lost", {"q": "a"}, {"p": "b"}, [("q", "x", 1)])
    refused("qrels/test.tsv, line 2: the passage 'x' is not in corpus.jsonl", data=lost)


def test_too_few_queries_for_a_search(command, assert_refused, models, tmp_path):
    few = some_beir(tmp_path / "few", queries=30)
    options = ("--data", few, "--max-drop", "5%")
    refused = command("compress", models["embedder"], "-o", tmp_path / "out", *options)
    assert_refused(refused, "30 queries are too few to keep a budget by, expected 40 or more")


def test_a_search_that_too_few_queries_decide(tmp_path):
    check = Trial(0.1, 10, drop=0.02, drop_of="NDCG@10")
    outcome = Outcome(
        Budget(0.01, metric="ndcg@10"),
        nbytes_before=100,
        trials=(check,),
        winner=None,
        check=check,
        drop=Drop("NDCG@10", 0.02, (-0.05, 0.09)),
        held=False,
        best=check,
        decision="undecided",
        texts_needed=1400,
    )
    said = describe(outcome, tmp_path)
    assert "On the queries that the search had not seen the 95 % interval is wider" in said
    assert "about 1,400 queries in --data would decide it, and a search reads 1,000 at most" in said
    assert "on queries that the search had not seen: NDCG@10 drops by 2.00 points" in said
