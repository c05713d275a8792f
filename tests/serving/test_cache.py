import os
import tempfile

import pytest

import prensa
from prensa.errors import OutputError
from prensa.files.temporary import remove_as
from prensa.serving import cache
from prensa.serving.cache import cache_directory, exports_directory


@pytest.fixture(autouse=True)
def surroundings(tmp_path, monkeypatch):
    for name in ("PRENSA_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(cache, "_warned", set())
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    cache._temporary.cache_clear()
    yield
    cache._temporary.cache_clear()


@pytest.fixture
def said(monkeypatch):
    lines = []
    monkeypatch.setattr(cache._log, "warning", lambda line, *values: lines.append(line % values))
    return lines


def test_where_it_is(tmp_path, monkeypatch, said):
    assert cache_directory() == tmp_path / ".cache" / "prensa"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert cache_directory() == tmp_path / ".cache" / "prensa"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_directory() == tmp_path / "xdg" / "prensa"
    monkeypatch.setenv("PRENSA_CACHE", "~/own")
    assert cache_directory() == tmp_path / "own"
    assert exports_directory() == tmp_path / "own" / "exports"
    assert not said


def a_file(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("x")
    monkeypatch.setenv("HOME", str(tmp_path / "file"))


def a_file_named_by_the_user(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("x")
    monkeypatch.setenv("PRENSA_CACHE", str(tmp_path / "file"))


def no_home(tmp_path, monkeypatch):
    monkeypatch.setattr(cache.Path, "home", lambda: (_ for _ in ()).throw(RuntimeError("no home directory")))


def a_home_that_cannot_be_written(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda *_, **__: False)


@pytest.mark.parametrize(
    "unusable", [a_file, a_file_named_by_the_user, no_home, a_home_that_cannot_be_written]
)
def test_without_one_exports_go_to_a_temporary_place_and_that_is_said_once(
    tmp_path, monkeypatch, said, unusable
):
    unusable(tmp_path, monkeypatch)
    assert cache_directory() is None
    place = exports_directory()
    assert place == exports_directory()
    assert place.parent.parent == tmp_path / "temporary"
    assert place.parent.stat().st_mode & 0o077 == 0
    assert len(said) == 1
    assert "set PRENSA_CACHE" in said[0]


def test_a_temporary_place_goes_with_the_process_that_made_it(tmp_path, monkeypatch):
    a_file(tmp_path, monkeypatch)
    place = exports_directory().parent
    remove_as(os.getpid() + 1, place)
    assert place.is_dir()
    remove_as(os.getpid(), place)
    assert not place.exists()


def test_no_place_at_all_names_the_variable(tmp_path, monkeypatch):
    a_file(tmp_path, monkeypatch)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    with pytest.raises(OutputError, match="set PRENSA_CACHE to one"):
        exports_directory()


def test_an_export_on_the_spot_without_a_cache(original, tmp_path, monkeypatch, said):
    pytest.importorskip("openvino")
    a_file(tmp_path, monkeypatch)
    served = prensa.load(original, runtime="openvino")
    assert served.path.is_relative_to(tmp_path / "temporary")
    assert len(said) == 1
    assert [len(answer.output) for answer in served.predict(["a b"])] == [2]
