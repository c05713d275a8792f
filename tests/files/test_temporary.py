"""Temporary directories, and disks that are full: which one is named."""

import errno
import os
import tempfile

import pytest

from prensa.checkpoint.directory import replacing
from prensa.errors import ModelError, OutputError
from prensa.files.temporary import directory_until_exit, is_full, temporary_directory, which_is_full

FULL = OSError(errno.ENOSPC, "No space left on device")


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A directory for temporary files that is not the output's."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    return tmp_path / "temporary"


def test_it_goes_when_the_block_ends(place):
    with temporary_directory() as directory:
        assert directory.parent == place
        (directory / "file").write_text("x")
    assert not list(place.iterdir())
    with pytest.raises(ValueError, match="other"), temporary_directory():
        raise ValueError("other")
    assert not list(place.iterdir())


@pytest.mark.parametrize(
    "error",
    [FULL, RuntimeError("I/O error: No space left on device (os error 28)"), OSError(errno.EDQUOT, "quota")],
)
def test_a_full_disk_of_temporary_files_is_named(place, error):
    message = f"{place}: the disk of temporary files is full.*TMPDIR"
    for make in (directory_until_exit, temporary_directory):
        with pytest.raises(OutputError, match=message), make():
            raise error
    assert not list(place.iterdir())


def test_a_place_that_cannot_be_written(monkeypatch):
    monkeypatch.setenv("TMPDIR", "/nowhere")

    def refused(**_):
        raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tmp']")

    monkeypatch.setattr(tempfile, "mkdtemp", refused)
    message = r"/nowhere: no temporary directory can be made .*set TMPDIR"
    for make in (directory_until_exit, temporary_directory):
        with pytest.raises(OutputError, match=message), make():
            pass


def test_no_room_to_make_one(place, monkeypatch):
    def refused(**_):
        raise FULL

    monkeypatch.setattr(tempfile, "mkdtemp", refused)
    message = f"{place}: the disk of temporary files is full"
    with pytest.raises(OutputError, match=message), directory_until_exit():
        pass


def test_other_errors_are_no_full_disk():
    assert not is_full(OSError(errno.EACCES, "No space left on device, it says"))
    assert not is_full(ValueError("full"))


def named(file):
    error = OSError(errno.ENOSPC, "No space left on device")
    error.filename = os.fsencode(file)
    return error


def test_the_output_is_blamed_for_its_own_files_alone(place, tmp_path):
    output = tmp_path / "out"
    for error in (named(output / "model"), FULL):
        assert which_is_full(error, output).startswith(f"{output}: the disk is full; nothing was changed")
    assert which_is_full(named(place / "model"), output).startswith(
        f"{place}: the disk of temporary files is"
    )


def test_without_a_name_the_disk_with_less_room_is_it(place, tmp_path, monkeypatch):
    room = {place: 10, tmp_path: 10**9}
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": room[path]}))
    stat = type(tmp_path).stat

    def other_device(path, **settings):
        found = stat(path, **settings)
        return type("Stat", (), {"st_dev": 7, "st_mode": found.st_mode}) if path == place else found

    monkeypatch.setattr(type(tmp_path), "stat", other_device)
    assert which_is_full(FULL, tmp_path / "out").startswith(f"{place}: the disk of temporary files is full")
    room[place], room[tmp_path] = 10**9, 10
    assert which_is_full(FULL, tmp_path / "out").startswith(f"{tmp_path / 'out'}: the disk is full")


@pytest.mark.parametrize("is_wrapped", [False, True])
def test_an_output_is_left_alone_where_temporary_files_find_no_room(place, tmp_path, is_wrapped):
    def fail():
        try:
            raise named(place / "ort.quant" / "model.onnx")
        except OSError as error:
            if is_wrapped:
                raise ModelError("ONNX does not take this model (…)") from error
            raise

    with pytest.raises(OutputError, match="temporary files is full"), replacing(tmp_path / "out"):
        fail()
    assert not (tmp_path / "out").exists()
