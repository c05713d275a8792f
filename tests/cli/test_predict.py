"""``prensa predict`` as a user meets it."""

import json
import socket

import pytest
from rich.progress import Progress
from tests.conftest import leftovers

from prensa.cli import progress
from prensa.predicting import run

IN_TORCH = ("--runtime", "torch", "--precision", "fp32")


@pytest.fixture
def data(tmp_path):
    path = tmp_path / "in.csv"
    path.write_text("id,text\n1,a b\n2,\n3,c\n")
    return path


def test_one_line_at_the_end(command, original, data, tmp_path):
    code, out, err = command("predict", original, "--data", data, "-o", tmp_path / "out.csv", *IN_TORCH)
    assert code == 0
    assert out.startswith(f"{tmp_path / 'out.csv'}: 3 texts, ")
    assert out.endswith(" texts/s; 1 not answered: 1 no text\n")
    assert err == "in.csv: texts in 'text'\n"
    header, *rows = (tmp_path / "out.csv").read_text().splitlines()
    assert header == "id,text,label,score,problem"
    assert [row.split(",")[0] for row in rows] == ["1", "2", "3"]


def test_json(command, original, data, tmp_path):
    settings = ("--columns", "id", "--all-scores", "--prefix", "my_", "--json")
    code, out, _ = command(
        "predict", original, "--data", data, "-o", tmp_path / "o.jsonl", *IN_TORCH, *settings
    )
    assert code == 0
    content = json.loads(out)
    assert content.items() >= {"texts": 3, "answered_before": 0, "problems": {"no text": 1}}.items()
    row = json.loads((tmp_path / "o.jsonl").read_text().splitlines()[0])
    assert list(row) == ["id", "my_label", "my_score", "my_score_LABEL_0", "my_score_LABEL_1", "my_problem"]


def test_ctrl_c_says_how_to_go_on(command, original, data, tmp_path, monkeypatch):
    monkeypatch.setattr("prensa.predicting.windows.ROWS", 1)
    answer = run.answer_rows
    done = []

    def answered(*arguments):
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(1)
        return answer(*arguments)

    arguments = ("predict", original, "--data", data, "-o", tmp_path / "out.csv", *IN_TORCH)
    with monkeypatch.context() as patch:
        patch.setattr(run, "answer_rows", answered)
        code, out, err = command(*arguments)
    assert (code, out) == (2, "")
    assert err.splitlines()[-1] == (
        f"prensa: error: interrupted; 2 rows are answered and kept in {tmp_path}/.out.csv.prensa-predict: run the "
        "same command again to go on"
    )
    code, out, err = command(*arguments)
    assert code == 0
    assert "3 texts (2 of them before)" in out
    assert "2 rows were answered before; going on behind them" in err
    assert not leftovers(tmp_path)


def test_ctrl_c_before_anything_is_done(command, original, data, tmp_path, monkeypatch):
    def stopped(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("prensa.jobs.prediction.load_to_serve", stopped)
    code, _, err = command("predict", original, "--data", data, "-o", tmp_path / "out.csv", *IN_TORCH)
    assert (code, err.splitlines()[-1]) == (2, "prensa: error: interrupted; nothing was changed")
    assert not leftovers(tmp_path)


def test_of_one_file_in_a_directory_the_others_are_told_too(command, original, data, tmp_path):
    place = tmp_path / "in"
    place.mkdir()
    for name in ("a.csv", "notes.txt"):
        (place / name).write_text(data.read_text())
    code, _, err = command("predict", original, "--data", place, "-o", tmp_path / "out", *IN_TORCH)
    assert code == 0
    assert err.splitlines() == ["a.csv: texts in 'text'", "not read, being of another kind: notes.txt"]


def test_a_directory_is_told_in_its_notes(command, original, data, tmp_path):
    place = tmp_path / "in"
    place.mkdir()
    for name in ("a.csv", "b.csv", "notes.txt"):
        (place / name).write_text(data.read_text())
    code, out, err = command("predict", original, "--data", place, "-o", tmp_path / "out", *IN_TORCH)
    assert code == 0
    assert "6 texts" in out
    assert err.splitlines() == [
        "a.csv: texts in 'text'",
        "2 files, 6 rows",
        "not read, being of another kind: notes.txt",
    ]


def test_the_bar_counts_texts_and_not_what_was_done_before():
    bar = Progress(progress._Texts(), disable=True)
    task = bar.add_task("answering", total=2000, completed=1000)
    column = progress._Texts()
    assert column.render(bar.tasks[0]).plain == "1,000 of 2,000"
    bar.update(task, completed=1200)
    assert column.render(bar.tasks[0]).plain.startswith("1,200 of 2,000")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["-o", "in.csv"], "in.csv: is read, and cannot be written"),
        (["-o", "there.csv"], "there.csv: exists; give --force to replace it"),
        (["-o", "out"], "expected a name that ends in"),
        (["-o", "o.csv", "--strict"], "in.csv: row 2, 'text': no text; without --strict"),
        (["-o", "o.csv", "--text-column", "none"], "no column 'none' for the texts"),
        (["-o", "o.csv", "--columns", "none"], "no column 'none' for the columns to keep"),
        (
            ["-o", "o.csv", "--prefix", "", "--columns", "id", "--max-batch-tokens", "0"],
            "--max-batch-tokens must",
        ),
        (["-o", "o.csv", "--split", "test"], "--split test is for data sets"),
        (["-o", "o.csv", "--precision", "int4"], "--precision int4: expected"),
        (["-o", "no/such/place.txt"], "expected a name that ends in"),
    ],
)
def test_what_is_refused(command, assert_refused, original, data, tmp_path, monkeypatch, options, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there.csv").write_text("old")
    before = sorted(tmp_path.iterdir())
    assert_refused(command("predict", original, "--data", data.name, *options), message)
    assert sorted(tmp_path.iterdir()) == before
    assert (tmp_path / "there.csv").read_text() == "old"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ("--on", "dask"),
            "--on dask: expected ray, ray:local, ray:auto, ray:HOST:PORT or ray:ray://HOST:PORT",
        ),
        (("--workers", "2"), "--workers: only for workers of a cluster; give --on ray, too"),
        (("--on", "ray", "--worker-cpus", "0"), "--worker-cpus must be at least 1, found 0"),
    ],
)
def test_what_is_no_cluster_is_one_line(command, original, data, tmp_path, options, message):
    code, out, err = command("predict", original, "--data", data, "-o", tmp_path / "out.csv", *options)
    assert (code, out, err) == (2, "", f"prensa: error: {message}\n")
    assert not leftovers(tmp_path)


def test_a_cluster_that_does_not_answer_is_one_line(command, original, data, tmp_path):
    ray = pytest.importorskip("ray")
    if ray.is_initialized():
        pytest.skip("this process has joined a cluster, which is taken in place of others")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    arguments = ("predict", original, "--data", data, "-o", tmp_path / "out.csv", *IN_TORCH)
    code, out, err = command(*arguments, "--on", f"ray:127.0.0.1:{port}")
    assert (code, out) == (2, "")
    assert err.splitlines()[-1].startswith(
        f"prensa: error: --on ray:127.0.0.1:{port}: nothing answers there ("
    )
    assert not leftovers(tmp_path)
