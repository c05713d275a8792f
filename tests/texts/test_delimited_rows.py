"""Tables row by row: whatever ``read_table`` makes of a file, row by row it is the same."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prensa.errors import DataError
from prensa.texts import delimited_rows
from prensa.texts.delimited_rows import find_rows
from prensa.texts.readers import read_table

TABLES = {
    "plain.csv": 'text,label\n"a, ""b""\nc",1\nd,0\n',
    "semicolons.csv": "text;label\na, b;1\nc, d;0\n",
    "excel.csv": "sep=|\r\ntext|label\r\na, b|1\r\nc|0\r\n",
    "escaped.csv": 'text,label\n"he said \\"no\\" in C:\\new",1\nb,0\n',
    "letters.csv": 'text,label\n"half a quote,1\nb,0\n',
    "spaced.csv": 'text, label\na, "b"\nc, "d"\n',
    "quotes.tsv": 'text\tlabel\n"opens\t1\nplain\t0\n"opens again\t1\n',
    "joined.tsv": 'text\tlabel\n"a\nb"\t1\nc\t0\n',
    "empty.csv": "text,label,,\na,,,\n,1,,\n",
    "used.csv": "text,label,,\na,,,\n,1,x,\n",
    "marked.csv": "\ufefftext,label\na,1\n",
    "mac.csv": "text,label\ra b,1\rc,0\r",
    "one.csv": "text\na b\n\nc\n",
}


def by_rows(path, usual=",", asked=()):
    found = find_rows(path, usual, asked=asked)
    rows = list(found.rows())
    assert len(rows) == found.count
    assert rows[: len(found.first)] == list(found.first)
    assert all(tuple(row) == found.names for row in rows)
    return {name: [row[name] for row in rows] for name in found.names}, found.notes


@pytest.mark.parametrize("name", TABLES)
def test_rows_are_those_of_the_table(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(TABLES[name].encode())
    table = read_table(str(path))
    assert by_rows(path, "\t" if name.endswith(".tsv") else ",") == (dict(table.columns), table.notes)


def test_columns_by_number(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("a b,x\nc d,y\n")
    assert by_rows(path, asked=("1",)) == (
        {"1": ["a b", "c d"], "2": ["x", "y"]},
        ("no line of column names",),
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "empty, expected a line of column names"),
        ("text,label\n" + "a,1\n" * 3000 + "b\n", "line 3002 has 1 cells"),
        ('"text","label"\n"a","1"\n"b","0"c\n', "line 3 is not valid CSV"),
        ("a b c d e f.,1\nc,0\n", "the first line may be a row"),
        ("text,text\na,b\n", "names a column twice"),
    ],
)
def test_what_is_no_table_is_refused_in_the_same_words(tmp_path, content, message):
    path = tmp_path / "t.csv"
    path.write_text(content)
    with pytest.raises(DataError, match=message) as refused:
        find_rows(path, ",")
    with pytest.raises(DataError) as whole:
        read_table(str(path))
    assert str(refused.value) == str(whole.value)


def test_a_quote_far_behind_settles_how_all_is_read(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("text,label\n" + "a,1\n" * 5000 + '"he said \\"no\\"",0\n')
    columns, notes = by_rows(path)
    assert notes == ("escaped by backslashes",)
    assert columns["text"][-1] == 'he said "no"'


@given(
    rows=st.lists(st.tuples(st.text(st.sampled_from('ab é,;"\n\r\t'), max_size=8), st.just("x")), min_size=1)
)
def test_what_csv_writes_is_read(tmp_path_factory, rows):
    text = io.StringIO(newline="")
    csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows([("text", "label"), *rows])
    path = tmp_path_factory.mktemp("rows") / "t.csv"
    path.write_bytes(text.getvalue().encode())
    assert by_rows(path)[0] == dict(read_table(str(path)).columns)


def test_few_rows_are_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(delimited_rows, "FIRST", 3)
    path = tmp_path / "t.csv"
    path.write_text("text\n" + "a b\n" * 50)
    found = find_rows(path, ",")
    assert (len(found.first), found.count) == (3, 50)
