import numpy as np
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from prensa.errors import FormatError
from prensa.ops import entropy
from prensa.ops.entropy import BLOCK, Stream


def entropy_bits(data):
    share = np.bincount(data) / len(data)
    share = share[share > 0]
    return -(share * np.log2(share)).sum() * len(data)


@given(st.binary(max_size=3000))
@settings(max_examples=100, deadline=None)
def test_round_trip(content):
    data = np.frombuffer(content, dtype=np.uint8)
    assert entropy.decode(entropy.encode(data)).tobytes() == content


@pytest.mark.parametrize("size", [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 17])
def test_round_trip_over_blocks(size):
    data = np.random.default_rng(0).integers(0, 7, size, dtype=np.uint8)
    stream = entropy.encode(data)
    assert len(stream.frames) == -(-size // BLOCK)
    assert np.array_equal(entropy.decode(stream), data)


@pytest.mark.parametrize("sigma", [10, 30, 60])
def test_within_two_percent_of_the_entropy(sigma):
    normal = np.random.default_rng(0).normal(0, sigma, 1 << 20).round().clip(-127, 127)
    data = normal.astype(np.int8).view(np.uint8)
    assert 8 * entropy.encode(data).nbytes <= 1.02 * entropy_bits(data)


def test_a_frame_that_claims_another_size_is_refused_before_decoding():
    bomb = zstandard.ZstdCompressor().compress(bytes(1 << 24))
    with pytest.raises(FormatError, match="expected a frame of 10 bytes"):
        entropy.decode(Stream(10, [bomb]))


def test_frames_that_are_not_zstandard_or_too_few_are_refused():
    with pytest.raises(FormatError, match="damaged"):
        entropy.decode(Stream(10, [b"nonsense"]))
    with pytest.raises(FormatError, match="expected 2 frames"):
        entropy.decode(Stream(BLOCK + 1, [b""]))


def test_a_cut_frame_is_refused():
    (frame,) = entropy.encode(np.arange(200, dtype=np.uint8)).frames
    with pytest.raises(FormatError, match="damaged"):
        entropy.decode(Stream(200, [frame[:-5]]))
