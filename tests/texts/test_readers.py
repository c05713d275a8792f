import json

import pytest

from prensa.errors import DataError, MissingPackageError, SettingError
from prensa.texts.readers import read_table


def written(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(path)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.csv", 'text,label\n"a, ""b""\nc",1\nd,0\n'),
        ("t.csv", '\ufefftext,label\r\n"a, ""b""\nc",1\r\n\r\nd,0'),
        ("t.tsv", 'text\tlabel\n"a, ""b""\nc"\t1\nd\t0\n'),
    ],
)
def test_tables_of_words(tmp_path, name, content):
    table = read_table(written(tmp_path, name, content))
    assert table.columns == {"text": ['a, "b"\nc', "d"], "label": ["1", "0"]}
    assert table.name == name


def test_json_lines(tmp_path):
    table = read_table(
        written(tmp_path, "t.jsonl", '{"text": "a\\nb", "label": 1}\n\n{"text": "ü", "n": [1]}')
    )
    assert table.columns == {"text": ["a\nb", "ü"], "label": [1, None], "n": [None, [1]]}


def test_lines_keep_empty_ones(tmp_path):
    assert read_table(written(tmp_path, "t.txt", "a\r\n\nb\n")).columns == {"text": ["a", "", "b"]}
    assert read_table(written(tmp_path, "u.txt", "a")).columns == {"text": ["a"]}


def test_a_long_cell(tmp_path):
    text = "x" * 200_000  # csv's own limit is 131,072
    assert read_table(written(tmp_path, "t.csv", f"text\n{text}\n")).columns == {"text": [text]}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.csv", "", "t.csv: empty"),
        ("t.csv", "text,label\n", "t.csv: empty, expected at least one text"),
        ("t.csv", "text,label\na,1\nb\n", "line 3 has 1 cells, the first line names 2 columns"),
        ("t.csv", "text,text\na,b\n", "names a column twice"),
        ("t.csv", b"text\nfine\nbroken \xff here\n", "line 3 is not UTF-8 (byte 0xff)"),
        ("t.jsonl", "", "empty"),
        ("t.jsonl", '{"text": "a"}\n{"text": \n', "line 2 is not valid JSON"),
        ("t.jsonl", '{"text": "a"}\n["b"]\n', "line 2: expected an object, found list"),
        ("t.jsonl", "[" * 100_000, "line 1 is not valid JSON"),
        ("t.txt", "", "empty"),
        (
            "t.docx",
            "a",
            "expected a file that ends in .csv, .tsv, .tab, .json, .jsonl, .ndjson, .txt, .conll, .bio, .iob, .iob2, .parquet, found '.docx'",
        ),
        ("t", "a", "found 'no ending'"),
        ("t.parquet", "not parquet", "not readable as Parquet"),
    ],
)
def test_bad_files(tmp_path, name, content, message):
    with pytest.raises(DataError, match=".*") as refused:
        read_table(written(tmp_path, name, content))
    assert message in str(refused.value)
    assert str(tmp_path / name) in str(refused.value)


@pytest.mark.parametrize("source", ["/none/of.csv", "./none", "none.csv", "~/none.txt"])
def test_no_such_file(source):
    with pytest.raises(DataError, match="no such file"):
        read_table(source)


def test_a_file_has_no_splits(tmp_path):
    with pytest.raises(SettingError, match="`split` test is for data sets; a file has no splits"):
        read_table(written(tmp_path, "t.txt", "a"), "test")


def test_parquet_and_data_sets(tmp_path):
    datasets = pytest.importorskip("datasets")
    names = datasets.ClassLabel(names=["no", "yes"])
    features = datasets.Features(
        {"text": datasets.Value("string"), "label": names, "tags": datasets.List(names)}
    )
    content = {"text": ["a", "b"], "label": [1, 0], "tags": [[0, 1], []]}
    data = datasets.Dataset.from_dict(content, features=features)
    data.to_parquet(tmp_path / "t.parquet")
    assert read_table(str(tmp_path / "t.parquet")).columns == content
    datasets.DatasetDict({"train": data, "validation": data.select([1])}).save_to_disk(tmp_path / "several")
    data.save_to_disk(tmp_path / "one")
    table = read_table(str(tmp_path / "one"))
    assert table.columns == content
    assert table.classes == {"label": ["no", "yes"], "tags": ["no", "yes"]}
    assert read_table(str(tmp_path / "several")).columns["text"] == ["b"]
    assert read_table(str(tmp_path / "several"), "train").columns["text"] == ["a", "b"]
    assert read_table(str(tmp_path / "several")).name == f"{tmp_path / 'several'} (split validation)"
    with pytest.raises(DataError, match="expected the split dev, found train, validation; give `split`"):
        read_table(str(tmp_path / "several"), "dev")
    datasets.DatasetDict({"train": data}).save_to_disk(tmp_path / "trained on")
    with pytest.raises(DataError, match="expected the split test or validation or dev, found train"):
        read_table(str(tmp_path / "trained on"))
    (tmp_path / "nothing").mkdir()
    (tmp_path / "nothing" / "test.csv").write_text("text,label\n")
    with pytest.raises(DataError, match="nothing: no such file, and not a data set"):
        read_table(str(tmp_path / "nothing"))
    with pytest.raises(DataError, match="nobody/nothing: no such file, and not a data set"):
        read_table("nobody/nothing")


def test_a_folder_of_files_is_a_data_set(tmp_path):
    pytest.importorskip("datasets")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "test.jsonl").write_text(json.dumps({"text": "a"}) + "\n")
    assert read_table(str(tmp_path / "folder")).columns == {"text": ["a"]}


def test_missing_packages_are_named(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    for source in (written(tmp_path, "t.parquet", "x"), "some/data"):
        with pytest.raises(MissingPackageError, match=r"needs datasets.*pip install 'prensa\[data\]'"):
            read_table(source)


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("t.xlsx", "export the sheet as CSV"),
        ("t.PKL", "a pickle can run code"),
        ("t.csv.zip", "unpack it first"),
    ],
)
def test_files_of_other_programs_are_named(tmp_path, name, advice):
    with pytest.raises(DataError, match=advice):
        read_table(written(tmp_path, name, "x"))


def test_names_of_labels_in_parquet_are_followed(tmp_path):
    datasets = pytest.importorskip("datasets")
    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["b", "a"])}
    )
    datasets.Dataset.from_dict({"text": ["x"], "label": [1]}, features=features).to_parquet(
        tmp_path / "t.parquet"
    )
    assert read_table(str(tmp_path / "t.parquet")).classes == {"label": ["b", "a"]}
    with pytest.raises(SettingError, match="`encoding` cp1252 is for files of text"):
        read_table(str(tmp_path / "t.parquet"), encoding="cp1252")


def test_csv_files_in_a_directory_are_as_strict(tmp_path):
    pytest.importorskip("datasets")
    for content, message in (
        ("text;label\na b;1\n", "commas do not separate its columns"),
        ("a b c d e f,1\nc d,0\n", "may be a row, not a header: '1' is a number"),
    ):
        folder = tmp_path / str(len(content))
        folder.mkdir()
        (folder / "test.csv").write_text(content)
        with pytest.raises(DataError, match=message):
            read_table(str(folder))
    with pytest.raises(SettingError, match="`encoding` cp1252 is for files"):
        (tmp_path / "good").mkdir()
        (tmp_path / "good" / "test.csv").write_text("text,label\na,1\n")
        read_table(str(tmp_path / "good"), encoding="cp1252")
