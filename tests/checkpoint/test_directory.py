import errno
import fcntl
import os
import shutil
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from safetensors import SafetensorError
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
    dead, live = (tmp_path / f".out.prensa-unfinished-{name}" for name in ("dead", "live"))
    other = tmp_path / ".another.prensa-unfinished-dead"
    for each in (dead, live, other):
        fill(each, "x")
    lock = os.open(live, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    clean_up(tmp_path / "out")
    assert sorted(leftovers(tmp_path)) == [other, live]
    os.close(lock)
    clean_up(tmp_path / "out")
    assert leftovers(tmp_path) == [other]


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


def test_a_directory_that_another_run_takes_for_a_leftover_is_made_anew(tmp_path, monkeypatch):
    """Between making a directory and locking it, another run may lock and remove it."""
    make, made = tempfile.mkdtemp, []

    def make_and_lose(**settings):
        made.append(make(**settings))
        if len(made) == 1:
            shutil.rmtree(made[0])
        if len(made) == 2:
            lock = os.open(made[1], os.O_RDONLY)
            fcntl.flock(lock, fcntl.LOCK_EX)
        return made[-1]

    monkeypatch.setattr(tempfile, "mkdtemp", make_and_lose)
    with hidden_beside(tmp_path / "out") as place:
        assert str(place) == made[2]
        assert place.is_dir()


def test_one_that_is_removed_between_opening_and_locking_is_made_anew(tmp_path, monkeypatch):
    flock, removed = fcntl.flock, []

    def remove_then_lock(handle, how):
        if not removed:
            (path,) = leftovers(tmp_path)
            removed.append(path)
            shutil.rmtree(path)
        flock(handle, how)

    monkeypatch.setattr(fcntl, "flock", remove_then_lock)
    with hidden_beside(tmp_path / "out") as place:
        assert place.is_dir()
        assert place not in removed


def test_many_runs_at_once_under_one_parent(tmp_path, monkeypatch):
    make = tempfile.mkdtemp
    barrier = threading.Barrier(8)

    def make_together(**settings):
        made = make(**settings)
        barrier.wait()  # all have made theirs, and none has locked it
        return made

    def write(number):
        with replacing(tmp_path / f"out {number}") as new:
            (new / "file").write_text(str(number))

    with ThreadPoolExecutor(8) as pool:
        monkeypatch.setattr(tempfile, "mkdtemp", make_together)
        list(pool.map(write, range(8)))
    assert [(tmp_path / f"out {n}" / "file").read_text() for n in range(8)] == [str(n) for n in range(8)]
    assert not leftovers(tmp_path)


def test_of_runs_to_one_output_the_last_one_fails_unless_it_may_replace(tmp_path, replaced_by):
    out = tmp_path / "out"
    with replacing(out, force=False) as slow:
        fill(slow, "slow")
        with replacing(out, force=False) as fast:
            fill(fast, "fast")
        with (
            pytest.raises(OutputError, match="another run has written it meanwhile"),
            replacing(out, force=False),
        ):
            pass
        assert (out / "file").read_text() == "fast"
        with replacing(out, force=True) as forced:
            fill(forced, "forced")
        assert (out / "file").read_text() == "forced"
        shutil.rmtree(out)
    assert (out / "file").read_text() == "slow"
    assert not leftovers(tmp_path)


def test_an_output_that_appears_at_the_last_moment(tmp_path, monkeypatch):
    out = tmp_path / "out"
    fill(out, "theirs")
    monkeypatch.setattr(type(out), "exists", lambda path, **_: False)
    with pytest.raises(OutputError, match="another run"), replacing(out, force=False) as new:
        fill(new, "ours")
    assert (out / "file").read_text() == "theirs"
    with replacing(out, force=True) as new:
        fill(new, "ours")
    assert (out / "file").read_text() == "ours"


def test_a_full_disk_is_named_whoever_wrote(tmp_path):
    # As safetensors says it.
    words = SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")
    with (
        pytest.raises(OutputError, match="disk is full; nothing was changed"),
        hidden_beside(tmp_path / "out"),
    ):
        raise words
    assert not leftovers(tmp_path)
