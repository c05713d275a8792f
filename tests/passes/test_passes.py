import math

import pytest
import torch

from prensa.errors import RecipeError
from prensa.ops.sparsity import count_zeros
from prensa.ops.spec import TensorSpec
from prensa.passes import Half, Prune, Quantize, Threshold

MATRIX = TensorSpec("w", (30, 40), torch.float32, "f", "linear", "Linear", in_model=True)


@pytest.mark.parametrize("amount", [0.0, 0.3, 0.9])
def test_prune_gives_exactly_the_share(amount):
    pruned = Prune(amount=amount).apply(torch.randn(30, 40), MATRIX)
    assert count_zeros(pruned) == round(amount * 1200)


@pytest.mark.parametrize("amount", [-0.1, 0.91, math.nan, math.inf, "0.3", None, True])
def test_prune_refuses_other_amounts(amount):
    with pytest.raises(RecipeError, match="amount must be a number from 0 to 0.9"):
        Prune(amount=amount)


@pytest.mark.parametrize("threshold", [-1e-9, 1.1, math.nan, "x"])
def test_threshold_refuses_what_is_out_of_range(threshold):
    with pytest.raises(RecipeError, match="threshold must be a number from 0 to 1"):
        Threshold(threshold=threshold)


def test_half_declines_what_overflows_and_only_that():
    assert Half().declines(65504.0, torch.float32) == ""
    assert Half().declines(65519.0, torch.float32) == ""  # rounds to the largest float16
    assert "overflows float16, kept in float32" in Half().declines(65520.0, torch.float32)
    assert Half(dtype="bfloat16").declines(1e30, torch.float32) == ""


@pytest.mark.parametrize("dtype", ["float32", "int8", 16])
def test_half_refuses_other_dtypes(dtype):
    with pytest.raises(RecipeError, match="float16, bfloat16"):
        Half(dtype=dtype)


@pytest.mark.parametrize("bits", [4, 16, 8.5, "8", True])
def test_quantize_refuses_other_bits(bits):
    with pytest.raises(RecipeError, match="bits must be 8"):
        Quantize(bits=bits)


def test_quantize_refuses_what_is_not_a_matrix():
    vector = TensorSpec("b", (40,), torch.float32, "f", "bias")
    assert Quantize().refuses(vector) == "not a matrix"
    assert Quantize().refuses(MATRIX) == ""
