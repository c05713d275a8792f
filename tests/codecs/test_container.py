import hashlib
import json
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from prensa.codecs import CODECS
from prensa.codecs.container import pack, unpack
from prensa.errors import FormatError
from prensa.ops import entropy
from prensa.ops.affine import Quantized, dequantize, quantize

GOLDEN = Path(__file__).parent.parent / "golden"
ALL = list(CODECS)
ONLY = {"raw": ["raw"], "offset": ["rows"], "cells": ["cells"]}


def golden_values():
    """Tensors that do not depend on a random number generator."""
    index = torch.arange(2403, dtype=torch.int64).reshape(89, 27)
    dense = (((index * index) % 61 - 30) / 16).to(torch.float16)
    uneven = (dense.float() * (1 + torch.arange(89) / 8)[:, None]).to(torch.float16)
    small = ((index * index) % 11 - 5).clamp(-3, 3) * (index[:, :1] % 4 == 0)
    offset = Quantized(
        small.to(torch.int8), torch.arange(1, 90) / 32, 1, False, torch.float16, torch.arange(27) / 64
    )
    # Every third row is large, most in every third column; the others are nearly all zero.
    large = ((index * index) % 29 - 14) * (1 + index % 3) // 2
    rare = (index % 23 == 0).long() - 2 * (index % 31 == 0).long()
    cells = Quantized(
        torch.where(torch.arange(89)[:, None] % 3 == 0, large, rare).to(torch.int8),
        torch.arange(1, 90) / 64,
        1,
        False,
        torch.float16,
        torch.arange(27) / 128,
    )
    signs = torch.where(index % 3 > 0, 0.0, dense.float()).masked_fill(index % 7 == 0, -0.0)
    return {
        "dense": dense,
        "dense-3d": dense.float().reshape(3, 89, 9),
        "raw": dense / 3,
        "sparse": signs.to(torch.bfloat16),
        "quantized": quantize(uneven),
        "quantized-float32": quantize(uneven.float() / 3),
        "transposed": quantize(uneven.to(torch.bfloat16), transposed=True),
        "offset": offset,
        "cells": cells,
    }


def equal(left, right):
    if isinstance(left, Quantized):
        same = [getattr(left, key) == getattr(right, key) for key in ("levels", "transposed", "dtype")]
        parts = [(left.values, right.values), (left.scale, right.scale)]
        same.append((left.offset is None) == (right.offset is None))
        if left.offset is not None and right.offset is not None:
            parts.append((left.offset, right.offset))
        return all(same) and all(torch.equal(*pair) for pair in parts)
    return left.dtype == right.dtype and torch.equal(left, right)


@pytest.mark.parametrize("name", golden_values())
def test_golden_bytes_are_read(name):
    """Files that an earlier version wrote must be read for ever: these are never made anew."""
    value = golden_values()[name]
    data = np.frombuffer((GOLDEN / f"{name}.packed").read_bytes(), dtype=np.uint8)
    assert equal(unpack(data, tuple(value.shape)), value)


def test_the_specification_lists_the_golden_files():
    lines = ["| file | shape | dtype | codec of the values | SHA-256 |", "|---|---|---|---|---|"]
    for name, value in golden_values().items():
        dense = dequantize(value) if isinstance(value, Quantized) else value
        digest = hashlib.sha256(dense.contiguous().reshape(-1).view(torch.uint8).numpy()).hexdigest()
        codec = pack(value, ONLY.get(name, ALL)).codec
        lines.append(f"| `{name}` | {list(dense.shape)} | {str(dense.dtype)[6:]} | {codec} | `{digest}` |")
    text = (GOLDEN.parent.parent / "docs" / "format.md").read_text(encoding="utf-8")
    assert text.split("<!-- golden -->\n")[1].split("<!-- /golden -->")[0] == "\n".join(lines) + "\n"


@pytest.mark.parametrize("codec", ALL)
@pytest.mark.parametrize("name", golden_values())
def test_round_trip(name, codec):
    value = golden_values()[name]
    packed = pack(value, [codec])
    assert packed.data.dtype == torch.uint8
    assert len(packed.data) % 8 == 0
    assert equal(unpack(packed.data.numpy(), tuple(value.shape)), value)


def test_the_smallest_codec_wins():
    weight = quantize(torch.randn(256, 256)).values.clone()
    assert pack(weight, ALL).codec == "planes"
    weight[torch.rand(256, 256) < 0.9] = 0
    assert pack(weight, ALL).codec == "sparse"
    assert pack(torch.randint(-128, 128, (64, 64)).to(torch.int8), ALL).codec == "raw"
    sizes = {name: len(pack(weight, [name]).data) for name in ALL}
    assert len(pack(weight, ALL).data) == min(sizes.values())


def version_of(packed):
    return int(packed.data[4])


def test_only_what_needs_it_has_a_later_version():
    """An earlier Prensa still reads what it can."""
    assert version_of(pack(golden_values()["quantized"], ["planes"])) == 1
    assert version_of(pack(golden_values()["offset"], ["rows"])) == 2
    assert version_of(pack(golden_values()["cells"], ["cells"])) == 3


@pytest.mark.parametrize("text", [b"", b"{}", b"not json", b'{"shape":' * 20000])
def test_a_coded_header_that_lies_is_refused(text):
    content = pack(golden_values()["cells"], ["cells"]).data.numpy().tobytes()
    (length,) = struct.unpack_from("<Q", content, 8)
    for header in (text, entropy.encode_text(text), entropy.encode_text(text)[:-1]):
        changed = content[:8] + struct.pack("<Q", len(header)) + header + content[16 + length :]
        with pytest.raises(FormatError):
            unpack(np.frombuffer(changed, np.uint8), (89, 27))


def test_a_coded_header_of_absurd_size_is_refused_without_memory():
    content = pack(golden_values()["cells"], ["cells"]).data.numpy().tobytes()
    header = entropy.encode_text(bytes(1 << 25))
    changed = content[:8] + struct.pack("<Q", len(header)) + header
    with pytest.raises(FormatError, match="at most"):
        unpack(np.frombuffer(changed, np.uint8), (89, 27))


def test_another_shape_is_refused():
    packed = pack(torch.ones(4, 5, dtype=torch.float16), ALL)
    with pytest.raises(FormatError):
        unpack(packed.data.numpy(), (4, 6))


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_a_flipped_byte_never_crashes(data):
    """Damage is either refused or, in the coded values, decodes to other numbers of the same shape."""
    value = golden_values()[data.draw(st.sampled_from(sorted(golden_values())))]
    content = pack(value, ALL).data.numpy().copy()
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        result = unpack(content, tuple(value.shape))
    except FormatError:
        return
    assert tuple(result.shape) == tuple(value.shape)


@given(st.binary(max_size=300))
@settings(max_examples=200, deadline=None)
def test_random_bytes_are_refused(content):
    with pytest.raises(FormatError):
        unpack(np.frombuffer(content, dtype=np.uint8), (4, 4))


def with_header(change):
    content = pack(golden_values()["quantized"], ALL).data.numpy().tobytes()
    (length,) = struct.unpack_from("<Q", content, 8)
    header = json.loads(content[16 : 16 + length])
    change(header)
    text = json.dumps(header).encode()
    return np.frombuffer(content[:8] + struct.pack("<Q", len(text)) + text + content[16 + length :], np.uint8)


@pytest.mark.parametrize(
    "change",
    [
        lambda header: header["parts"].pop("scale"),
        lambda header: header["parts"]["values"].update(codec="exec"),
        lambda header: header["parts"]["values"].update(dtype="object"),
        lambda header: header["parts"]["values"]["streams"][0].update(size=1 << 60),
        lambda header: header["parts"]["values"]["streams"][0].update(frames=[1 << 60]),
        lambda header: header["parts"]["values"]["streams"][0].update(frames=[-1]),
        lambda header: header["parts"]["values"].update(streams=[]),
        lambda header: header["parts"]["values"].update(streams=None),
        lambda header: header["grid"].update(levels=0),
        lambda header: header["grid"].update(levels="127"),
        lambda header: header["grid"].update(levels=10**400),
        lambda header: header.update(grid=None),
    ],
)
def test_a_header_that_lies_is_refused(change):
    with pytest.raises(FormatError):
        unpack(with_header(change), (89, 27))


def test_versions_and_strangers_are_named():
    content = pack(torch.ones(2, 2), ALL).data.numpy().copy()
    content[4] = 9
    with pytest.raises(FormatError, match="version 1 to 3, found 9; install a newer prensa"):
        unpack(content, (2, 2))
    content[0] = 0
    with pytest.raises(FormatError, match="begin with"):
        unpack(content, (2, 2))
