import csv
from concurrent.futures import ThreadPoolExecutor

import pytest

from prensa.errors import DataError
from prensa.texts.readers import read_table


def read(tmp_path, content, name="t.csv", asked=()):
    path = tmp_path / name
    path.write_text(content, newline="")
    return read_table(str(path), asked=asked)


TABLE = {"text": ["a, b", "c; d"], "label": ["1", "0"]}


@pytest.mark.parametrize(
    ("name", "content", "notes"),
    [
        ("t.csv", 'text,label\n"a, b",1\nc; d,0\n', ()),
        ("t.csv", 'text;label\na, b;1\n"c; d";0\n', ("separator semicolon",)),
        ("t.csv", "text\tlabel\na, b\t1\nc; d\t0\n", ("separator tab",)),
        ("t.csv", "text|label\na, b|1\nc; d|0\n", ("separator pipe",)),
        ("t.csv", 'sep=;\ntext;label\na, b;1\n"c; d";0\n', ("separator semicolon",)),
        ("t.tsv", 'text,label\n"a, b",1\nc; d,0\n', ("separator comma",)),
        ("t.csv", '"text", "label"\n"a, b", "1"\n"c; d", "0"\n', ()),
        ("t.csv", 'text,label\r"a, b",1\rc; d,0\r', ()),
        ("t.csv", 'text,label,,\n"a, b",1,,\nc; d,0,,\n', ()),
    ],
)
def test_the_separator_is_the_one_that_all_rows_agree_on(tmp_path, name, content, notes):
    table = read(tmp_path, content, name)
    assert table.columns == TABLE
    assert table.notes == notes


def test_a_comma_stays_where_both_would_do(tmp_path):
    assert read(tmp_path, "text,label\na;b,1\nc;d,0\n").columns["text"] == ["a;b", "c;d"]


@pytest.mark.parametrize(
    ("name", "content", "texts", "note"),
    [
        ("t.csv", 'text,label\n"a ""b"" c\nd",1\n', ['a "b" c\nd'], ()),
        ("t.csv", 'text,label\n"C:\\new\\",1\n', ["C:\\new\\"], ()),
        (
            "t.csv",
            'text,label\n"a \\"b, c\\" C:\\new",1\n',
            ['a "b, c" C:\\new'],
            ("escaped by backslashes",),
        ),
        ("t.csv", "text,label\na\\, b,1\n", ["a, b"], ("escaped by backslashes",)),
        ("t.csv", 'text,label\n"a" b,1\n', ['"a" b'], ("quotes read as letters",)),
        ("t.tsv", 'text\tlabel\n"a\t1\nb" c\t0\n', ['"a', 'b" c'], ("quotes read as letters",)),
        ("t.tsv", 'text\tlabel\n"a\t1\nb"\t0\n', ['"a', 'b"'], ("quotes read as letters",)),
        ("t.tsv", 'text\tlabel\n"a ""b"""\t1\n', ['a "b"'], ()),
    ],
)
def test_quotes(tmp_path, name, content, texts, note):
    table = read(tmp_path, content, name)
    assert table.columns["text"] == texts
    assert table.notes == note


def test_empty_cells_hold_nothing_and_columns_without_a_name_have_a_number(tmp_path):
    table = read(tmp_path, ",text,label\n0,,1\n1,b,\n")
    assert table.columns == {"column 1": ["0", "1"], "text": [None, "b"], "label": ["1", None]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("text;label\na;1\nb;0;9\nc;0\n", "line 3 has 3 cells, the first line names 2 columns"),
        ('text,label\n"a "b, c" d",1\n"e",0\n', "line 2 is not valid CSV"),
        ('text,label\n"a, b,1\nc,0\n', "line 2 is not valid CSV"),
        ("text, Text ,text\na,b,c\n", "names a column twice"),
    ],
)
def test_rows_that_do_not_fit(tmp_path, content, message):
    with pytest.raises(DataError, match=message):
        read(tmp_path, content)


@pytest.mark.parametrize(
    ("content", "reason", "options"),
    [
        ("the cat\nlikes bread\nand tea\n", "'the cat' is no usual name", "`text_column=1`)"),
        ("I like warm bread.\nNo.\n", "'I like warm bread.' reads like a text", "`text_column=1`)"),
        ("good\nbad\n", "'good' is no usual name", "`text_column=1`)"),
        ("a b,0\nc d,1\n", "'0' is a number like", "`text_column=1` `label_column=2`)"),
        ("text,0\nc d,1\n", "'0' is a number like", "`text_column=1` `label_column=2`)"),
        ("pos,a text\nneg,c d\npos,e f\n", "'pos' is in a row below", "`text_column=2` `label_column=1`)"),
        ('"Well, this is a text of many words",x\ny,z\n', "reads like a text", "`text_column=1`"),
    ],
)
def test_a_first_line_that_may_be_a_row_is_refused(tmp_path, content, reason, options):
    with pytest.raises(DataError, match="may be a row, not a header") as refused:
        read(tmp_path, content)
    assert reason in str(refused.value)
    assert options in str(refused.value)


def test_options_settle_what_the_first_line_is(tmp_path):
    table = read(tmp_path, "a b,0\nc d,1\n", asked=["1", "2"])
    assert table.columns == {"1": ["a b", "c d"], "2": ["0", "1"]}
    assert table.notes == ("no line of column names",)
    assert read(tmp_path, "text,0\nc d,1\n", asked=["text"]).columns == {"text": ["c d"], "0": ["1"]}
    assert read(tmp_path, "the cat\na\n", asked=["The Cat"]).columns == {"the cat": ["a"]}
    assert set(read(tmp_path, "text,other\na,1\n", asked=["1"]).columns) == {"text", "other"}


@pytest.mark.parametrize("name", ["text", "Text", "tweet", "review_body"])
def test_a_plain_name_of_an_only_column(tmp_path, name):
    assert read(tmp_path, f"{name}\na text\nand one more\n").columns == {name: ["a text", "and one more"]}


def test_long_cells_are_read_by_threads_at_once_and_the_limit_is_as_before(tmp_path):
    before = csv.field_size_limit()
    content = f"text\n{'x' * 200_000} y\n" * 20
    for name in ("a.csv", "b.csv", "c.csv", "d.csv"):
        (tmp_path / name).write_text(content.replace("\ntext\n", "\n"))

    def width(name):
        return len(read_table(str(tmp_path / name)).columns["text"][0])

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(width, ["a.csv", "b.csv", "c.csv", "d.csv"] * 3)) == [200_002] * 12
    assert csv.field_size_limit() == before
