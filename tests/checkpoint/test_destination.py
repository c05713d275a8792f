import os
from collections import namedtuple

import pytest

from prensa.checkpoint.destination import check_destination, check_space
from prensa.errors import OutputError


@pytest.fixture
def place(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    return tmp_path


def check(place, output, *, force=False):
    check_destination(place / "model", place / output, force=force)


def test_a_new_or_empty_directory_is_fine(place):
    check(place, "out")
    check(place, "deep/er/out")
    (place / "empty").mkdir()
    check(place, "empty")


def test_a_model_is_replaced_only_with_force(place):
    (place / "old").mkdir()
    (place / "old" / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(OutputError, match="is not empty; give `force`"):
        check(place, "old")
    check(place, "old", force=True)
    with pytest.raises(OutputError, match="is not empty; give `force`"):
        check(place, "model")
    check(place, "model", force=True)


@pytest.mark.parametrize("force", [True, False])
def test_other_files_are_never_replaced(place, force):
    (place / "photos").mkdir()
    (place / "photos" / "one.jpg").write_text("x")
    (place / "photos" / "config.json").write_text('{"port": 80}')
    with pytest.raises(OutputError, match="holds files that are not a model"):
        check(place, "photos", force=force)


def test_neither_directory_may_hold_the_other(place):
    with pytest.raises(OutputError, match="lies inside the model directory"):
        check(place, "model/out")
    with pytest.raises(OutputError, match="holds the model directory"):
        check(place, ".", force=True)


def test_a_file_is_not_a_directory(place):
    (place / "file").write_text("x")
    with pytest.raises(OutputError, match="expected a directory, found a file"):
        check(place, "file")


def test_no_permission(place, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(OutputError, match="no permission to write"):
        check(place, "out")


def test_space_is_compared_before_anything_is_written(place, monkeypatch):
    usage = namedtuple("usage", "total used free")(10, 5, 5_000_000)
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage)
    check_space(place / "deep" / "out", 4_999_999)
    with pytest.raises(OutputError, match=r"up to 5.0 MB are needed, 5.0 MB are free"):
        check_space(place / "deep" / "out", 5_000_001)
