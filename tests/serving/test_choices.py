"""What was measured before is found again, and only where it still holds."""

import json
import os

import pytest

from prensa.serving import choices
from prensa.serving.choices import question, recall, remember

ANSWERS = ("yes", "no")
SHAPES = ((1, 64), (8, 64))


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setenv("PRENSA_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "choices"


@pytest.fixture
def asked(original, place):
    return question(original, "folding", "cpu", "float32", SHAPES)


def test_what_is_remembered_is_recalled(original, asked):
    assert recall(asked, ANSWERS) is None
    remember(asked, "no")
    assert recall(question(original, "folding", "cpu", "float32", SHAPES), ANSWERS) == "no"
    remember(asked, "yes")
    assert recall(asked, ANSWERS) == "yes"
    # An answer that is none any more, as of another version.
    assert recall(asked, ("no",)) is None


def other_processor(original, monkeypatch):
    monkeypatch.setattr(choices, "processor_name", lambda: "Other")


def other_flags(original, monkeypatch):
    monkeypatch.setattr(choices, "cpu_flags", lambda: ["avx2"])


def other_cores(original, monkeypatch):
    monkeypatch.setattr(choices, "physical_cores", lambda: 64)


def another_version(original, monkeypatch):
    monkeypatch.setattr(choices, "version", lambda package: "99")


def another_version_of_prensa(original, monkeypatch):
    monkeypatch.setattr(choices, "VERSION", "99")


def other_weights(original, monkeypatch):
    os.utime(original / "model.safetensors", ns=(1, 1))


def another_config(original, monkeypatch):
    (original / "config.json").write_text((original / "config.json").read_text() + " ")


@pytest.mark.parametrize(
    "change",
    [
        other_processor,
        other_flags,
        other_cores,
        another_version,
        another_version_of_prensa,
        other_weights,
        another_config,
    ],
)
def test_where_something_has_changed_nothing_is_known(original, asked, monkeypatch, change):
    remember(asked, "yes")
    change(original, monkeypatch)
    other = question(original, "folding", "cpu", "float32", SHAPES)
    assert recall(other, ANSWERS) is None


@pytest.mark.parametrize(
    "other", [("auto", "cpu", "float32", SHAPES), ("folding", "cpu", "bfloat16", SHAPES)]
)
def test_another_question(original, asked, other):
    remember(asked, "yes")
    assert recall(question(original, *other), ANSWERS) is None
    assert recall(question(original, "folding", "cpu", "float32", [(1, 80)]), ANSWERS) is None


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"answer": "yes"}', '{"question": {}, "answer": "yes"}', "\x00\xff"]
)
def test_what_is_damaged_is_as_good_as_nothing(asked, place, content):
    remember(asked, "yes")
    (path,) = place.iterdir()
    path.write_text(content, encoding="latin-1")
    assert recall(asked, ANSWERS) is None
    remember(asked, "no")
    assert recall(asked, ANSWERS) == "no"


def test_the_file_says_what_was_asked(asked, place):
    remember(asked, "yes")
    (path,) = place.iterdir()
    content = json.loads(path.read_text())
    assert content["answer"] == "yes"
    assert content["question"]["texts"] == "1x64 8x64"


def test_without_a_cache_nothing_is_kept(asked, monkeypatch):
    monkeypatch.setattr(choices, "cache_directory", lambda: None)
    remember(asked, "yes")
    assert recall(asked, ANSWERS) is None


def test_a_place_that_cannot_be_written_is_no_error(asked, place):
    place.parent.mkdir(exist_ok=True)
    place.write_text("a file where a directory should be")
    remember(asked, "yes")
    assert recall(asked, ANSWERS) is None
