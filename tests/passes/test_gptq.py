import math

import pytest
import torch
from tests.ops.test_gptq import moment_of

from prensa.errors import RecipeError
from prensa.ops.affine import dequantize
from prensa.ops.moment import Moment
from prensa.ops.spec import TensorSpec
from prensa.ops.statistics import MatrixStatistics
from prensa.passes import Gptq
from prensa.passes.gptq import row_steps

SPEC = TensorSpec("w", (60, 40), torch.float32, "f", "linear", "Linear", in_model=True)


def known(importance=None, offset=None):
    return MatrixStatistics(
        Moment.of(moment_of(40)), torch.ones(60) if importance is None else importance, offset
    )


@pytest.mark.parametrize("key", ["noise", "dampening"])
@pytest.mark.parametrize("value", [-1.0, 0.0, 11.0, math.nan, "x", True])
def test_settings_out_of_range(key, value):
    with pytest.raises(RecipeError, match=f"{key} must be a number from"):
        Gptq(**{key: value})


def test_noise_is_what_the_outputs_change():
    """With importances all alike, the loss that the statistics foretell is the share of the noise asked for."""
    statistics = known(torch.full((60,), 3.0))
    weight = torch.randn(60, 40)
    found = Gptq(noise=8.0, dampening=1e-4).bind(statistics, weight.numel()).apply(weight, SPEC)
    difference = dequantize(found) - weight
    loss = 3 * ((difference @ statistics.moment.whole()) * difference).sum()
    assert float(loss) == pytest.approx(8.0, rel=0.15)


def test_rows_of_importance_get_small_steps():
    importance = torch.logspace(-3, 1, 60)
    step = row_steps(importance, 0.02)
    assert (step.diff() < 0).all()
    loss = (importance * step**2 / 12).mean()  # what is believed of importances only shares out the noise
    assert float(loss) == pytest.approx(0.02, rel=1e-4)


def test_rows_that_nothing_hangs_on_stay_finite():
    importance = torch.zeros(60)
    importance[0] = 1.0
    found = Gptq().bind(known(importance), 2400).apply(torch.randn(60, 40), SPEC)
    assert torch.isfinite(dequantize(found)).all()


def test_integers_are_not_cut_off():
    weight = torch.randn(60, 40)
    found = Gptq(noise=1e-7).bind(known(), 2400).apply(weight, SPEC)
    assert float((dequantize(found) - weight).abs().max()) < 0.06


def test_rows_can_be_worked_on_apart():
    weight = torch.randn(60, 40)
    bound = Gptq().bind(known(torch.rand(60) + 0.1, torch.randn(40)), 2400)
    whole = bound.apply(weight, SPEC)
    part = bound.apply(weight[20:33], SPEC, slice(20, 33))
    assert torch.equal(whole.values[20:33], part.values)
    assert torch.equal(whole.scale[20:33], part.scale)
    assert torch.equal(dequantize(whole)[20:33], dequantize(part))


def test_steps_take_few_bits():
    found = Gptq().bind(known(torch.rand(60) + 0.1), 2400).apply(torch.randn(60, 40), SPEC)
    mantissas = found.scale.view(torch.int32) & 0x1FFFFF
    assert not mantissas.any()


def test_a_common_row_is_taken_off():
    weight = torch.randn(60, 40) * 0.01 + torch.arange(40)
    bound = Gptq(noise=10.0).bind(known(offset=weight.mean(0)), 60)
    found = bound.apply(weight, SPEC)
    assert not found.values.any()  # only what they have in common is left
    assert torch.allclose(dequantize(found), weight.mean(0).expand(60, 40))


def test_what_was_pruned_stays_zero():
    weight = torch.randn(60, 40)
    weight[torch.rand(60, 40) < 0.5] = 0
    found = Gptq().bind(known(), 2400).apply(weight, SPEC)
    assert not found.values[weight == 0].any()


def test_outputs_along_the_columns():
    weight = torch.randn(40, 60)
    spec = TensorSpec("w", (40, 60), torch.float32, "f", "linear", "Conv1D", in_model=True)
    bound = Gptq(noise=1e-4).bind(known(), 2400)
    found = bound.apply(weight, spec)
    assert found.transposed
    assert torch.equal(dequantize(found), dequantize(bound.apply(weight.t(), SPEC)).t())


def test_a_bound_pass_says_what_its_settings_say():
    settings = Gptq(targets=("head",))
    bound = settings.bind(known(), 2400)
    assert (bound.settings, bound.name, bound.needs_whole) == (settings, "gptq", False)
    assert bound.declines(1e9, torch.float32) == ""


@pytest.mark.parametrize(("importance", "noise"), [([1e-44, 0.0, 0.0], 1e-3), ([1e-38, 1e-37], 10.0)])
def test_importances_too_small_for_steps_are_an_error(importance, noise):
    with pytest.raises(ValueError, match="expected importances that give finite steps, found "):
        row_steps(torch.tensor(importance), noise)


@pytest.mark.parametrize("weights", [0, -2400])
def test_a_noise_that_no_weights_share_is_an_error(weights):
    with pytest.raises(
        ValueError, match=f"expected calibrated weights that share the noise, found {weights}"
    ):
        Gptq().bind(known(), weights)
