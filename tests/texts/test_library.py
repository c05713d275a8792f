import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.conftest import add_tokenizer
from tests.vocabulary.families import build

from prensa.calibration.plan import plan_calibration
from prensa.checkpoint.kinds import Task
from prensa.errors import DataError, SettingError
from prensa.texts import columns
from prensa.texts.columns import Texts, read_texts
from prensa.texts.encoding import encode
from prensa.texts.library import Library
from prensa.texts.source import CALIBRATED, Source
from prensa.texts.tokenizers import load_tokenizer
from prensa.vocabulary.plan import plan_vocabulary
from prensa.vocabulary.settings import TrimVocabulary

TEXT = st.text(alphabet="ab é漢😀\n", max_size=12)
KINDS = st.sampled_from(["classes", "tokens", "masked", "causal", "embedding"])
CLASSES = Task("classes", ("no", "yes"))


@pytest.fixture(scope="module")
def tokenizers(tmp_path_factory):
    made = {}
    for marks in (False, True):
        path = tmp_path_factory.mktemp("tokenizer")
        made[marks] = load_tokenizer(add_tokenizer(path, marks=marks))
    return made


@pytest.fixture
def asked(monkeypatch):
    """The texts that tokenizers are called for, and the files that are read."""
    from prensa.texts import encoding
    from prensa.texts import library as shelves

    called, read = [], []

    def counting(tokenizer, texts, kind, limit):
        called.append(len(texts))
        return encoding.tokenize(tokenizer, texts, kind, limit)

    def reading(*arguments, **named):
        read.append(arguments)
        return columns.read_table(*arguments, **named)

    monkeypatch.setattr(shelves, "tokenize", counting)
    monkeypatch.setattr(
        shelves,
        "table_of",
        lambda source, splits: reading(str(source.name), source.split, splits=splits, asked=source.asked),
    )
    return called, read


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(
    st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=5),
    st.lists(
        st.tuples(
            KINDS, st.one_of(st.none(), st.integers(4, 12)), st.booleans(), st.sampled_from(["", "a "])
        ),
        min_size=1,
        max_size=5,
    ),
    st.booleans(),
)
def test_what_a_library_gives_is_what_encoding_gives(tokenizers, rows, calls, marks):
    tokenizer = tokenizers[marks]
    library = Library()
    for kind, limit, is_pair, prompt in calls:
        texts = Texts("t", tuple(text for text, _ in rows))
        if is_pair and kind in {"classes", "embedding"}:
            texts = Texts("t", texts.texts, pairs=tuple(pair for _, pair in rows))
        expected = encode(tokenizer, texts, kind, limit, prompt=prompt)
        assert library.encode(tokenizer, texts, kind, limit, prompt=prompt) == expected


def test_a_second_encoding_calls_the_tokenizer_for_no_text(tmp_path, asked):
    called, _ = asked
    first = load_tokenizer(add_tokenizer(tmp_path / "first"))
    copy = load_tokenizer(add_tokenizer(tmp_path / "copy"))
    other = load_tokenizer(add_tokenizer(tmp_path / "other", marks=False))
    library = Library()
    texts = Texts("t", ("ab", "abcdefgh", "ab", ""))
    library.encode(first, texts, "embedding", 32)
    assert called == [3]
    library.encode(first, texts, "classes", None)
    library.encode(copy, texts, "regression", 32)
    assert called == [3]
    library.encode(copy, texts, "embedding", 6)
    assert called == [3, 1]  # the one that is truncated
    library.encode(first, texts, "embedding", 6)
    library.encode(first, texts, "embedding", 32)
    assert called == [3, 1]
    library.encode(other, texts, "embedding", 32)
    assert called == [3, 1, 3]


def test_rows_that_were_given_out_can_be_changed(tokenizers):
    library = Library()
    texts = Texts("t", ("ab",))
    first = library.encode(tokenizers[True], texts, "embedding", None)
    first.rows[0]["input_ids"].clear()
    assert library.encode(tokenizers[True], texts, "embedding", None).lengths == [4]


def test_a_file_is_read_once_with_and_without_labels(tmp_path, asked):
    _, read = asked
    path = tmp_path / "t.csv"
    path.write_text("text,label\na b,yes\nc d,no\n")
    library = Library()
    source = Source(path, label_column="label")
    labelled = library.texts(source, CLASSES)
    assert labelled == read_texts(source, CLASSES)
    assert library.texts(source, None).labels is None
    assert library.texts(Source(tmp_path / ".." / tmp_path.name / "t.csv"), None).texts == labelled.texts
    assert len(library.texts(Source(path, limit=1), None)) == 1
    assert len(read) == 1
    with pytest.raises(DataError, match="no column '1'"):
        library.texts(Source(path, text_column="1"), None)
    assert len(read) == 2  # columns by number: another table


def test_built_in_texts_are_read_without_a_name():
    assert Library().texts(Source(limit=5), CLASSES) == read_texts(Source(limit=5), CLASSES)


def test_parts_of_a_data_set_to_judge_by_and_to_calibrate_on(tmp_path):
    datasets = pytest.importorskip("datasets")
    parts = {name: datasets.Dataset.from_dict({"text": [f"of {name}"]}) for name in ("test", "train")}
    datasets.DatasetDict(parts).save_to_disk(tmp_path / "both")
    datasets.DatasetDict({"train": parts["train"]}).save_to_disk(tmp_path / "train")
    library = Library()
    assert library.texts(Source(tmp_path / "both"), None).texts == ("of test",)
    assert library.texts(Source(tmp_path / "both"), None, CALIBRATED).texts == ("of train",)
    assert library.texts(Source(tmp_path / "both", split="test"), None, CALIBRATED).texts == ("of test",)
    assert library.texts(Source(tmp_path / "train"), None, CALIBRATED).texts == ("of train",)
    with pytest.raises(DataError, match="expected the split test or validation or dev, found train"):
        library.texts(Source(tmp_path / "train"), None)


def test_planning_a_vocabulary_and_a_calibration_reads_and_tokenizes_once(tmp_path, asked):
    called, read = asked
    original = build("deberta, unigram", tmp_path / "original")
    path = tmp_path / "texts.txt"
    path.write_text("\n".join(f"text number {number}" for number in range(40)))
    library = Library()
    source = Source(path, limit=20)
    plan_vocabulary(original, TrimVocabulary(), source, library=library)
    counted = list(called)
    plan_calibration(original, source, library=library)
    assert len(read) == 1
    assert counted[0] == 40
    assert called == counted


def test_built_in_texts_have_no_columns():
    for setting, value in (
        ("text_column", "a"),
        ("label_column", ["a", "b"]),
        ("split", "test"),
        ("encoding", "cp1252"),
        ("labels", {"a": "b"}),
    ):
        with pytest.raises(SettingError, match=f"`{setting}` .* the built-in texts have none"):
            read_texts(Source(**{setting: value}), CLASSES)
