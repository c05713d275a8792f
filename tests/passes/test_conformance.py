"""What every pass must hold: it is found in the table, so a new one is tested by being added there."""

import dataclasses

import pytest
import torch

from prensa.errors import RecipeError
from prensa.ops.affine import Quantized
from prensa.ops.spec import TensorSpec
from prensa.passes import PASSES

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
    assert kind(targets=("linear",)).is_targeted(SPEC)
    assert kind(targets=("layer.*",)).is_targeted(SPEC)
    assert not kind(targets=("other.*",)).is_targeted(SPEC)
    assert not kind(targets=("linear",), ignore=("*.weight",)).is_targeted(SPEC)


@each_pass
def test_what_a_pass_says_of_itself_is_true(kind):
    step = kind()
    result = step.apply(torch.randn(12, 20), SPEC)
    assert isinstance(result, Quantized) == kind.makes_integers
    if not kind.makes_integers:
        assert result.dtype == step.dtype_after(torch.float32)
    assert bool(kind.prunes_by) == (step.amount is not None)


@each_pass
def test_noise_is_scaled_in_proportion(kind):
    step = kind()
    changed = step.with_noise(0.3, relative_to=0.1)
    if step.noise is None:
        assert changed is step
    else:
        assert changed == step.with_settings(noise=0.3 * (step.noise / 0.1))


@each_pass
def test_changed_settings_are_checked(kind):
    assert kind().with_settings(ignore=("a.*",)) == kind(ignore=("a.*",))
    with pytest.raises(RecipeError, match=f"pass {kind.name}"):
        kind().with_settings(targets="linear")


@each_pass
def test_a_pass_that_needs_no_statistics_stays_as_it_is(kind):
    if kind.needs_statistics:
        pytest.skip("needs statistics")
    step = kind()
    assert step.bind(None, 1) is step
