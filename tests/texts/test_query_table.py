import pytest

from prensa.checkpoint.kinds import Task
from prensa.errors import DataError
from prensa.texts.library import Library
from prensa.texts.source import Source

ROWS = "Query,Passage,Score\na b,one,1\na b,two,0\nc d,two,1\nc d,three,\ne f,one,0\n"
RERANKER = Task("regression")


def read(tmp_path, content=ROWS, task=RERANKER, name="t.csv", **settings):
    path = tmp_path / name
    path.write_text(content)
    return Library().texts(Source(path, **settings), task)


def test_columns_are_known_by_their_names(tmp_path):
    content = ROWS + "c d,four,0\n"
    texts = read(tmp_path, content)
    assert list(zip(texts.texts, texts.pairs, strict=True)) == [
        ("a b", "one"),
        ("a b", "two"),
        ("c d", "two"),
        ("c d", "four"),
    ]
    assert texts.queries.grades == {0: {0: 1, 1: 0}, 1: {1: 1, 2: 0}}
    assert (texts.columns, texts.label_columns) == (("Query", "Passage"), ("Score",))
    assert "1 rows left out that lack one of them" in texts.account
    alone = read(tmp_path, content, Task("embedding"))
    assert alone.texts == ("a b", "c d", "one", "two", "four")


def test_json_lines(tmp_path):
    lines = [
        '{"query": "a", "passage": "b", "score": 2}',
        '{"query": "a", "passage": "c", "score": 0}',
        '{"query": "d", "passage": "b", "score": 1.0}',
        '{"query": "d", "passage": "c", "score": false}',
    ]
    texts = read(tmp_path, "\n".join(lines), name="t.jsonl")
    assert texts.queries.grades == {0: {0: 2, 1: 0}, 1: {0: 1, 1: 0}}


def test_whoever_names_columns_gets_pairs(tmp_path):
    texts = read(tmp_path, text_column="query,passage", label_column="score")
    assert texts.queries is None
    assert texts.pairs is not None
    with pytest.raises(DataError, match="no column is named text"):
        read(tmp_path, task=Task("tokens", ("O",)))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("a b,six,0.5", "row 6, column 'Score': expected a whole number, 0 for a passage"),
        ("a b,six,yes", "row 6, column 'Score': expected a whole number"),
        ("a b,one,2", "row 6: the same query and passage as before with the score 2 instead of 1"),
    ],
)
def test_scores_that_do_not_fit(tmp_path, row, message):
    with pytest.raises(DataError, match=message):
        read(tmp_path, f"{ROWS}{row}\n")


def test_pairs_to_train_on_are_pairs_to_calibrate_on(tmp_path):
    path = tmp_path / "train.csv"
    path.write_text("query,passage,score\na,b,1\nc,d,1\n")
    assert Library().all_texts(Source(path), RERANKER).pairs == ("b", "d")
    assert Library().all_texts(Source(path), Task("tokens", ("O",))).texts == ("a", "c", "b", "d")
    with pytest.raises(DataError, match="every order is right"):
        Library().texts(Source(path), RERANKER)


def test_what_nothing_can_be_judged_by(tmp_path):
    with pytest.raises(DataError, match="1 query with a relevant passage"):
        read(tmp_path, "query,passage,score\na,b,1\na,c,0\n")
    with pytest.raises(DataError, match="no passage has a score above 0"):
        read(tmp_path, "query,passage,score\na,b,0\nc,d,0\n")
