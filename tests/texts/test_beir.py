import pytest
from tests.queries import some_beir, write_beir

from prensa.checkpoint.kinds import Task
from prensa.errors import DataError, SettingError
from prensa.texts.beir import is_beir, read_beir
from prensa.texts.library import Library
from prensa.texts.source import CALIBRATED, JUDGED, Source

TWO = {"q1": "one", "q2": "two"}
THREE = {"p1": "first", "p2": "second", "p3": "third"}
GRADES = [("q1", "p1", 1), ("q2", "p2", 2), ("q2", "p3", 0)]


@pytest.fixture
def beir(tmp_path):
    return write_beir(tmp_path / "beir", TWO, THREE, GRADES)


def read(path, splits=JUDGED, **settings):
    return read_beir(Source(path, **settings), splits)


def test_a_directory_is_known_by_its_files(beir, tmp_path):
    assert is_beir(Source(beir))
    assert not is_beir(Source(tmp_path))
    assert not is_beir(Source(None))
    found = read(beir)
    assert (found.queries, found.passages) == (TWO, THREE)
    assert found.grades == {"q1": {"p1": 1}, "q2": {"p2": 2, "p3": 0}}
    assert "2 queries and 3 passages read" in found.account


def test_a_title_stands_in_front(beir):
    (beir / "corpus.jsonl").write_text(
        '{"_id": "p1", "title": "A", "text": "b"}\n{"_id": "p2", "title": "", "text": "c"}\n\n'
        '{"_id": 3, "text": "d", "metadata": {}}\n'
    )
    (beir / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq1\tp1\t1\nq2\t3\t1\n")
    assert read(beir).passages == {"p1": "A b", "p2": "c", "3": "d"}


def test_splits(beir):
    write_beir(beir, TWO, THREE, GRADES[:1], split="train")
    assert read(beir).name.endswith("(split test)")
    assert read(beir, CALIBRATED).name.endswith("(split train)")
    assert read(beir, split="train").grades == {"q1": {"p1": 1}}
    with pytest.raises(DataError, match=r"expected dev.tsv, found test, train; give `split`"):
        read(beir, split="dev")


def test_a_file_without_names_in_its_first_line(beir):
    (beir / "qrels" / "test.tsv").write_text("q1\tp1\t1\nq2\tp2\t1\n")
    assert read(beir).grades == {"q1": {"p1": 1}, "q2": {"p2": 1}}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("q9\tp1\t1", r"qrels/test.tsv, line 5: the query 'q9' is not in queries.jsonl"),
        ("q1\tp9\t1", r"qrels/test.tsv, line 5: the passage 'p9' is not in corpus.jsonl"),
        ("q1\tp2", r"test.tsv, line 5: expected query-id, corpus-id and score with tabs between, found 'q1"),
        ("q1\tp2\tmuch", r"test.tsv, line 5: expected a whole number as score, found 'much'"),
        ("q1\tp2\t0.5", r"test.tsv, line 5: expected a whole number as score, found '0.5'"),
        ("q1\tp1\t2", r"test.tsv, line 5: the same query and passage as before with another score"),
    ],
)
def test_grades_that_do_not_fit(beir, line, message):
    with (beir / "qrels" / "test.tsv").open("a") as file:
        file.write(line + "\n")
    with pytest.raises(DataError, match=message):
        read(beir)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", r"corpus.jsonl, line 4: not valid JSON"),
        ('{"text": "a"}', r"corpus.jsonl, line 4: expected an object with _id and text"),
        ('{"_id": "a", "text": 3}', r"corpus.jsonl, line 4: expected an object with _id and text"),
        ('["a"]', r"corpus.jsonl, line 4: expected an object with _id and text"),
        ('{"_id": "p1", "text": "again"}', r"corpus.jsonl, line 4: the _id 'p1' a second time"),
    ],
)
def test_passages_that_do_not_fit(beir, line, message):
    with (beir / "corpus.jsonl").open("a") as file:
        file.write(line + "\n")
    with pytest.raises(DataError, match=message):
        read(beir)


def test_files_that_cannot_be_read(beir):
    (beir / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n")
    with pytest.raises(DataError, match=r"test.tsv: empty, expected"):
        read(beir)
    (beir / "queries.jsonl").write_bytes(b'{"_id": "q1", "text": "\xff"}')
    with pytest.raises(DataError, match=r"queries.jsonl, behind line 0: not UTF-8"):
        read(beir)
    (beir / "queries.jsonl").unlink()
    assert is_beir(Source(beir))
    with pytest.raises(DataError, match=r"but no queries.jsonl; add it"):
        read(beir)


@pytest.mark.parametrize(
    "option", [{"text_column": "text"}, {"label_column": "score"}, {"encoding": "cp1252"}]
)
def test_options_of_tables_are_refused(beir, option):
    (name,) = option
    with pytest.raises(SettingError, match=f"`{name}`: .* has BEIR's layout"):
        read(beir, **option)


def test_a_library_reads_it_once_and_for_any_task(tmp_path):
    library = Library()
    source = Source(some_beir(tmp_path / "beir"))
    pairs = library.texts(source, Task("regression"))
    (tmp_path / "beir" / "corpus.jsonl").unlink()
    alone = library.texts(source, Task("embedding"))
    assert pairs.pairs is not None
    assert alone.pairs is None
    with pytest.raises(DataError, match="query–passage data is for rerankers .*; this one is for tokens"):
        library.texts(source, Task("tokens", ("O",)))


def test_what_is_calibrated_on(tmp_path):
    source = Source(some_beir(tmp_path / "beir", split="train"))
    assert Library().all_texts(source, Task("classes", ("no", "yes"))).pairs is not None
    assert Library().all_texts(source, Task("embedding")).pairs is None
    assert len(Library().all_texts(source, Task("tokens", ("O",)))) == 48 + 60
