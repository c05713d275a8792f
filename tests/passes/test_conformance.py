"""What every pass must hold: it is found in the table, so a new one is tested by being added there."""

import dataclasses

import pytest
import torch

from prensa.errors import RecipeError
from prensa.ops.affine import Quantized
from prensa.passes import PASSES
from prensa.passes.base import is_targeted
from prensa.spec import TensorSpec

SPEC = TensorSpec("layer.weight", (12, 20), torch.float32, "f", "linear", "Linear", in_model=True)
each_pass = pytest.mark.parametrize("kind", PASSES.values(), ids=PASSES.keys())
each_dtype = pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64])


def same(left, right):
    if isinstance(left, Quantized):
        return torch.equal(left.values, right.values) and torch.equal(left.scale, right.scale)
    return left.dtype == right.dtype and torch.equal(left, right)


@each_pass
@each_dtype
def test_shape_is_kept_and_input_is_not_modified(kind, dtype):
    weight = torch.randn(12, 20).to(dtype)
    before = weight.clone()
    result = kind().apply(weight, SPEC)
    assert tuple(result.shape) == (12, 20)
    assert torch.equal(weight, before)


@each_pass
def test_the_same_input_gives_the_same_output(kind):
    weight = torch.randn(12, 20)
    assert same(kind().apply(weight, SPEC), kind().apply(weight, SPEC))


@each_pass
def test_rows_can_be_worked_on_apart_unless_the_pass_says_otherwise(kind):
    if kind.needs_whole:
        pytest.skip("needs the whole tensor")
    weight = torch.randn(12, 20)
    whole, part = kind().apply(weight, SPEC), kind().apply(weight[5:], SPEC)
    if isinstance(whole, Quantized):
        whole = dataclasses.replace(whole, values=whole.values[5:], scale=whole.scale[5:])
        assert same(whole, part)
    else:
        assert same(whole[5:], part)


@each_pass
def test_settings_are_frozen_and_bad_targets_refused(kind):
    with pytest.raises(dataclasses.FrozenInstanceError):
        kind().targets = ()
    for targets in [("liner",), ("",), (3,), "linear"]:
        with pytest.raises(RecipeError, match=f"pass {kind.name}"):
            kind(targets=targets)


@each_pass
def test_targets_are_roles_or_patterns_and_ignore_wins(kind):
    assert is_targeted(kind(targets=("linear",)), SPEC)
    assert is_targeted(kind(targets=("layer.*",)), SPEC)
    assert not is_targeted(kind(targets=("other.*",)), SPEC)
    assert not is_targeted(kind(targets=("linear",), ignore=("*.weight",)), SPEC)
