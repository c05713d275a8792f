import json
import struct

import pytest
import torch
from safetensors import safe_open
from safetensors.numpy import load_file as numpy_file
from safetensors.torch import load_file

from prensa.checkpoint.headers import SAFETENSORS_NAMES
from prensa.checkpoint.writer import ShardWriter

PLAIN = [dtype for dtype in SAFETENSORS_NAMES if dtype.itemsize <= 8 and not dtype.is_complex]


@pytest.mark.parametrize("dtype", PLAIN, ids=str)
def test_the_library_reads_what_is_written(tmp_path, dtype):
    file = tmp_path / "a.safetensors"
    tensors = {
        "first": torch.arange(3).to(torch.uint8),  # leaves what follows unaligned
        "second": torch.arange(10).reshape(2, 5).to(dtype),
        "scalar": torch.tensor(1).to(dtype),
        "empty": torch.empty(0, 3).to(dtype),
    }
    with ShardWriter(file, [(name, 2) for name in [*tensors, "never added"]]) as writer:
        for name, tensor in tensors.items():
            writer.add(name, tensor)
    loaded = load_file(file)
    assert loaded.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert loaded[name].dtype == tensor.dtype
        assert loaded[name].shape == tensor.shape
        assert loaded[name].tolist() == tensor.tolist()
    with safe_open(file, "pt") as opened:
        assert opened.metadata() == {"format": "pt"}


def test_views_and_odd_names(tmp_path):
    name, tensor = 'quote " and ünicode', torch.randn(4, 6).t()
    with ShardWriter(tmp_path / "a.safetensors", [(name, 2)]) as writer:
        writer.add(name, tensor)
    assert torch.equal(load_file(tmp_path / "a.safetensors")[name], tensor)


def test_every_tensor_is_aligned(tmp_path):
    tensors = {
        "a": torch.tensor(1, dtype=torch.uint8),
        "b": torch.ones(3, dtype=torch.float16),
        "c": torch.ones(5),
        "d": torch.ones(4, dtype=torch.float64),
    }
    with ShardWriter(tmp_path / "a.safetensors", [(name, 1) for name in tensors]) as writer:
        for name, tensor in tensors.items():
            writer.add(name, tensor)
    content = (tmp_path / "a.safetensors").read_bytes()
    (length,) = struct.unpack_from("<Q", content)
    header = json.loads(content[8 : 8 + length])
    assert (8 + length) % 8 == 0
    assert all(header[name]["data_offsets"][0] % tensor.itemsize == 0 for name, tensor in tensors.items())
    assert {name: each.tolist() for name, each in numpy_file(tmp_path / "a.safetensors").items()} == {
        name: tensor.tolist() for name, tensor in tensors.items()
    }


def test_an_unexpected_tensor_is_a_defect_not_a_broken_file(tmp_path):
    with (
        pytest.raises(ValueError, match="not expected"),
        ShardWriter(tmp_path / "a.safetensors", []) as writer,
    ):
        writer.add("x" * 200, torch.ones(1))
