"""What goes through a file of answers: the columns that there were, whatever their cells, and the new ones."""

import csv
import datetime as dt
import decimal
import gzip
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prensa.errors import DataError, MissingPackageError, OutputError
from prensa.predicting.answers import Answered, Column
from prensa.predicting.contents import content_of
from prensa.predicting.outputs import check_kind, output_for
from prensa.predicting.windows import Columns
from prensa.texts.readers import read_table
from prensa.texts.source import Source

pyarrow = pytest.importorskip("pyarrow")
from pyarrow import parquet  # noqa: E402

COLUMNS = (Column("label", "text"), Column("score", "number"), Column("vector", "vector"))
TEXT = st.text(st.sampled_from('ab é漢,;"\n\r\t\\\u2028'), max_size=8)


def copied(source: Path, target: Path, kept=None, at_once=2):
    """Write all rows of a file with made-up answers, in parts of a few rows; return these answers."""
    content = content_of(source, Source(source, text_column="text"))
    columns = Columns(("text",), kept or content.names)
    output = output_for(target, content, columns.kept, COLUMNS)
    parts, answers = [], []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("prensa.predicting.windows.ROWS", at_once)
        for number, window in enumerate(content.windows(columns, 0)):
            rows = []
            for row in range(window.first, window.first + len(window)):
                own = {"label": f"l{row}", "score": row / 4, "vector": np.array([row, 0.5], dtype=np.float32)}
                rows.append(own if row % 3 else dict.fromkeys(own))
            part = target.parent / f"part-{number}"
            output.write(part, window.kept, Answered(rows, Counter()))
            parts.append(part)
            answers += rows
    output.join(parts, target)
    assert sum(1 for _ in target.parent.glob(".*")) == 0
    return answers


@given(rows=st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=7))
def test_csv_to_csv(tmp_path_factory, rows):
    place = tmp_path_factory.mktemp("csv")
    with (place / "in.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, quoting=csv.QUOTE_ALL).writerows([("text", "label_"), *rows])
    before = read_table(str(place / "in.csv")).columns
    answers = copied(place / "in.csv", place / "out.csv")
    with (place / "out.csv").open(newline="", encoding="utf-8") as file:
        header, *written = csv.reader(file, strict=True)
    assert header == [*before, "label", "score", "vector"]
    for number, (cells, answer) in enumerate(zip(written, answers, strict=True)):
        assert cells[:2] == [column[number] or "" for column in before.values()]
        assert cells[2:] == [
            answer["label"] or "",
            "" if answer["score"] is None else json.dumps(answer["score"]),
            "" if answer["vector"] is None else json.dumps(answer["vector"].tolist()),
        ]


VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(allow_nan=False), st.text(max_size=5)
)
CELLS = st.one_of(
    VALUES, st.lists(VALUES, max_size=2), st.dictionaries(st.text(max_size=2), VALUES, max_size=2)
)


@given(
    records=st.lists(st.dictionaries(st.sampled_from(("text", "a", "é b")), CELLS), min_size=1, max_size=7),
    packed=st.booleans(),
)
def test_lines_to_lines(tmp_path_factory, records, packed):
    place = tmp_path_factory.mktemp("lines")
    lines = [json.dumps(record) for record in [{"text": "first"}, *records]]
    (place / "in.jsonl").write_text("\n".join(lines))
    target = place / ("out.jsonl.gz" if packed else "out.jsonl")
    answers = copied(place / "in.jsonl", target)
    data = gzip.decompress(target.read_bytes()) if packed else target.read_bytes()
    written = [json.loads(line) for line in data.decode().split("\n")[:-1]]
    for record, own, answer in zip([{"text": "first"}, *records], written, answers, strict=True):
        vector = answer["vector"]
        expected = record | answer | {"vector": None if vector is None else vector.tolist()}
        assert own == expected


def table(rows=5):
    numbers = range(rows)
    return pyarrow.table(
        {
            "id": pyarrow.array([2**60 + n for n in numbers], pyarrow.uint64()),
            "text": pyarrow.array([None if n == 1 else f"text {n}" for n in numbers], pyarrow.large_string()),
            "kind": pyarrow.array([f"k{n % 2}" for n in numbers]).dictionary_encode(),
            "when": pyarrow.array(
                [dt.datetime(2026, 1, 1 + n, tzinfo=dt.timezone.utc) for n in numbers],
                pyarrow.timestamp("us", "UTC"),
            ),
            "price": pyarrow.array([decimal.Decimal(n) / 4 for n in numbers], pyarrow.decimal128(9, 2)),
            "tags": pyarrow.array([["a"] * n for n in numbers], pyarrow.list_(pyarrow.string())),
            "nested": pyarrow.array([{"x": n} for n in numbers], pyarrow.struct([("x", pyarrow.int8())])),
            "raw": pyarrow.array([bytes([n]) for n in numbers]),
        },
        metadata={"ours": "kept", "huggingface": "{}"},
    )


def test_parquet_keeps_its_types(tmp_path):
    before = table()
    parquet.write_table(before, tmp_path / "in.parquet", row_group_size=2)
    answers = copied(tmp_path / "in.parquet", tmp_path / "out.parquet")
    after = parquet.read_table(tmp_path / "out.parquet")
    assert (
        after.select(before.column_names)
        .replace_schema_metadata(None)
        .equals(parquet.read_table(tmp_path / "in.parquet").replace_schema_metadata(None))
    )
    assert after.schema.metadata == {b"ours": b"kept"}
    assert after.column("score").type == pyarrow.float32()
    assert after.column("vector").type == pyarrow.list_(pyarrow.float32())
    assert after.column("label").to_pylist() == [answer["label"] for answer in answers]
    assert after.column("vector").to_pylist()[:3] == [[1, 0.5], [2, 0.5], None]


def test_parts_become_larger_groups(tmp_path):
    parquet.write_table(table(), tmp_path / "in.parquet", row_group_size=1)
    copied(tmp_path / "in.parquet", tmp_path / "out.parquet")
    assert parquet.ParquetFile(tmp_path / "out.parquet").num_row_groups == 1


def test_groups_of_rows_stay_small_however_many_rows_there_are(tmp_path):
    texts = [f"{number:08d}" * 2_000 for number in range(3_000)]
    parquet.write_table(pyarrow.table({"text": texts}), tmp_path / "in.parquet")
    copied(tmp_path / "in.parquet", tmp_path / "out.parquet", at_once=50)
    metadata = parquet.ParquetFile(tmp_path / "out.parquet").metadata
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    assert max(group.total_byte_size for group in groups) < 10 << 20
    assert len(groups) < 10
    assert parquet.read_table(tmp_path / "out.parquet").column("text").to_pylist() == texts


def test_parquet_to_lines_and_cells(tmp_path):
    parquet.write_table(table().drop_columns(["raw"]), tmp_path / "in.parquet")
    copied(tmp_path / "in.parquet", tmp_path / "out.jsonl")
    record = json.loads((tmp_path / "out.jsonl").read_text().splitlines()[2])
    own = {"id": 2**60 + 2, "kind": "k0", "when": "2026-01-03T00:00:00+00:00", "price": "0.50"}
    own |= {"nested": {"x": 2}, "tags": ["a", "a"]}
    assert {name: record[name] for name in own} == own
    copied(tmp_path / "in.parquet", tmp_path / "out.tsv")
    with (tmp_path / "out.tsv").open(newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert rows[1]["text"] == ""
    assert (rows[2]["tags"], rows[2]["price"]) == ('["a", "a"]', "0.50")


def test_lines_to_parquet_widen_types(tmp_path):
    records = [{"text": "a", "n": 1}] * 5 + [{"text": "b", "n": 1.5, "late": [1]}, {"text": "\ud800"}]
    (tmp_path / "in.jsonl").write_text("\n".join(map(json.dumps, records)))
    copied(tmp_path / "in.jsonl", tmp_path / "out.parquet")
    after = parquet.read_table(tmp_path / "out.parquet")
    assert after.column("n").to_pylist() == [1.0] * 5 + [1.5, None]
    assert after.column("late").to_pylist() == [None] * 5 + [[1], None]
    assert after.column("text").to_pylist()[-1] == "\\ud800"


def test_what_a_kind_of_file_cannot_hold(tmp_path):
    records = [{"text": "a", "n": 1}, {"text": "b", "n": "one"}]
    (tmp_path / "in.jsonl").write_text("\n".join(map(json.dumps, records)))
    with pytest.raises(DataError, match="column 'n' holds values of several types"):
        copied(tmp_path / "in.jsonl", tmp_path / "out.parquet")
    copied(tmp_path / "in.jsonl", tmp_path / "out.parquet", kept=("text",))
    parquet.write_table(table(), tmp_path / "in.parquet")
    with pytest.raises(DataError, match=r"column 'raw' holds bytes, which out\.csv cannot"):
        copied(tmp_path / "in.parquet", tmp_path / "out.csv")


SECONDS = [
    pyarrow.array([dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC), None], pyarrow.timestamp("s", "UTC")),
    pyarrow.array([dt.time(1, 2, 3), None], pyarrow.time32("s")),
    pyarrow.array([dt.date(2026, 1, 2), None], pyarrow.date64()),
]


@pytest.mark.parametrize("cells", SECONDS, ids=lambda cells: str(cells.type))
def test_types_of_data_sets_that_parquet_has_not(tmp_path, cells):
    datasets = pytest.importorskip("datasets")
    before = pyarrow.table({"text": ["a", "b"], "when": cells})
    datasets.Dataset(before).save_to_disk(tmp_path / "saved")
    copied(tmp_path / "saved", tmp_path / "out.parquet")
    after = parquet.read_table(tmp_path / "out.parquet")
    assert after["when"].to_pylist() == cells.to_pylist()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([2**53 + 1, 1, 1.5, 2], "column 'v' holds values of several types or too large ones"),
        ([[2**53 + 1], [], [1.5], None], "column 'v' holds values of several types or too large ones"),
        ([{}, {}, None, None], r"in\.jsonl: holds what Parquet cannot \(Cannot write struct type 'v'"),
        ([{"a": {}}], r"in\.jsonl: holds what Parquet cannot \(Cannot write struct type 'a'"),
    ],
)
def test_records_that_parquet_cannot_hold_are_refused_at_the_start(tmp_path, monkeypatch, values, message):
    monkeypatch.setattr("prensa.predicting.contents.ROWS", 2)
    lines = [json.dumps({"text": "a", "v": value}) for value in values]
    (tmp_path / "in.jsonl").write_text("\n".join(lines))
    content = content_of(tmp_path / "in.jsonl", Source())
    with pytest.raises(DataError, match=message):
        output_for(tmp_path / "out.parquet", content, ("text", "v"), COLUMNS)


IMAGE = {"bytes": b"\x89PNG", "path": None}


@pytest.mark.parametrize("values", [[IMAGE], [[b"a"]], [None] * 1000 + [IMAGE]])
@pytest.mark.parametrize("name", ["out.csv", "out.jsonl"])
def test_bytes_inside_of_cells_are_not_written_as_python_has_them(tmp_path, values, name):
    texts = ["a"] * len(values)
    parquet.write_table(pyarrow.table({"text": texts, "image": values}), tmp_path / "in.parquet")
    with pytest.raises(DataError, match="column.* holds bytes"):
        copied(tmp_path / "in.parquet", tmp_path / name)


def test_parquet_without_its_package(tmp_path, monkeypatch):
    (tmp_path / "in.csv").write_text("text\na\n")
    monkeypatch.setattr("prensa.extras.is_installed", lambda module: False)
    with pytest.raises(MissingPackageError, match=r"out\.parquet: a Parquet file needs datasets"):
        copied(tmp_path / "in.csv", tmp_path / "out.parquet")


@pytest.mark.parametrize(
    ("name", "message"),
    [("out", "found 'no ending'"), ("out.txt", r"found '\.txt'"), ("out.parquet.gz", "compressed inside")],
)
def test_names_that_say_nothing(name, message):
    with pytest.raises(OutputError, match=message):
        check_kind(Path(name))


def test_numbers_that_json_does_not_have_are_null(tmp_path):
    cells = [[float("nan"), 1.0], [float("inf")]]
    path = tmp_path / "in.parquet"
    parquet.write_table(pyarrow.table({"text": ["a", "b"], "x": [float("nan"), 2.0], "list": cells}), path)
    copied(path, tmp_path / "out.jsonl")
    first, second = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert (first["x"], first["list"]) == (None, [None, 1.0])
    assert (second["x"], second["list"]) == (2.0, [None])
    copied(path, tmp_path / "out.csv")
    with (tmp_path / "out.csv").open(newline="") as file:
        assert [row["x"] for row in csv.DictReader(file)] == ["", "2.0"]
    assert not {"NaN", "Infinity"} & set((tmp_path / "out.jsonl").read_text().replace(",", " ").split())
