"""Whole runs on tiny models: what is written, and what a run that was stopped leaves for the next one."""

import csv
import errno
import json

import numpy as np
import pytest
from tests.conftest import leftovers
from tests.predicting.conftest import path_of, served_for  # noqa: F401  fixtures

import prensa
from prensa.errors import DataError, FormatError, OutputError, SettingError
from prensa.jobs import prediction
from prensa.predicting import outputs, run

pyarrow = pytest.importorskip("pyarrow")
from pyarrow import parquet  # noqa: E402

IN_TORCH = {"runtime": "torch", "precision": "fp32"}


@pytest.fixture
def lines(tmp_path, monkeypatch):
    """A file of 30 rows, in windows of 8; the 4th and the 11th have no text."""
    monkeypatch.setattr("prensa.predicting.windows.ROWS", 8)
    records = [{"id": n, "text": None if n in {3, 10} else "a b c d"[: 1 + n % 7]} for n in range(30)]
    path = tmp_path / "in.jsonl"
    path.write_text("\n".join(map(json.dumps, records)))
    return path


@pytest.fixture
def classifier(path_of):  # noqa: F811
    return path_of("classes")


def stop_after(count, monkeypatch, error=KeyboardInterrupt):
    """Have runs stopped at the window behind so many."""
    answer = run.answer_rows
    done = []

    def answered(*arguments):
        if len(done) == count:
            raise error
        done.append(1)
        return answer(*arguments)

    monkeypatch.setattr(run, "answer_rows", answered)
    return done


def read(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_answers_are_those_of_predict_in_order(classifier, served_for, lines, tmp_path):  # noqa: F811
    stages = []
    result = prensa.predict(
        classifier, tmp_path / "out.jsonl", data=lines, progress=lambda *step: stages.append(step), **IN_TORCH
    )
    rows = read(tmp_path / "out.jsonl")
    assert [row["id"] for row in rows] == list(range(30))
    texts = [row["text"] for row in rows if row["text"] is not None]
    answers = list(served_for("classes").predict(texts))
    answered = [row for row in rows if row["problem"] is None]
    assert [row["label"] for row in answered] == [answer.label for answer in answers]
    expected = [answer.scores[answer.label] for answer in answers]
    assert np.allclose([row["score"] for row in answered], expected, atol=1e-5)
    assert (result.texts, result.answered_before, result.problems) == (30, 0, {"no text": 2})
    assert result.texts_a_second > 0
    assert stages[-1] == ("answering 30 texts", 30, 30)
    assert not leftovers(tmp_path)


def test_a_stopped_run_is_gone_on_with(classifier, lines, tmp_path, monkeypatch):
    whole = tmp_path / "whole.jsonl"
    prensa.predict(classifier, whole, data=lines, **IN_TORCH)
    out = tmp_path / "out.jsonl"
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        stop_after(2, patch)
        prensa.predict(classifier, out, data=lines, **IN_TORCH)
    assert not out.exists()
    assert [path.name for path in leftovers(tmp_path)] == [".out.jsonl.prensa-predict"]
    done = stop_after(99, monkeypatch)
    result = prensa.predict(classifier, out, data=lines, **IN_TORCH)
    # Four windows in all, two of which were done before.
    assert len(done) == 2
    assert (result.texts, result.answered_before, result.problems) == (30, 16, {"no text": 2})
    assert out.read_bytes() == whole.read_bytes()
    assert not leftovers(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"all_scores": True}, "with another set of options; remove it"),
        ({"model": "number"}, "with another model; remove it"),
        ({"data": "changed"}, "has changed\\); remove it"),
    ],
)
def test_others_do_not_go_on(path_of, lines, tmp_path, monkeypatch, change, message):  # noqa: F811
    settings = {"model": path_of("classes"), "data": lines, "output": tmp_path / "out.jsonl", **IN_TORCH}
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        stop_after(1, patch)
        prensa.predict(**settings)
    if "model" in change:
        change = {"model": path_of(change["model"])}
    if "data" in change:
        change = {}
        lines.write_text(lines.read_text() + '\n{"text": "more"}')
    with pytest.raises(FormatError, match=message):
        prensa.predict(**{**settings, **change})
    assert leftovers(tmp_path)


def test_a_directory_of_shards(classifier, lines, tmp_path, monkeypatch):
    place = tmp_path / "in"
    place.mkdir()
    for number in range(3):
        rows = [{"id": number * 10 + n, "text": "a b"} for n in range(number * 10)]
        schema = pyarrow.schema([("id", pyarrow.int16()), ("text", pyarrow.string())])
        parquet.write_table(pyarrow.Table.from_pylist(rows, schema), place / f"{number}.parquet")
    monkeypatch.setattr("prensa.predicting.arrow.ROWS", 8)
    out = tmp_path / "out"
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        stop_after(3, patch)
        prensa.predict(classifier, out, data=place, **IN_TORCH)
    # The empty one and the first whole one are in place, and are not done again.
    assert sorted(path.name for path in out.iterdir()) == ["0.parquet", "1.parquet"]
    before = (out / "1.parquet").stat().st_mtime_ns
    result = prensa.predict(classifier, out, data=place, **IN_TORCH)
    assert (result.texts, result.answered_before) == (30, 18)
    assert (out / "1.parquet").stat().st_mtime_ns == before
    ids = []
    for number in range(3):
        written = parquet.read_table(out / f"{number}.parquet")
        assert written.column_names == ["id", "text", "label", "score", "problem"]
        assert written.schema.field("id").type == pyarrow.int16()
        ids += written.column("id").to_pylist()
    assert ids == [10 + n for n in range(10)] + [20 + n for n in range(20)]
    with pytest.raises(OutputError, match=r"0\.parquet: exists; give `force`"):
        prensa.predict(classifier, out, data=place, **IN_TORCH)
    assert not leftovers(tmp_path)


def test_pairs_columns_and_a_prefix(classifier, tmp_path):
    (tmp_path / "in.csv").write_text("id,a,b,label\n1,x,y,old\n2,x,,old\n")
    source = prensa.Source(tmp_path / "in.csv", text_column="a,b")
    with pytest.raises(DataError, match="has a column 'label', as the answers will; give a `prefix`"):
        prensa.predict(classifier, tmp_path / "out.csv", data=source, **IN_TORCH)
    prensa.predict(classifier, tmp_path / "out.csv", data=source, prefix="my_", **IN_TORCH)
    prensa.predict(classifier, tmp_path / "few.csv", data=source, columns=["ID"], **IN_TORCH)
    prensa.predict(classifier, tmp_path / "none.parquet", data=source, columns="", **IN_TORCH)
    with (tmp_path / "out.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["id", "a", "b", "label", "my_label", "my_score", "my_problem"]
    assert (rows[1]["my_label"], rows[1]["my_problem"]) == ("", "no text")
    assert (tmp_path / "few.csv").read_text().startswith("id,label,score,problem\n1,")
    assert parquet.read_table(tmp_path / "none.parquet").column_names == ["label", "score", "problem"]


def test_strictly_the_first_row_without_a_text_ends_it(classifier, lines, tmp_path):
    with pytest.raises(DataError, match=r"in\.jsonl: row 4, 'text': no text; without `strict`"):
        prensa.predict(classifier, tmp_path / "out.jsonl", data=lines, strict=True, **IN_TORCH)
    assert sorted(tmp_path.iterdir()) == [lines]
    lines.write_text('{"text": "a"}')
    prensa.predict(classifier, tmp_path / "out.jsonl", data=lines, strict=True, **IN_TORCH)
    assert list(read(tmp_path / "out.jsonl")[0]) == ["text", "label", "score"]


def test_strictly_a_text_that_the_model_fails_on_ends_it(path_of, tmp_path):  # noqa: F811
    long = "a " * 40
    (tmp_path / "in.csv").write_text(f"question,context\nwho?,a b\n{long},c\n")
    source = prensa.Source(tmp_path / "in.csv", text_column="question,context")
    with pytest.raises(DataError, match=r"row 2, 'question', 'context': the question has"):
        prensa.predict(path_of("questions"), tmp_path / "o.csv", data=source, strict=True, **IN_TORCH)


def test_a_full_disk_keeps_what_is_whole(classifier, lines, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with (
        monkeypatch.context() as patch,
        pytest.raises(OutputError, match="the disk is full; what is done is kept"),
    ):
        patch.setattr(outputs.TextOutput, "join", full)
        prensa.predict(classifier, tmp_path / "out.jsonl", data=lines, **IN_TORCH)
    stop_after(0, monkeypatch, AssertionError)
    assert prensa.predict(classifier, tmp_path / "out.jsonl", data=lines, **IN_TORCH).answered_before == 30
    assert len(read(tmp_path / "out.jsonl")) == 30


def test_a_disk_that_is_full_at_the_start_keeps_nothing_and_says_so(classifier, lines, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(outputs.TextOutput, "write", full)
    with pytest.raises(OutputError, match=r"the disk is full; nothing was answered yet$"):
        prensa.predict(classifier, tmp_path / "out.jsonl", data=lines, **IN_TORCH)
    assert sorted(tmp_path.iterdir()) == [lines]


def test_input_that_changes_on_the_way(classifier, lines, tmp_path, monkeypatch):
    answer = run.answer_rows

    def answered(*arguments):
        lines.write_text(lines.read_text() + "\n")
        return answer(*arguments)

    monkeypatch.setattr(run, "answer_rows", answered)
    with pytest.raises(DataError, match="has changed while it was read; remove"):
        prensa.predict(classifier, tmp_path / "out.jsonl", data=lines, **IN_TORCH)
    assert not (tmp_path / "out.jsonl").exists()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("in.csv", "", "empty, expected a line of column names and at least one text"),
        ("in.csv", "text\n", "empty, expected at least one text"),
        ("in.jsonl", "", "empty, expected at least one text"),
        ("in.csv", "name,id\na,1\n", "no column is named text"),
        ("in.csv", "text\n1\n", "column 'text' holds numbers where texts were expected"),
    ],
)
def test_files_without_texts(classifier, tmp_path, name, content, message):
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=message):
        prensa.predict(classifier, tmp_path / "o.csv", data=tmp_path / name, **IN_TORCH)
    assert not leftovers(tmp_path)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_batch_tokens": 0}, "`max_batch_tokens` must be at least 1"),
        ({"precision": "int4"}, "`precision=int4`: expected int8, bf16, fp32"),
        ({"runtime": "jax"}, "`runtime=jax`: expected auto"),
        ({"data": prensa.Source("x.csv", limit=3)}, "`limit`: all texts are answered"),
        ({"data": prensa.Source("x.csv", label_column="y")}, "`label_column`: all texts are answered"),
    ],
)
def test_settings_that_cannot_be(classifier, lines, tmp_path, settings, message):
    with pytest.raises(SettingError, match=message):
        prensa.predict(classifier, tmp_path / "o.csv", **{"data": lines, **IN_TORCH, **settings})


def test_models_that_read_other_columns(path_of, lines, tmp_path):  # noqa: F811
    with pytest.raises(
        SettingError, match=r"`text_column`: the model reads two columns, question and context"
    ):
        prensa.predict(path_of("questions"), tmp_path / "o.csv", data=lines, **IN_TORCH)
    pair = prensa.Source(lines, text_column="text,id")
    with pytest.raises(SettingError, match=r"`text_column`: the model reads one column"):
        prensa.predict(path_of("words"), tmp_path / "o.csv", data=pair, **IN_TORCH)


def test_force_replaces_an_output(classifier, lines, tmp_path):
    (tmp_path / "out.jsonl").write_text("old")
    with pytest.raises(OutputError, match="exists; give `force`"):
        prensa.predict(classifier, tmp_path / "out.jsonl", data=lines, **IN_TORCH)
    prensa.predict(classifier, tmp_path / "out.jsonl", data=lines, force=True, **IN_TORCH)
    assert len(read(tmp_path / "out.jsonl")) == 30


def test_an_export_answers_too(exports, tmp_path):
    pytest.importorskip("onnxruntime")
    (tmp_path / "in.csv").write_text("text\na b\nc d\n")
    result = prensa.predict(exports("onnx", "fp32"), tmp_path / "o.csv", data=tmp_path / "in.csv")
    assert result.texts == 2
    assert not result.problems


def test_a_stopped_run_keeps_the_runtime_that_it_chose(classifier, lines, tmp_path, monkeypatch):
    out = tmp_path / "out.jsonl"
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        stop_after(1, patch)
        prensa.predict(classifier, out, data=lines, **IN_TORCH)
    # As if `auto` had chosen it, and would choose another one now.
    (journal,) = tmp_path.glob(".out.jsonl*/journal.json")
    content = json.loads(journal.read_text())
    assert content["facts"]["runtime"] == "torch float32"
    content["facts"]["set of options"] = content["facts"]["set of options"].replace('"fp32"', "null")
    journal.write_text(json.dumps(content))
    asked = []
    load = prediction.load_to_serve

    def loading(*arguments, **settings):
        asked.append((settings["runtime"], settings["dtype"]))
        return load(*arguments, **settings)

    monkeypatch.setattr(prediction, "load_to_serve", loading)
    assert prensa.predict(classifier, out, data=lines).answered_before == 8
    assert asked == [("torch", "float32")]


@pytest.mark.parametrize("runtime", ["openvino", "onnxruntime"])
def test_a_stopped_run_goes_on_in_an_export(classifier, lines, tmp_path, monkeypatch, runtime):
    pytest.importorskip(runtime)
    out = tmp_path / "out.jsonl"
    in_float32 = {"runtime": runtime, "precision": "fp32"}
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        stop_after(1, patch)
        prensa.predict(classifier, out, data=lines, **in_float32)
    (journal,) = tmp_path.glob(".out.jsonl*/journal.json")
    content = json.loads(journal.read_text())
    assert content["facts"]["runtime"] == f"{runtime} fp32"
    content["facts"]["set of options"] = content["facts"]["set of options"].replace('"fp32"', "null")
    journal.write_text(json.dumps(content))
    assert prensa.predict(classifier, out, data=lines).answered_before == 8
    prensa.predict(classifier, tmp_path / "at_once.jsonl", data=lines, **in_float32)
    assert read(out) == read(tmp_path / "at_once.jsonl")


def test_a_file_that_appears_meanwhile_is_not_replaced(classifier, lines, tmp_path):
    out = tmp_path / "out.jsonl"

    def progress(stage, done, total):
        if done and not out.exists():
            out.write_text("another run's")

    with pytest.raises(OutputError, match="exists; give `force` to replace it"):
        prensa.predict(classifier, out, data=lines, progress=progress, **IN_TORCH)
    assert out.read_text() == "another run's"
    # Nothing is answered again.
    out.unlink()
    assert prensa.predict(classifier, out, data=lines, **IN_TORCH).answered_before == 30


def test_a_precision_that_a_runtime_does_not_have(classifier, lines, tmp_path):
    # Known before a text is read.
    with pytest.raises(SettingError, match="`runtime=onnxruntime`: runs in int8, fp32, found bfloat16"):
        prensa.predict(classifier, tmp_path / "out", data=lines, runtime="onnxruntime", precision="bf16")
