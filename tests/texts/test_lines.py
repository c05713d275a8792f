import pytest

from prensa.checkpoint.kinds import Task
from prensa.errors import DataError
from prensa.texts.columns import read_texts
from prensa.texts.readers import read_table
from prensa.texts.source import Source

WORDS = "-DOCSTART- -X- O\n\nthe DT O\ncat NN B-X\n\na DT O\n"


def written(tmp_path, content, name="t.txt"):
    path = tmp_path / name
    path.write_text(content, newline="")
    return str(path)


@pytest.mark.parametrize("name", ["t.conll", "t.bio", "t.IOB2"])
def test_a_word_on_each_line(tmp_path, name):
    table = read_table(written(tmp_path, WORDS, name))
    assert table.columns == {
        "tokens": [["the", "cat"], ["a"]],
        "column 2": [["DT", "NN"], ["DT"]],
        "tags": [["O", "B-X"], ["O"]],
    }


def test_words_are_read_for_models_of_words_and_refused_for_others(tmp_path):
    path = written(tmp_path, WORDS.split("\n\n", 1)[1])
    texts = read_texts(Source(path), Task("tokens", ("O", "B-X")))
    assert texts.words == (("the", "cat"), ("a",))
    assert [label.tolist() for label in texts.labels] == [[0, 1], [0]]
    assert read_texts(Source(path, label_column=""), Task("embedding")).texts == ("the cat", "a")
    with pytest.raises(DataError, match="a word and its tag on each line, for models that label words"):
        read_texts(Source(path), Task("classes", ("O", "B-X")))


def test_labels_of_fasttext(tmp_path):
    table = read_table(written(tmp_path, "__label__a one two\n\n__label__b three\n"))
    assert table.columns == {"text": ["one two", "three"], "label": ["a", "b"]}
    table = read_table(written(tmp_path, "__label__a __label__b one\n__label__b two\n"))
    assert table.columns == {"text": ["one", "two"], "label": [["a", "b"], ["b"]]}


def test_every_kind_of_line_end(tmp_path):
    for end in ("\n", "\r\n", "\r"):
        assert read_table(written(tmp_path, f"a b{end}{end}c")).columns == {"text": ["a b", "", "c"]}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.txt", "a b\t1\nc\t0\n", "found a table .* name it .tsv"),
        ("t.txt", "text,label\na,1\n", "found a table .* name it .csv"),
        ("t.conll", "the O\ncat\n", "line 2 has 1 cells, expected 2"),
        ("t.conll", "the\ncat\n", "line 1 has 1 cells, expected 2"),
    ],
)
def test_other_lines(tmp_path, name, content, message):
    with pytest.raises(DataError, match=message):
        read_table(written(tmp_path, content, name))
