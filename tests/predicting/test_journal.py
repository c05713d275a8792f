"""What a stopped run leaves, and who may go on with it."""

import json

import pytest

from prensa.checkpoint.checksum import model_digest
from prensa.errors import DataError, FormatError, OutputError
from prensa.predicting.journal import Journal
from prensa.predicting.shards import Place

FACTS = {"model": "m", "set of options": "o"}


@pytest.fixture
def places(tmp_path):
    found = []
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text("text\n" + name * 100)
        found.append(Place(tmp_path / name, name, tmp_path / "out" / name))
    return found


@pytest.fixture
def output(tmp_path):
    return tmp_path / "out"


@pytest.fixture
def stopped(output, places):
    journal = Journal(output, FACTS, places)
    with pytest.raises(KeyboardInterrupt), journal.kept():
        journal.know("runtime", "torch float32")
        journal.add("a.csv", 8, {"no text": 2})
        journal.add("a.csv", 5, {"no text": 1, "odd": 1})
        raise KeyboardInterrupt
    return journal


def test_what_is_done_is_known_again(output, places, stopped):
    again = Journal(output, FACTS, places)
    assert (again.rows, again.problems, again.shards["a.csv"].parts) == (13, {"no text": 3, "odd": 1}, 2)
    with again.kept():
        again.know("runtime", "torch float32")
    assert not stopped.place.exists()


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"model": "n"}, "with another model; remove it to begin again"),
        ({"set of options": "p"}, "another set of"),
    ],
)
def test_other_facts_are_refused(output, places, stopped, facts, message):
    with pytest.raises(FormatError, match=message):
        Journal(output, {**FACTS, **facts}, places)
    assert stopped.place.exists()


def test_another_runtime_is_refused_and_nothing_is_lost(output, places, stopped):
    again = Journal(output, FACTS, places)
    with pytest.raises(FormatError, match=r"another runtime \(torch float32, now onnx fp32\)"), again.kept():
        again.know("runtime", "onnx fp32")
    assert Journal(output, FACTS, places).rows == 13


def test_another_version_is_refused(output, places, stopped, monkeypatch):
    monkeypatch.setattr("prensa.predicting.journal.VERSION", "9.9")
    with pytest.raises(FormatError, match="another version of Prensa"):
        Journal(output, FACTS, places)


def test_other_input_is_refused(output, places, stopped):
    with pytest.raises(FormatError, match=r"other input \(2 files, now 1\)"):
        Journal(output, FACTS, places[:1])
    places[1].source.write_text("another")
    with pytest.raises(FormatError, match=r"other input \(b.csv is another file or has changed\); remove it"):
        Journal(output, FACTS, places)


def test_input_that_changes_meanwhile(output, places):
    journal = Journal(output, FACTS, places)
    journal.check_unchanged(places[0])
    with places[0].source.open("a") as file:
        file.write("more")
    with pytest.raises(DataError, match="has changed while it was read"):
        journal.check_unchanged(places[0])


def test_a_shard_that_is_gone_is_done_again(output, places):
    journal = Journal(output, FACTS, places)
    with pytest.raises(KeyboardInterrupt), journal.kept():
        for place in places:
            journal.part(place.name, 0).write_text("x")
            journal.add(place.name, 3, {})
            journal.begin_joining(place)
            place.target.parent.mkdir(exist_ok=True)
            place.target.write_text("x")
            journal.finish(place)
        assert not list(journal.place.glob("*-*"))
        raise KeyboardInterrupt
    places[0].target.unlink()
    again = Journal(output, FACTS, places)
    assert (again.done, again.ours, again.rows) == ({"b.csv"}, {"b.csv"}, 3)


def test_one_that_has_not_begun_leaves_nothing(output, places):
    journal = Journal(output, FACTS, places)
    with pytest.raises(KeyboardInterrupt), journal.kept():
        raise KeyboardInterrupt
    assert not journal.place.exists()


def test_an_empty_shard_that_is_in_place_is_known_again(output, places):
    journal = Journal(output, FACTS, places)
    with pytest.raises(KeyboardInterrupt), journal.kept():
        journal.begin_joining(places[0])
        raise KeyboardInterrupt
    assert Journal(output, FACTS, places).ours == {"a.csv"}


def test_two_at_a_time(output, places):
    with Journal(output, FACTS, places).kept():
        other = Journal(output, FACTS, places)
        with pytest.raises(OutputError, match="another run is writing there"), other.kept():
            raise AssertionError("not reached")
        assert other.place.exists()


def test_one_that_waited_while_another_went_on(output, places, stopped):
    late = Journal(output, FACTS, places)
    other = Journal(output, FACTS, places)
    with pytest.raises(KeyboardInterrupt), other.kept():
        other.add("a.csv", 4, {})
        raise KeyboardInterrupt
    with pytest.raises(OutputError, match="another run has written there meanwhile"), late.kept():
        pass
    last = Journal(output, FACTS, places)
    assert last.rows == 17
    with Journal(output, FACTS, places).kept():
        pass
    with pytest.raises(OutputError, match="another run has written there meanwhile"), last.kept():
        pass
    assert not last.place.exists()


@pytest.mark.parametrize(
    "content", ["{", "{}", json.dumps({"version": 1, "facts": {}, "inputs": 3, "shards": {}})]
)
def test_a_damaged_one_is_refused(output, places, stopped, content):
    (stopped.place / "journal.json").write_text(content)
    with pytest.raises(FormatError, match="a damaged journal .* remove .* to begin again"):
        Journal(output, FACTS, places)


def test_many_different_reasons_are_put_together(output, places):
    journal = Journal(output, FACTS, places)
    with journal.kept():
        journal.add("a.csv", 100, {f"reason {n}": 1 for n in range(100)})
    assert len(journal.problems) == 21
    assert sum(journal.problems.values()) == 100


def test_a_models_digest_is_that_of_what_answers(model):
    before = model_digest(model)
    (model / "README.md").write_text("other words")
    assert model_digest(model) == before
    (model / "tokenizer.json").write_text("{}")
    assert model_digest(model) != before
