import json

import pytest

from prensa.errors import DataError
from prensa.texts.readers import read_table

ROWS = [{"text": "a", "label": 1}, {"text": "b", "label": 0}]
COLUMNS = {"text": ["a", "b"], "label": [1, 0]}


def read(tmp_path, content, name="t.json"):
    path = tmp_path / name
    path.write_text(content)
    return read_table(str(path))


@pytest.mark.parametrize(
    "content",
    [
        json.dumps(ROWS),
        json.dumps(ROWS, indent=2),
        "\n".join(map(json.dumps, ROWS)),
        "\n".join(json.dumps(row, indent=1) for row in ROWS),
        json.dumps(COLUMNS),
        json.dumps({name: dict(enumerate(cells)) for name, cells in COLUMNS.items()}),
        json.dumps({str(number): row for number, row in enumerate(ROWS)}),
        json.dumps({"version": 1, "data": ROWS}),
        json.dumps({"columns": ["text", "label"], "index": [0, 1], "data": [["a", 1], ["b", 0]]}),
    ],
)
def test_ways_to_write_a_table(tmp_path, content):
    assert read(tmp_path, content).columns == COLUMNS


def test_lists_of_texts_and_single_records(tmp_path):
    assert read(tmp_path, '["a", "b"]').columns == {"text": ["a", "b"]}
    assert read(tmp_path, '{"text": "a", "label": 1}').columns == {"text": ["a"], "label": [1]}
    words = '{"tokens": ["a", "b"], "tags": [0, 1]}'
    for name in ("t.jsonl", "t.NDJSON"):
        assert read(tmp_path, words, name).columns == {"tokens": [["a", "b"]], "tags": [[0, 1]]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (json.dumps(ROWS, indent=1) + ",", "line 10 is not valid JSON"),
        ("5", "line 1: expected an object, found int"),
        ('[["a", 1]]', "record 1: expected an object, found list"),
        ('{"text": ["a"], "label": [1, 2]}', "columns of equal length, found text 1, label 2"),
        ("[]", "empty"),
    ],
)
def test_what_is_no_table(tmp_path, content, message):
    with pytest.raises(DataError, match=message):
        read(tmp_path, content)
