import errno
import fcntl
import os

import pytest
from tests.conftest import leftovers

from prensa.checkpoint import directory
from prensa.checkpoint.directory import clean_up, hidden_beside, replacing
from prensa.errors import OutputError


def fill(path, content):
    path.mkdir(parents=True, exist_ok=True)
    (path / "file").write_text(content)


@pytest.fixture(params=["exchange", "two renames"])
def replaced_by(request, monkeypatch):
    if request.param == "two renames":
        monkeypatch.setattr(directory, "_exchange", lambda first, second: False)


def test_a_new_directory(tmp_path):
    with replacing(tmp_path / "deep" / "out") as new:
        (new / "file").write_text("new")
        assert not (tmp_path / "deep" / "out").exists()
    assert (tmp_path / "deep" / "out" / "file").read_text() == "new"
    assert not leftovers(tmp_path / "deep")


def test_an_old_directory_is_replaced_whole(tmp_path, replaced_by):
    out = tmp_path / "out"
    fill(out, "old")
    (out / "only in the old").write_text("x")
    with replacing(out) as new:
        (new / "file").write_text("new")
        assert (out / "file").read_text() == "old"
    assert [path.name for path in out.iterdir()] == ["file"]
    assert (out / "file").read_text() == "new"
    assert not leftovers(tmp_path)


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_after_an_error_the_old_one_is_there(tmp_path, error):
    fill(tmp_path / "out", "old")
    with pytest.raises(error), replacing(tmp_path / "out") as new:
        fill(new, "half")
        raise error
    assert (tmp_path / "out" / "file").read_text() == "old"
    assert not leftovers(tmp_path)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_is_named(tmp_path, code):
    with pytest.raises(OutputError, match="disk is full; nothing was changed"), replacing(tmp_path / "out"):
        raise OSError(code, os.strerror(code))
    assert not list(tmp_path.iterdir())


def test_another_failure_to_write_is_named(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="cannot be written"), replacing(tmp_path / "file" / "out"):
        pass
    with pytest.raises(OutputError, match="nothing was changed"), replacing(tmp_path / "out"):
        raise PermissionError(errno.EACCES, "no")


def test_what_a_killed_run_left_is_removed_and_what_a_live_one_writes_is_not(tmp_path):
    dead, live = (tmp_path / f".any.prensa-unfinished-{name}" for name in ("dead", "live"))
    fill(dead, "x")
    fill(live, "x")
    lock = os.open(live, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    clean_up(tmp_path / "out")
    assert leftovers(tmp_path) == [live]
    os.close(lock)
    clean_up(tmp_path / "out")
    assert not leftovers(tmp_path)


def test_a_machine_that_stopped_between_two_renames_is_repaired(tmp_path):
    fill(tmp_path / ".out.prensa-replaced", "old")
    clean_up(tmp_path / "out")
    assert (tmp_path / "out" / "file").read_text() == "old"
    fill(tmp_path / ".out.prensa-replaced", "older")
    clean_up(tmp_path / "out")
    assert (tmp_path / "out" / "file").read_text() == "old"
    assert not leftovers(tmp_path)


def test_the_usual_permissions(tmp_path):
    mask = os.umask(0o022)
    try:
        with replacing(tmp_path / "out"):
            pass
    finally:
        os.umask(mask)
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o755


def test_a_private_model_stays_private(tmp_path):
    fill(tmp_path / "out", "old")
    (tmp_path / "out").chmod(0o700)
    (tmp_path / "out" / "file").chmod(0o600)
    with replacing(tmp_path / "out") as new:
        (new / "file").write_text("new")
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "out" / "file").stat().st_mode & 0o777 == 0o600


def test_a_file_system_without_locks(tmp_path, monkeypatch):
    def no_locks(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    with replacing(tmp_path / "out") as new:
        (new / "file").write_text("new")
    assert (tmp_path / "out" / "file").read_text() == "new"
    assert not leftovers(tmp_path)


def test_a_hidden_directory_is_there_for_a_while_and_another_run_leaves_it_alone(tmp_path):
    with hidden_beside(tmp_path / "deep" / "out") as place:
        assert place.parent == tmp_path / "deep"
        assert place.name.startswith(".")
        clean_up(tmp_path / "deep" / "out")
        fill(place / "result", "x")
    assert not (tmp_path / "deep" / "out").exists()
    assert not leftovers(tmp_path / "deep")
