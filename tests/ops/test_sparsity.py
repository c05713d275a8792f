import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from torch.nn.utils import prune as torch_prune

from prensa.ops.sparsity import count_zeros, prune_smallest, zero_below

DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
vectors = hnp.arrays(np.float32, st.integers(1, 400), elements=st.floats(-100, 100, width=16))


@given(vectors, st.floats(0, 0.9), st.sampled_from(DTYPES))
@settings(max_examples=150, deadline=None)
def test_prune_zeroes_exactly_the_smallest(array, amount, dtype):
    weight = torch.from_numpy(array).to(dtype)
    pruned = prune_smallest(weight, amount)
    count = round(amount * weight.numel())
    assert count_zeros(pruned) == max(count, count_zeros(weight))
    kept = pruned != 0
    assert torch.equal(pruned[kept], weight[kept])
    if kept.any() and (~kept).any():
        assert weight[~kept].abs().max() <= weight[kept].abs().min()


@pytest.mark.parametrize("dtype", DTYPES)
def test_prune_agrees_with_pytorch_on_a_large_matrix(dtype):
    weight = torch.randn(512, 300, dtype=torch.float64).to(dtype)
    pruned = prune_smallest(weight, 0.3)
    parameter = torch.nn.Module()
    parameter.weight = torch.nn.Parameter(weight.float().clone())
    torch_prune.l1_unstructured(parameter, "weight", amount=0.3)
    assert count_zeros(pruned) == int((parameter.weight == 0).sum())
    magnitudes = [each.float().abs().flatten().sort().values for each in (pruned, parameter.weight.detach())]
    assert torch.equal(*magnitudes)


def test_equal_magnitudes_go_in_memory_order():
    pruned = prune_smallest(torch.tensor([1.0, -1.0, 1.0, 1.0, 2.0]), 0.4)
    assert pruned.tolist() == [0, 0, 1, 1, 2]


def test_a_skewed_tensor_defeats_the_sampled_window_and_is_still_exact():
    weight = torch.cat([torch.full((50_000,), 5.0), torch.linspace(0, 1, 50_001)])
    assert count_zeros(prune_smallest(weight, 0.5)) == round(0.5 * weight.numel())


def test_prune_does_not_touch_its_input():
    weight = torch.randn(100)
    before = weight.clone()
    prune_smallest(weight, 0.5)
    zero_below(weight, 0.5)
    assert torch.equal(weight, before)


@given(vectors, st.floats(0, 1), st.sampled_from(DTYPES))
@settings(max_examples=150, deadline=None)
def test_zero_below_is_what_it_says(array, threshold, dtype):
    weight = torch.from_numpy(array).to(dtype)
    result = zero_below(weight, threshold)
    expected = torch.where(weight.double().abs() < threshold, 0.0, weight.double()).to(dtype)
    assert torch.equal(result, expected)


def test_count_zeros_counts_both_signs():
    assert count_zeros(torch.tensor([0.0, -0.0, 1.0, -1.0])) == 2
    assert count_zeros(torch.tensor([0, 3, 0], dtype=torch.int64)) == 2
    assert count_zeros(torch.zeros(2, 3).t()) == 6
    assert count_zeros(torch.tensor(0.0)) == 1
