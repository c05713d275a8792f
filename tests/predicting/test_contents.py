"""Files window by window: every row once, in its order, from wherever a stopped run was."""

import json

import pytest

from prensa.errors import DataError, SettingError
from prensa.predicting import windows
from prensa.predicting.contents import content_of
from prensa.predicting.windows import Columns
from prensa.texts.readers import read_table
from prensa.texts.source import Source

pyarrow = pytest.importorskip("pyarrow")
datasets = pytest.importorskip("datasets")
from pyarrow import parquet  # noqa: E402

ROWS = [{"id": f"{n}", "text": f"text {n}" * (1 + n % 5)} for n in range(50)]


@pytest.fixture(params=["t.csv", "t.jsonl", "t.parquet", "saved"])
def content(request, tmp_path, monkeypatch):
    monkeypatch.setattr(windows, "ROWS", 8)
    monkeypatch.setattr("prensa.predicting.arrow.ROWS", 8)
    path = tmp_path / request.param
    if request.param == "t.csv":
        lines = [f"{row['id']},{row['text']}" for row in ROWS]
        path.write_text("\n".join(["id,text", *lines]))
    elif request.param == "t.jsonl":
        path.write_text("\n".join(map(json.dumps, ROWS)))
    elif request.param == "t.parquet":
        parquet.write_table(pyarrow.Table.from_pylist(ROWS), path, row_group_size=7)
    else:
        datasets.Dataset.from_list(ROWS).save_to_disk(path)
    return content_of(path, Source(path))


def read(content, columns, done=0):
    rows = []
    for window in content.windows(columns, done):
        assert len(window) <= 8
        assert window.first == done + len(rows) + 1
        for text, kept in zip(window.texts[0], window.kept.rows(), strict=True):
            rows.append((text, dict(kept)))
    return rows


@pytest.mark.parametrize("done", [0, 8, 13, 49, 50])
def test_rows_behind_those_that_are_done(content, done):
    assert content.count == 50
    assert content.names == ("id", "text")
    expected = [(row["text"], {"id": row["id"]}) for row in ROWS[done:]]
    assert read(content, Columns(("text",), ("id",)), done) == expected


def test_no_columns_are_kept(content):
    assert read(content, Columns(("text",), ())) == [(row["text"], {}) for row in ROWS]


def test_windows_of_long_texts_are_shorter(tmp_path, monkeypatch):
    monkeypatch.setattr(windows, "CHARACTERS", 100)
    path = tmp_path / "t.jsonl"
    path.write_text("\n".join(json.dumps({"text": "x" * 60}) for _ in range(6)))
    content = content_of(path, Source(path))
    assert [len(window) for window in content.windows(Columns(("text",), ()), 0)] == [2, 2, 2]
    # What is kept beside short texts counts, what is not kept is not held.
    path.write_text("\n".join(json.dumps({"text": "x", "page": "y" * 60}) for _ in range(6)))
    content = content_of(path, Source(path))
    assert [len(window) for window in content.windows(Columns(("text",), ("page",)), 0)] == [2, 2, 2]
    assert [len(window) for window in content.windows(Columns(("text",), ()), 0)] == [6]
    monkeypatch.setattr("prensa.predicting.arrow.CHARACTERS", 100)
    table = pyarrow.table({"text": [f"{n}" * 60 for n in range(6)]})
    parquet.write_table(table, tmp_path / "t.parquet", compression="none", use_dictionary=False)
    content = content_of(tmp_path / "t.parquet", Source())
    sizes = [len(window) for window in content.windows(Columns(("text",), ()), 0)]
    assert max(sizes) <= 2
    assert sum(sizes) == 6


@pytest.mark.parametrize(
    ("name", "data", "error", "message"),
    [
        ("t.json", b"[]", DataError, "save it with an object on each line"),
        ("t.xlsx", b"", DataError, "a spreadsheet; export the sheet as CSV"),
        ("t.csv", b"PK\x03\x04", DataError, "a zip archive or an Excel workbook"),
        ("t.parquet", b"PAR1 and no more", DataError, "not readable as Parquet, perhaps cut short"),
        ("none.csv", None, DataError, "cannot be read"),
    ],
)
def test_files_that_cannot_be_read(tmp_path, name, data, error, message):
    if data is not None:
        (tmp_path / name).write_bytes(data)
    with pytest.raises(error, match=message):
        content_of(tmp_path / name, Source())


def test_parquet_that_is_damaged_in_the_middle(tmp_path):
    path = tmp_path / "t.parquet"
    parquet.write_table(pyarrow.Table.from_pylist(ROWS), path, row_group_size=10)
    content = content_of(path, Source())
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(DataError, match="not readable as Parquet, perhaps cut short"):
        read(content, Columns(("text",), ()))


def test_parts_of_a_data_set(tmp_path):
    part = datasets.Dataset.from_list(ROWS)
    datasets.DatasetDict({"train": part, "test": part.select(range(3))}).save_to_disk(tmp_path / "saved")
    with pytest.raises(SettingError, match="`split`: expected one of train, test, found None"):
        content_of(tmp_path / "saved", Source())
    assert content_of(tmp_path / "saved", Source(split="test")).count == 3
    with pytest.raises(SettingError, match="`split` test is for data sets"):
        content_of(tmp_path / "t.csv", Source(split="test"))


def test_cells_that_cannot_be_read_are_named_where_they_are_needed(tmp_path):
    late = pyarrow.array([2**60, 1], pyarrow.timestamp("ms"))
    words = pyarrow.array([b"\xff", b"a"], pyarrow.binary()).view(pyarrow.string())
    path = tmp_path / "t.parquet"
    parquet.write_table(pyarrow.table({"text": ["a", "b"], "when": late, "words": words}), path)
    content = content_of(path, Source(path, text_column="text"))
    # A column that nobody reads harms nobody, and with its own type it is kept as it is.
    (window,) = content.windows(Columns(("text",), ("when",)), 0)
    assert window.texts == (["a", "b"],)
    assert window.kept.table(content.schema(("when",))).column("when").equals(pyarrow.chunked_array([late]))
    with pytest.raises(DataError, match="t.parquet: the column 'when' holds a value that cannot be read"):
        list(window.kept.rows())
    with pytest.raises(DataError, match="t.parquet: the column 'words' holds a value that cannot be read"):
        list(content.windows(Columns(("words",), ()), 0))
    with pytest.raises(DataError, match="t.parquet: the column 'w.*' holds a value that cannot be read"):
        read_table(str(path))
