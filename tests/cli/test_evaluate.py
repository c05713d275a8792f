"""``prensa evaluate`` and ``prensa report``: what they print and write, their exit codes, how they fail."""

import dataclasses
import json
import os
import signal
import subprocess
import sys

import pytest
from tests.conftest import (
    add_tokenizer,
    build_model,
    change_config,
    change_weights,
    directory_bytes,
    leftovers,
)
from tests.sample import EVALUATION

import prensa
from prensa.checkpoint.manifest import Manifest, TensorReport
from prensa.cli.comparison import print_evaluation
from prensa.cli.tables import print_tensors
from prensa.evaluation import evaluate as module
from prensa.evaluation.results_file import load_results


@pytest.fixture
def data(tmp_path):
    path = tmp_path / "comments.csv"
    rows = [f"comment number {i},{i % 2}" for i in range(24)]
    path.write_text("\n".join(["text,label", *rows]) + "\n")
    return path


def test_tables_and_verdict(command, quick, original, pressed, data):
    code, out, err = command("evaluate", original, pressed, "--data", data)
    read = "24 rows read; texts in 'text'; labels in 'label': 12 '0' as 'LABEL_0', 12 '1' as 'LABEL_1'"
    assert (code, err) == (0, f"comments.csv: {read}\n")
    for words in (
        "Size on disk",
        "times as fast",
        "time to load",
        "accuracy",
        "same answer",
        "calibration error",
    ):
        assert words in out
    assert "pressed takes" in out.splitlines()[-1]
    assert "on 24 texts" in out.splitlines()[-1]


def test_the_exit_code_says_whether_the_budget_was_held(command, quick, original, pressed, data):
    assert command("evaluate", original, original, "--data", data, "--max-drop", "0")[0] == 0
    other = add_tokenizer(build_model("deberta", data.parent / "other"))
    change_weights(other, lambda tensors: tensors["classifier.weight"].neg_())
    code, out, _ = command("evaluate", original, other, "--max-drop", "1%", "--limit", 20)
    assert code == 1
    assert "the budget of 1.00 points was NOT held" in out
    code, out, _ = command("evaluate", original, original, other, "--max-drop", "0.01", "--limit", 20)
    assert code == 1
    assert out.count("was NOT held") == 1


def test_json_is_all_that_is_printed(command, quick, original, pressed, data, tmp_path):
    code, out, _ = command("evaluate", original, pressed, "--data", data, "--json")
    assert code == 0
    (tmp_path / "results.json").write_text(out)
    assert load_results(tmp_path).results[0].quality.metrics
    settings = json.loads(out)["settings"]
    assert settings["data"] == str(data)


def test_every_option_arrives(command, quick, original, pressed, tmp_path):
    (tmp_path / "d.tsv").write_text("a\tb\tc\nx\ty\t1\nz\tw\t0\n")
    options = ["--data", tmp_path / "d.tsv", "--text-column", "a,b", "--label-column", "c", "--limit", "2"]
    options += ["--labels", "0=LABEL_1,1=LABEL_0", "--encoding", "cp1252"]
    options += ["--batch-size", "3", "--max-length", "16", "--device", "cpu", "--dtype", "bfloat16"]
    options += ["--metric", "f1:LABEL_1", "--min-recall", "LABEL_1=0%", "--label-threshold", "LABEL_1=0.5"]
    found = json.loads(command("evaluate", original, pressed, *options, "--max-drop", "100%", "--json")[1])
    assert found["settings"] == {
        "original": str(original),
        "results": [str(pressed)],
        "data": str(tmp_path / "d.tsv"),
        "text_column": "a,b",
        "label_column": "c",
        "split": None,
        "limit": 2,
        "batch_size": 3,
        "max_length": 16,
        "device": "cpu",
        "dtype": "bfloat16",
        "max_drop": 1.0,
        "encoding": "cp1252",
        "labels": {"0": "LABEL_1", "1": "LABEL_0"},
        "cascade": None,
        "metric": "f1:LABEL_1",
        "min_recall": {"LABEL_1": 0.0},
        "label_threshold": {"LABEL_1": 0.5},
    }
    assert "1 '1' as 'LABEL_0', 1 '0' as 'LABEL_1'" in found["data"]["account"]
    assert found["original"]["dtype"] == found["results"][0]["dtype"] == "bfloat16"
    assert found["batch_size"] == 3


def test_report_results_and_card(command, quick, original, pressed, data, tmp_path):
    place = tmp_path / "proof"
    place.mkdir()
    code, out, err = command("evaluate", original, pressed, "--data", data, "--report", place / "report.html")
    assert code == 0
    assert err.endswith(f"\nReport: {place / 'report.html'}\n")
    assert sorted(path.name for path in place.iterdir()) == ["report.html", "results.json"]
    verdict = out.splitlines()[-1]
    assert verdict.split(",")[0] in (place / "report.html").read_text()
    card = (pressed / "README.md").read_text()
    assert verdict.split(",")[0] in card
    assert "comment number" not in card
    assert "Not measured yet" not in card
    assert "comment number" in (place / "report.html").read_text()
    page = (place / "report.html").read_bytes()
    (place / "report.html").unlink()
    assert command("report", place) == (0, f"Report: {place / 'report.html'}\n", "")
    assert (place / "report.html").read_bytes() == page
    assert command("report", place / "results.json", "-o", place / "b.html")[0] == 0
    assert (place / "b.html").read_bytes() == page


def test_a_card_that_cannot_be_written_is_a_remark(command, quick, original, pressed, monkeypatch):
    monkeypatch.setattr("prensa.report.card.set_evaluation", _full)
    code, _, err = command("evaluate", original, pressed, "--limit", 5)
    assert code == 0
    assert err == "prensa: the model card was left as it is: the disk is full\n"


def _full(*_, **__):
    raise prensa.OutputError("the disk is full")


def test_names_in_a_file_do_not_control_the_terminal(capsys):
    sizes = {"nbytes_before": 64, "nbytes": 64, "zeros": 0, "relative_squared_error": 0.0}
    report = TensorReport("evil\x1b[2J", "linear", (4, 4), "float32", "float32", "x", "raw\x1b[2J", **sizes)
    print_tensors(Manifest("packed", 64, 64, (), (report,), "0"))
    out = capsys.readouterr().out
    assert "evil" in out
    assert "\x1b" not in out


def test_texts_of_anybody_do_not_control_the_terminal(capsys):
    print_evaluation(EVALUATION)
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "\x07" not in out
    assert "bell and escape [31m" in out
    result = dataclasses.replace(EVALUATION.results[0], name="evil\x1b]0;owned\x07")
    print_evaluation(dataclasses.replace(EVALUATION, results=(result,)))
    assert "\x1b" not in capsys.readouterr().out
    assert "<script>document.title = 'owned'" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["evaluate"], "Missing argument 'ORIGINAL'"),
        (["evaluate", "m"], "Missing argument 'RESULT...'"),
        (["evaluate", "/no/model", "/no/model"], "/no/model: no such directory"),
        (["evaluate", "m", "m", "--max-drop", "much"], "expected a share such as 0.01 or 1%, found 'much'"),
        (["evaluate", "m", "m", "--limit", "few"], "Invalid value for '--limit'"),
        (["evaluate", "m", "m", "--report", "none/report.html"], "no such directory as none"),
        (["evaluate", "m", "m", "--report", "."], "is a directory"),
        (["report", "none.json"], "none.json: cannot be read"),
        (["report", "."], "results.json: cannot be read"),
    ],
)
def test_bad_arguments(command, assert_refused, arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert_refused(command(*arguments), message)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        ("comment_id,body\n1,a\n", [], "there are comment_id, body; give --text-column"),
        ("text,label\na,0\n", ["--text-column", "t"], "no column 't' for the texts; there are text, label"),
        ("text,label\na,0\n", ["--label-column", "l"], "no column 'l' for the labels; there are text, label"),
        (
            "text,label\na,rude\n",
            [],
            "labels that the model does not know: 'rude' (1×); it knows 0 'LABEL_0'",
        ),
        ("", [], "empty"),
        (b"text\n\xe9\n", [], "line 2 is not UTF-8"),
        ("text\na\n", ["--max-drop", "2"], "--max-drop must be a share from 0 to 1"),
        ("text\na\n", ["--max-length", "99"], "the model reads at most 32 tokens"),
        ("text\na\n", ["--device", "moon"], "--device moon: not available on this machine"),
        ("text\na\n", ["--split", "test"], "a file has no splits"),
        ("text\na\n", ["--encoding", "klingon"], "--encoding klingon: no such encoding"),
        ("text\na\n", ["--labels", "a"], "--labels a: expected NAME=LABEL"),
        ("text\na\n", ["--labels", "a=b"], "--labels, but no column of labels"),
        ("text,label\na,x\n", ["--labels", "x=y"], "the model has no label 'y'; it has 0 'LABEL_0'"),
    ],
)
def test_bad_data(command, assert_refused, original, pressed, tmp_path, content, options, message):
    path = tmp_path / "d.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    before = directory_bytes(tmp_path)
    report = ["--report", tmp_path / "report.html"]
    assert_refused(command("evaluate", original, pressed, "--data", path, *options, *report), message)
    assert directory_bytes(tmp_path) == before


def test_bad_models(command, assert_refused, original, pressed, tmp_path):
    before = directory_bytes(tmp_path)
    report = ["--report", tmp_path / "report.html"]
    change_config(pressed, id2label={"0": "x", "1": "y"})
    assert_refused(command("evaluate", original, pressed, *report), "has the labels x, y")
    change_config(pressed, id2label={"0": "LABEL_0", "1": "LABEL_1"})
    (original / "tokenizer.json").unlink()
    assert_refused(command("evaluate", original, pressed, *report), "no usable tokenizer")
    assert set(directory_bytes(tmp_path)) == set(before) - {"original/tokenizer.json"}


def test_a_full_disk_costs_the_report_but_not_the_numbers(
    command, quick, original, pressed, tmp_path, monkeypatch
):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tempfile.mkstemp", full)
    code, out, err = command(
        "evaluate", original, pressed, "--limit", 5, "--report", tmp_path / "report.html"
    )
    assert code == 2
    assert "pressed takes" in out
    assert err.splitlines()[-1].endswith("results.json: the disk is full; nothing was changed")
    assert err.startswith("prensa: error: ")
    assert not (tmp_path / "report.html").exists()
    assert not leftovers(tmp_path)


def test_an_interruption_keeps_what_was_measured(command, quick, original, pressed, tmp_path, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "measure_speed", interrupt)
    code, out, err = command(
        "evaluate", original, pressed, "--limit", 5, "--report", tmp_path / "report.html"
    )
    assert code == 2
    assert "same answer" in out
    assert "Interrupted: speed, memory not measured" in out
    assert err.splitlines()[-1] == "prensa: error: interrupted; speed, memory missing, the rest was kept"
    assert load_results(tmp_path).missing == ("speed", "memory")
    assert "Interrupted: speed, memory not measured" in (tmp_path / "report.html").read_text()


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_real_process_that_is_stopped_while_it_times(original, pressed, tmp_path, sent):
    script = (
        "import os, sys\n"
        "from prensa.evaluation import speed\n"
        "speed._SECONDS = 1000.0; speed._MOST = 10**6\n"
        "measure = speed.measure\n"
        "def told(*arguments):\n"
        "    os.write(1, b'timing\\n')\n"
        "    return measure(*arguments)\n"
        "speed.measure = told\n"
        "from prensa.cli.main import main\n"
        "main()\n"
    )
    command = ["evaluate", original, pressed, "--limit", 5, "--report", tmp_path / "report.html"]
    process = subprocess.Popen(
        [sys.executable, "-c", script, *map(str, command)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "timing\n"
    os.kill(process.pid, sent)
    out, err = process.communicate(timeout=600)
    assert process.returncode == 2
    assert "same answer" in out
    assert err.splitlines()[-1] == "prensa: error: interrupted; speed, memory missing, the rest was kept"
    assert load_results(tmp_path).results[0].quality is not None
    assert not leftovers(tmp_path)


def test_a_failure_that_only_costs_the_memory(command, quick, original, pressed, monkeypatch):
    def fail(job):
        raise prensa.ModelError(f"{job.path}: killed")

    monkeypatch.setattr("prensa.evaluation.memory.memory_of", fail)
    code, out, _ = command("evaluate", original, pressed, "--limit", 5)
    assert code == 0
    assert f"Not measured: {pressed}: killed" in out
    assert "times as fast" in out


def test_tables_are_whole_on_a_narrow_terminal(capsys, monkeypatch):
    monkeypatch.setattr("prensa.cli.tables._PIPED_WIDTH", 60)
    print_evaluation(EVALUATION)
    out = capsys.readouterr().out
    assert "…" not in out.split("Where int8")[0]
    assert max(map(len, out.split("Where int8")[0].splitlines()[:8])) <= 60


def test_a_closed_pipe_is_not_a_budget_that_was_not_held(command, quick, original, pressed, monkeypatch):
    def closed(*_):
        raise SystemExit(1)  # what rich does

    monkeypatch.setattr("prensa.cli.comparison.print_evaluation", closed)
    assert command("evaluate", original, pressed, "--limit", 5)[0] == 2


def test_the_smoke_test_is_called_one(capsys):
    data = dataclasses.replace(EVALUATION.data, is_smoke_test=True)
    print_evaluation(dataclasses.replace(EVALUATION, data=data))
    assert "a smoke test" in capsys.readouterr().out
