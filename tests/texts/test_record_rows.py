import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prensa.errors import DataError
from prensa.texts.record_rows import find_records

CELLS = st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=5), st.lists(st.text(max_size=2)))


@given(records=st.lists(st.dictionaries(st.sampled_from("abc"), CELLS), min_size=1), escaped=st.booleans())
def test_what_was_written_is_read(tmp_path_factory, records, escaped):
    path = tmp_path_factory.mktemp("records") / "t.jsonl"
    # Halves of characters can only be escaped; other signs that end lines elsewhere end none here.
    lines = [json.dumps(record, ensure_ascii=escaped) for record in records]
    path.write_bytes("\r\n\n".join(lines).encode("utf-8", "surrogatepass"))
    found = find_records(path)
    assert list(found.rows()) == records
    assert found.count == len(records)
    assert set(found.names) == {name for record in records for name in record}


def test_lines_of_strings_are_texts(tmp_path):
    (tmp_path / "t.jsonl").write_text('"a"\n"b"\n')
    assert list(find_records(tmp_path / "t.jsonl").rows()) == [{"text": "a"}, {"text": "b"}]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("[1]", "line 3: expected an object, found list"),
        ('"a"', "line 3: expected an object, found str"),
        ('{"a": 1', r"line 3 is not valid JSON \("),
        ("[" * 100_000, "line 3 is not valid JSON"),
    ],
)
def test_other_lines_are_refused(tmp_path, line, message):
    (tmp_path / "t.jsonl").write_text('{"a": 1}\n\n' + line + "\n")
    with pytest.raises(DataError, match=message):
        find_records(tmp_path / "t.jsonl")
