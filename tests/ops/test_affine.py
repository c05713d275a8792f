import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from prensa.ops.affine import INT8_LEVELS, dequantize, quantize

matrices = hnp.arrays(
    np.float32,
    hnp.array_shapes(min_dims=2, max_dims=2, max_side=20),
    elements=st.floats(-1e3, 1e3, width=32),
)


@given(matrices)
@settings(max_examples=100, deadline=None)
def test_every_weight_is_within_half_a_step(array):
    weight = torch.from_numpy(array)
    quantized = quantize(weight)
    step = quantized.scale[:, None] / INT8_LEVELS
    error = (dequantize(quantized) - weight).abs()
    assert bool((error <= step * 0.5001 + 1e-30).all())
    assert quantized.values.abs().max() <= INT8_LEVELS


@given(matrices)
@settings(max_examples=50, deadline=None)
def test_the_largest_weight_of_a_row_is_kept(array):
    weight = torch.from_numpy(array)
    quantized = quantize(weight)
    assert torch.equal(quantized.scale, weight.abs().amax(dim=1))
    nonzero = quantized.scale > 1e-30
    assert bool((quantized.values.abs().amax(dim=1)[nonzero] == INT8_LEVELS).all())


def test_a_row_of_zeros_stays_zero():
    weight = torch.tensor([[0.0, 0.0], [1.0, -0.5]])
    quantized = quantize(weight)
    assert quantized.values.tolist() == [[0, 0], [127, -64]]  # -63.5 rounds to even
    assert dequantize(quantized)[0].tolist() == [0.0, 0.0]


def test_transposed_quantizes_columns_and_turns_back():
    weight = torch.randn(6, 4)
    quantized = quantize(weight, transposed=True)
    assert quantized.values.shape == (4, 6)
    assert quantized.shape == (6, 4)
    assert torch.equal(dequantize(quantized), dequantize(quantize(weight.t().contiguous())).t())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_dequantize_gives_the_dtype_that_came_in_or_is_asked_for(dtype):
    quantized = quantize(torch.randn(3, 5).to(dtype))
    assert dequantize(quantized).dtype == dtype
    assert dequantize(quantized, torch.float64).dtype == torch.float64


def test_more_rows_than_one_piece_dequantize_alike():
    weight = torch.randn(3000, 400)
    quantized = quantize(weight)
    expected = quantized.values * (quantized.scale / 127)[:, None]
    assert torch.equal(dequantize(quantized), expected)
