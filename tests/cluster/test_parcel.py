"""A model's files written on a node, where that goes wrong; the rest is in ``test_predicting.py``."""

import errno
import tempfile

import pytest

from prensa.cluster.parcel import Parcel, unpacked
from prensa.errors import OutputError


class Unwritable:
    """A file's contents on a disk that has no room for them."""

    def tofile(self, target):
        target.write_bytes(b"some of it")
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_keeps_nothing_of_a_model(tmp_path, monkeypatch):
    ray = pytest.importorskip("ray")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(ray, "get", lambda reference: reference)
    with pytest.raises(OutputError, match="No space left on device"):
        unpacked(Parcel("digest", {"model.safetensors": Unwritable()}))
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
