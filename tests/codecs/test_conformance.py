"""What every codec must hold: it is found in the table, so a new one is tested by being added there."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from prensa.codecs import CODECS
from prensa.codecs.base import to_bytes
from prensa.errors import FormatError
from prensa.ops import entropy
from prensa.ops.entropy import Stream

DTYPES = [torch.int8, torch.float16, torch.bfloat16, torch.float32, torch.float64]
FOR_SMALL_INTEGERS = ("rows", "cells")
each_codec = pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS.keys())


def same_bits(left, right):
    return (
        left.dtype == right.dtype
        and left.shape == right.shape
        and np.array_equal(to_bytes(left), to_bytes(right))
    )


def round_trip(codec, tensor):
    if codec.name in FOR_SMALL_INTEGERS and (
        tensor.dtype != torch.int8 or tensor.dim() != 2 or not tensor.numel()
    ):
        with pytest.raises(ValueError, match="expected a matrix of int8"):
            codec.encode(tensor)
        return tensor
    return codec.decode(codec.encode(tensor), tuple(tensor.shape), tensor.dtype)


@each_codec
@given(content=st.binary(min_size=8, max_size=800), dtype=st.sampled_from(DTYPES), zeros=st.floats(0, 1))
@settings(max_examples=60, deadline=None)
def test_any_bits_come_back(codec, content, dtype, zeros):
    """Any bits: NaN with payloads, negative zeros, subnormals."""
    count = len(content) // dtype.itemsize
    array = np.frombuffer(content[: count * dtype.itemsize], dtype=np.uint8).copy()
    array.reshape(count, dtype.itemsize)[: int(zeros * count)] = 0
    array[array == 128] = 0 if codec.name in FOR_SMALL_INTEGERS else 128
    tensor = torch.from_numpy(array).view(dtype)
    if dtype == torch.int8 and count % 2 == 0:
        tensor = tensor.reshape(count // 2, 2)
    assert same_bits(round_trip(codec, tensor), tensor)


@each_codec
@pytest.mark.parametrize("shape", [(), (0,), (1,), (3, 0, 2), (7, 5), (2, 3, 4), (1 << 11, 1 << 10)])
def test_any_shape_comes_back(codec, shape):
    for tensor in (torch.randn(shape).to(torch.float16), (3 * torch.randn(shape)).to(torch.int8)):
        assert same_bits(round_trip(codec, tensor), tensor)


@each_codec
def test_views_come_back(codec):
    for tensor in (torch.randn(6, 8).t()[::2], (3 * torch.randn(6, 8)).to(torch.int8).t()[::2]):
        assert same_bits(round_trip(codec, tensor), tensor.contiguous())


@each_codec
def test_negative_zero_comes_back(codec):
    tensor = torch.tensor([0.0, -0.0, 1.0])
    assert torch.signbit(round_trip(codec, tensor)).tolist() == [False, True, False]


@each_codec
def test_encoding_is_deterministic(codec):
    tensor = torch.randn(100, 100).round().to(torch.int8)
    first, second = codec.encode(tensor), codec.encode(tensor)
    assert [bytes(f) for s in first for f in s.frames] == [bytes(f) for s in second for f in s.frames]


@each_codec
def test_another_shape_or_dtype_is_refused(codec):
    streams = codec.encode(torch.ones(10, 2, dtype=torch.int8))
    for shape, dtype in [((17, 2), torch.int8), ((9, 2), torch.int8), ((10, 2), torch.float32)]:
        with pytest.raises(FormatError):
            codec.decode(streams, shape, dtype)
    with pytest.raises(FormatError):
        codec.decode([], (10, 2), torch.int8)


@each_codec
def test_absurd_sizes_are_refused_without_memory(codec):
    absurd = 1 << 50
    for count in range(1, 4):
        with pytest.raises(FormatError):
            codec.decode([Stream(absurd, [b""])] * count, (absurd,), torch.int8)


def test_zeros_are_cheap():
    weight = torch.randn(512, 512).to(torch.float16)
    weight[torch.rand(512, 512) < 0.5] = 0
    wide = {name: codec for name, codec in CODECS.items() if name not in FOR_SMALL_INTEGERS}
    bits = {name: 8 * sum(s.nbytes for s in codec.encode(weight)) for name, codec in wide.items()}
    assert bits["sparse"] < bits["planes"] < bits["raw"]
    assert bits["sparse"] / weight.numel() < 1 + 0.5 * 14


def test_a_mask_that_disagrees_with_its_planes_is_refused():
    streams = CODECS["sparse"].encode(torch.tensor([0, 1, 2, 0], dtype=torch.int8))
    other = CODECS["sparse"].encode(torch.tensor([0, 1, 2, 3], dtype=torch.int8))
    with pytest.raises(FormatError, match="mask keeps 2"):
        CODECS["sparse"].decode([streams[0], other[1]], (4,), torch.int8)


def small_integers(rows=600, columns=256):
    """Rows of very different spread."""
    torch.manual_seed(0)
    spread = torch.logspace(-1.2, 0.8, rows)[torch.randperm(rows), None]
    return (torch.randn(rows, columns) * spread).round().clamp(-127, 127).to(torch.int8)


@pytest.mark.parametrize("codec", FOR_SMALL_INTEGERS)
def test_rows_of_like_spread_are_coded_near_their_own_entropy(codec):
    values = small_integers()
    probabilities = [row.bincount() / 256 for row in (values.long() + 127)]
    own = sum(float(-(p[p > 0] * p[p > 0].log2()).sum() * 256) for p in probabilities)
    bits = {
        name: 8 * sum(s.nbytes for s in CODECS[name].encode(values)) for name in (codec, "planes", "sparse")
    }
    assert bits[codec] < 0.93 * min(bits["planes"], bits["sparse"])
    assert bits[codec] < 1.25 * own  # a row's own histogram knows it better than any code could


@pytest.mark.parametrize("codec", FOR_SMALL_INTEGERS)
@given(
    rows=st.integers(1, 40), columns=st.integers(1, 60), spread=st.floats(0.01, 90), seed=st.integers(0, 9)
)
@settings(max_examples=60, deadline=None)
def test_any_matrix_of_small_integers_comes_back(codec, rows, columns, spread, seed):
    generator = torch.Generator().manual_seed(seed)
    scale = torch.rand(rows, 1, generator=generator) * spread
    values = (torch.randn(rows, columns, generator=generator) * scale).round().clamp(-127, 127).to(torch.int8)
    assert torch.equal(round_trip(CODECS[codec], values), values)


def damaged(streams, index, change):
    """Decode a stream, change its bytes and code them again."""
    changed = entropy.decode(streams[index]).copy()
    change(changed)
    return [*streams[:index], entropy.encode(changed), *streams[index + 1 :]]


def fill(value):
    return lambda data: data.fill(value)


def test_damaged_rows_are_refused():
    values = small_integers()
    streams = CODECS["rows"].encode(values)
    shape = tuple(values.shape)

    for index, value in [(0, 200), (1, 5), (2, 255), (-1, 127)]:
        position = index % len(streams)
        with pytest.raises(FormatError):
            CODECS["rows"].decode(damaged(streams, position, fill(value)), shape, torch.int8)
    longer = entropy.encode(np.append(entropy.decode(streams[-1]), np.uint8(0)))
    with pytest.raises(FormatError, match="clamped"):
        CODECS["rows"].decode([*streams[:-1], longer], shape, torch.int8)


def cells(rows=400, columns=300, spread=4.0):
    """Rows and columns of very different spread, and rows and columns of zeros."""
    torch.manual_seed(1)
    row_spread = torch.logspace(-1.5, 0.3, rows)[torch.randperm(rows), None]
    column_spread = torch.logspace(-0.5, 0.5, columns)[torch.randperm(columns)]
    values = (torch.randn(rows, columns) * spread * row_spread * column_spread).round()
    values[::50] = 0
    values[:, ::70] = 0
    return values.clamp(-127, 127).to(torch.int8)


def nbytes(codec, values):
    return sum(stream.nbytes for stream in CODECS[codec].encode(values))


def test_cells_know_columns():
    values = cells()
    assert torch.equal(round_trip(CODECS["cells"], values), values)
    assert nbytes("cells", values) < 0.9 * nbytes("rows", values)


def test_runs_of_zeros_cost_less_than_a_bit_each():
    torch.manual_seed(0)
    values = (torch.rand(2000, 300) < 0.03).to(torch.int8)
    values[torch.rand(2000, 300) < 0.5] *= -1
    assert torch.equal(round_trip(CODECS["cells"], values), values)
    # A zero or not: 0.19 bits; and a sign for each that is not.
    entropy_bits = 0.1944 * values.numel() + values.count_nonzero().item()
    assert 8 * nbytes("cells", values) < 1.08 * entropy_bits
    assert nbytes("cells", values) < 0.97 * nbytes("rows", values)


@pytest.mark.parametrize("spread", [0.1, 4.0, 40.0])
def test_damaged_cells_are_refused(spread):
    values = cells(spread=spread)
    codec = CODECS["cells"]
    streams = codec.encode(values)
    shape = tuple(values.shape)

    def change(position, value):
        def set_one(data):
            data[position] = value

        return set_one

    # Levels, then of each group the last level and the alphabet; symbols that no alphabet has; too much excess.
    changes = [
        (0, change(0, 255)),
        (0, change(0, 120)),
        (1, change(0, 254)),
        (1, change(-2, 0)),
        (1, change(1, 1)),
        (1, change(1, 255)),
        (2, fill(255)),
        (len(streams) - 1, fill(127)),
    ]
    for index, edit in changes:
        with pytest.raises(FormatError):
            codec.decode(damaged(streams, index, edit), shape, torch.int8)
    longer = entropy.encode(np.append(entropy.decode(streams[-1]), np.uint8(0)))
    with pytest.raises(FormatError, match="clamped"):
        codec.decode([*streams[:-1], longer], shape, torch.int8)


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_any_change_in_cells_is_refused_or_gives_the_same_shape(data):
    values = cells(60, 40, spread=data.draw(st.sampled_from([0.05, 1.0, 20.0])))
    codec = CODECS["cells"]
    streams = codec.encode(values)
    filled = [index for index, stream in enumerate(streams) if stream.size]
    index = data.draw(st.sampled_from(filled))

    def change(content):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))

    try:
        decoded = codec.decode(damaged(streams, index, change), tuple(values.shape), torch.int8)
    except FormatError:
        return
    assert decoded.shape == values.shape
