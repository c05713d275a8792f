import os
import stat
from pathlib import Path

import pytest
from tests.conftest import directory_bytes

from prensa.errors import OutputError
from prensa.files.atomic import umask, write_text


def test_the_file_is_written_and_replaced(tmp_path):
    write_text(tmp_path / "a", "one ü")
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o666 & ~umask()
    (tmp_path / "a").chmod(0o600)
    write_text(tmp_path / "a", "two")
    assert directory_bytes(tmp_path) == {"a": b"two"}
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (OSError(28, "No space left on device"), "the disk is full; nothing was changed"),
        (OSError(5, "Input/output error"), r"cannot be written \(Input/output error\); nothing was changed"),
    ],
)
def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, error, message):
    write_text(tmp_path / "a", "old")

    def fail(*_):
        raise error

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OutputError, match=message):
        write_text(tmp_path / "a", "new")
    assert directory_bytes(tmp_path) == {"a": b"old"}


def test_an_interruption_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    write_text(tmp_path / "a", "old")

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_text(tmp_path / "a", "new")
    assert directory_bytes(tmp_path) == {"a": b"old"}


def test_no_such_folder(tmp_path):
    with pytest.raises(OutputError, match="cannot be written"):
        write_text(tmp_path / "none" / "a", "x")


def test_the_sign_of_the_home_directory(tmp_path, monkeypatch, original):
    """It means the same in every path, whether a shell has read it or not."""
    import prensa
    from prensa.pressing.recipe import load_recipe
    from prensa.report.html import check_report_place

    home, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    home.mkdir()
    elsewhere.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(elsewhere)
    original.rename(home / "model")
    prensa.compress("~/model", "~/small", preset="half")
    assert load_recipe("~/small/recipe.toml") == prensa.load_preset("half")
    assert prensa.inspect("~/small").format == "packed"
    check_report_place(Path("~/report.html"))
    assert {path.name for path in home.iterdir()} == {"model", "small"}
    assert not list(elsewhere.iterdir())
    with pytest.raises(OutputError, match="no-such-user-here"):
        prensa.compress("~/model", "~no-such-user-here/small")
