"""A model's files written on a node, where that goes wrong; the rest is in ``test_predicting.py``."""

import errno
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from prensa.cluster.parcel import Parcel, unpacked
from prensa.errors import OutputError


class Unwritable:
    """A file's contents on a disk that has no room for them."""

    def tofile(self, target):
        target.write_bytes(b"some of it")
        raise OSError(errno.ENOSPC, "No space left on device")


class Slow:
    """A file's contents, which take a while to be written."""

    def tofile(self, target):
        time.sleep(0.2)
        with Path(f"{target.parent.parent}-written").open("a") as file:
            file.write("once\n")
        target.write_bytes(b"all of it")


def test_workers_of_a_node_that_start_together_write_one_copy(tmp_path, monkeypatch):
    ray = pytest.importorskip("ray")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(ray, "get", lambda reference: reference)
    parcel = Parcel("digest", {"model.safetensors": Slow()})
    with ThreadPoolExecutor(4) as pool:
        places = {task.result() for task in [pool.submit(unpacked, parcel) for _ in range(4)]}
    (place,) = places
    assert (place / "model.safetensors").read_bytes() == b"all of it"
    assert Path(f"{place.parent}-written").read_text() == "once\n"


def test_a_full_disk_keeps_nothing_of_a_model(tmp_path, monkeypatch):
    ray = pytest.importorskip("ray")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(ray, "get", lambda reference: reference)
    with pytest.raises(OutputError, match="No space left on device"):
        unpacked(Parcel("digest", {"model.safetensors": Unwritable()}))
    assert [path.suffix for path in tmp_path.rglob("*") if path.is_file()] == [".lock"]
