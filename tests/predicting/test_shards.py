"""Which files are read, and where answers may go."""

from pathlib import Path

import pytest

from prensa.errors import DataError, OutputError, SettingError
from prensa.predicting.shards import check_targets, find_places, unread_in


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "in"
    for name in ("b.csv", "a.parquet", ".hidden.csv", "_SUCCESS", "notes.txt", "deep/c.csv.gz", "deep/a.csv"):
        path = place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    return place


def names(places):
    return [(place.name, place.target) for place in places]


def test_a_file_a_directory_and_patterns(folder, tmp_path):
    out = tmp_path / "out"
    assert names(find_places(folder / "b.csv", tmp_path / "o.jsonl")) == [("o.jsonl", tmp_path / "o.jsonl")]
    assert names(find_places(folder, out)) == [("a.parquet", out / "a.parquet"), ("b.csv", out / "b.csv")]
    assert [place.name for place in find_places(folder / "*.csv", out)] == ["b.csv"]
    deep = find_places(f"{folder}/**/*.csv*", out)
    assert [place.name for place in deep] == ["b.csv", "deep/a.csv", "deep/c.csv.gz"]
    assert deep[1].target == out / "deep" / "a.csv"


def test_files_of_other_kinds_are_known(folder):
    assert unread_in(folder) == ["notes.txt"]
    assert unread_in(folder / "b.csv") == unread_in(folder / "*.csv") == []


@pytest.mark.parametrize(
    ("data", "output", "error", "message"),
    [
        (None, "o.csv", SettingError, "`data` is missing"),
        ("in/none.csv", "o.csv", DataError, "no such file or directory"),
        ("in/*.tsv", "out", DataError, "no file there that ends in"),
        ("in/b.csv", "out", OutputError, "expected a name that ends in"),
        ("in/b.csv", "in", OutputError, "expected the name of a file, found a directory"),
        ("in", "o.csv", OutputError, "the answers to 2 files go into files of the same names"),
        ("in", "in/b.csv/out", OutputError, "is a file"),
        ("in/**/*.csv", "in/deep/out", OutputError, "choose a place outside of"),
        ("in", "file", OutputError, "expected a directory for the answers to 2 files"),
        ("in", "in", OutputError, "is read, and cannot be written"),
        ("in/b.csv", "in/b.csv", OutputError, "is read, and cannot be written"),
        ("in/b.csv", "there.csv", OutputError, "exists; give `force` to replace it"),
        ("in", "full", OutputError, r"holds other files \(photo.jpg\)"),
    ],
)
def test_what_is_refused(folder, tmp_path, monkeypatch, data, output, error, message):
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("x")
    Path("there.csv").write_text("x")
    Path("full").mkdir()
    Path("full/photo.jpg").write_text("x")
    with pytest.raises(error, match=message):
        places = find_places(data, Path(output).absolute())
        check_targets(places, Path(output).absolute(), set(), force=False)


def test_what_may_be_replaced(folder, tmp_path):
    (tmp_path / "there.csv").write_text("x")
    places = find_places(folder / "b.csv", tmp_path / "there.csv")
    check_targets(places, tmp_path / "there.csv", set(), force=True)
    check_targets(places, tmp_path / "there.csv", {"there.csv"}, force=False)
    places = find_places(folder / "b.csv", folder / "b.csv")
    with pytest.raises(OutputError, match="is read"):
        check_targets(places, folder / "b.csv", set(), force=True)


def test_nothing_is_written_into_a_data_set_that_is_read(tmp_path):
    (tmp_path / "saved").mkdir()
    (tmp_path / "saved" / "state.json").write_text("{}")
    output = tmp_path / "saved" / "o.csv"
    with pytest.raises(OutputError, match="is read"):
        check_targets(find_places(tmp_path / "saved", output), output, set(), force=True)
