import pytest

from prensa.checkpoint.kinds import Task
from prensa.errors import DataError
from prensa.texts.columns import BUILT_IN, Texts, built_in_texts, read_texts, sample
from prensa.texts.source import Source

CLASSES = Task("classes", ("no", "yes"))


def read(tmp_path, content, task=CLASSES, name="t.csv", **columns):
    path = tmp_path / name
    path.write_text(content)
    return read_texts(Source(str(path), **columns), task)


def test_usual_columns_are_found(tmp_path):
    texts = read(tmp_path, "id,comment_text,target\n7,a,yes\n8,b,no\n")
    assert texts.texts == ("a", "b")
    assert [int(label) for label in texts.labels] == [1, 0]
    assert (texts.columns, texts.label_columns) == (("comment_text",), ("target",))


def test_labels_can_be_declined(tmp_path):
    assert read(tmp_path, "text,label\na,x\n", label_column="").labels is None


def test_scores_are_labels_of_models_of_numbers_alone(tmp_path):
    assert read(tmp_path, "text,score\na,412\n").labels is None
    assert float(read(tmp_path, "text,score\na,412\n", Task("regression")).labels[0]) == 412


def test_the_only_column_is_the_text(tmp_path):
    texts = read(tmp_path, "something\na b\n")
    assert (texts.texts, texts.labels) == (("a b",), None)


def test_named_columns(tmp_path):
    content = "text,other,label,truth\na,x,9,1\n"
    texts = read(tmp_path, content, text_column="other", label_column="truth")
    assert (texts.texts, int(texts.labels[0])) == (("x",), 1)


def test_pairs(tmp_path):
    texts = read(tmp_path, "premise,hypothesis,label\na,b,1\nc,d,0\n", text_column="premise,hypothesis")
    assert (texts.texts, texts.pairs) == (("a", "c"), ("b", "d"))
    assert texts.take([1]).pairs == ("d",)
    assert read(tmp_path, '"a,b",label\nx,1\n', text_column="a,b").texts == ("x",)


def test_words(tmp_path):
    task = Task("tokens", ("O", "B"))
    content = '{"tokens": ["one", "two"], "ner_tags": [0, 1]}\n'
    texts = read(tmp_path, content, task, "t.jsonl")
    assert (texts.texts, texts.words) == (("one two",), (("one", "two"),))
    assert texts.labels[0].tolist() == [0, 1]


def test_a_column_for_each_label(tmp_path):
    texts = read(tmp_path, "text,rude,spam\na,1,0\nb,0,0\n", Task("multi-label", ("rude", "spam")))
    assert [label.tolist() for label in texts.labels] == [[1, 0], [0, 0]]


@pytest.mark.parametrize("kind", ["masked", "causal", "embedding"])
def test_models_without_labels_take_none(tmp_path, kind):
    assert read(tmp_path, "text,label\na,1\n", Task(kind)).labels is None
    with pytest.raises(DataError, match="leave `label_column` out"):
        read(tmp_path, "text,label\na,1\n", Task(kind), label_column="label")


@pytest.mark.parametrize(
    ("content", "name", "columns", "message"),
    [
        ("a,b\n1,2\n", "t.csv", {}, "no column is named text or .*; there are a, b; give `text_column`"),
        ("text,b\n1,2\n", "t.csv", {"text_column": "x"}, "no column 'x' for the texts; there are text, b"),
        ("text,b\n1,2\n", "t.csv", {"label_column": "x"}, "no column 'x' for the labels; there are text, b"),
        ("a,b,c\n1,2,3\n", "t.csv", {"text_column": "a,b,c"}, "found 3 columns"),
        ('{"text": "a"}\n{"text": 5}', "t.jsonl", {}, "row 2, column 'text': expected a text, found int"),
        ('{"text": "a\\ud800"}', "t.jsonl", {}, "row 1, column 'text' holds half of a surrogate pair"),
        ('{"text": ["a"]}\n{"text": "b"}', "t.jsonl", {}, "row 2, column 'text': expected a list of words"),
        ('{"text": ["a\\ud800"]}', "t.jsonl", {}, "row 1, column 'text' holds half of a surrogate pair"),
    ],
)
def test_bad_columns(tmp_path, content, name, columns, message):
    with pytest.raises(DataError, match=message):
        read(tmp_path, content, name=name, **columns)


def test_a_sample_is_the_same_every_time():
    texts = Texts("t", tuple(map(str, range(100))), labels=list(range(100)))
    some = sample(texts, 10)
    assert len(some) == 10
    assert some == sample(texts, 10)
    assert list(map(int, some.texts)) == sorted(some.labels) == some.labels != list(range(10))
    assert sample(texts, 200) is sample(texts, None) is texts


def test_the_built_in_texts():
    texts = built_in_texts()
    assert texts.name == BUILT_IN
    assert texts.is_smoke_test
    assert 300 <= len(texts) <= 400
    assert len(set(texts.texts)) == len(texts)
    assert "" in texts.texts
    lengths = sorted(len(text.split()) for text in texts.texts)
    assert lengths[len(lengths) // 4] <= 8
    assert lengths[-1] > 1000
    letters = set("".join(texts.texts))
    for sign in "ñçßłğжїλعשहの是한ếå😂\n\t<{":
        assert sign in letters, sign


def test_rows_that_lack_something_are_left_out_of_everything(tmp_path):
    content = "premise,hypothesis,label\na,b,yes\n,c,no\nd,,no\ne,f,\ng,h,-1\ni,j,no\n"
    texts = read(tmp_path, content, text_column="premise,hypothesis")
    assert (texts.texts, texts.pairs) == (("a", "i"), ("b", "j"))
    assert [int(label) for label in texts.labels] == [1, 0]
    assert texts.account == (
        "t.csv: 6 rows read; texts in 'premise', 'hypothesis'; labels in 'label': 1 'yes', 1 'no'; "
        "4 rows left out: 1 without a text, 1 without a second text, 2 without a label"
    )


def test_rows_without_words_are_left_out(tmp_path):
    content = '{"tokens": ["a"], "tags": [0]}\n{"tokens": null, "tags": [1]}\n{"tokens": ["b"]}\n'
    texts = read(tmp_path, content, Task("tokens", ("O", "B")), "t.jsonl")
    assert (texts.words, [label.tolist() for label in texts.labels]) == ((("a",),), [[0]])


def test_lists_of_words_in_a_file_of_words(tmp_path):
    content = """tokens,tags\n"['a', 'b']","[0, 1]"\n"['c']","[1]"\n"""
    texts = read(tmp_path, content, Task("tokens", ("O", "B")))
    assert (texts.words, [label.tolist() for label in texts.labels]) == ((("a", "b"), ("c",)), [[0, 1], [1]])
    numpy_prints = """tokens,tags\n"['a' 'b']","[0 1]"\n"""
    assert read(tmp_path, numpy_prints, label_column="").words is None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("text,label\n,1\n,0\n", "no row is left of 2: 2 without a text"),
        ("text,label\na,-1\nb,-1\n", "2 without a label; `label_column=''` reads the texts alone"),
        ("text\n0\n1\n", "column 'text' holds numbers where texts were expected"),
        ("label\nyes\nno\n", "no column is named text .* there are label; give `text_column`"),
        ("Text,TEXT\na,b\n", "there are Text, TEXT; give `text_column`"),
        ("text;n\na;1\n", "no column 'x' for the labels; there are text, n \\(separator semicolon"),
    ],
)
def test_tables_without_texts_or_labels(tmp_path, content, message):
    with pytest.raises(DataError, match=message):
        read(tmp_path, content, label_column="x" if ";" in content else None)


def test_options_of_labels_need_labels(tmp_path):
    with pytest.raises(DataError, match="`labels`, but no column of labels"):
        read(tmp_path, "text\na b\n", labels={"a": "b"})


def test_the_account_survives_a_sample(tmp_path):
    texts = read(tmp_path, "Text;Label\na;1\nb;0\nc;0\n")
    assert sample(texts, 1).account == texts.account
    assert (
        "3 rows read (separator semicolon); texts in 'Text'; labels in 'Label': 2 '0' as 'no'"
        in texts.account
    )
