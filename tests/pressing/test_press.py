import pytest
import torch

from prensa.errors import ModelError
from prensa.ops.affine import dequantize
from prensa.ops.spec import TensorSpec
from prensa.passes import Bound, Gptq, Half, Prune, Quantize, Threshold
from prensa.pressing.press import press


def pressed(weight, *steps, role="linear", layer="Linear"):
    spec = TensorSpec("w", tuple(weight.shape), weight.dtype, "f", role, layer, in_model=True)
    return press(lambda rows: weight[rows] if weight.dim() else weight, spec, steps)


def relative(before, after):
    return float((before.double() - after.double()).square().sum() / before.double().square().sum())


@pytest.mark.parametrize("shape", [(30, 40), (5000, 300)], ids=["one piece", "many pieces"])
@pytest.mark.parametrize("prune", [True, False])
def test_pieces_together_are_the_whole(shape, prune):
    weight = torch.randn(shape)
    steps = [Half(), *([Prune()] if prune else []), Threshold(threshold=0.05), Quantize()]
    result = pressed(weight, *steps)
    value, values = weight, []
    for step in steps:
        value = step.apply(value, TensorSpec("w", shape, weight.dtype, "f"))
        values.append(value)
    assert torch.equal(result.value.values, value.values)
    assert torch.equal(result.value.scale, value.scale)
    dense = [weight, *values[:-1], dequantize(values[-1], torch.float32)]
    assert result.zeros == int((result.value.values == 0).sum())
    assert result.relative_squared_error == pytest.approx(relative(weight, dense[-1]), rel=1e-3)
    for report, before, after in zip(result.reports, dense, dense[1:], strict=False):
        error = float((before.double() - after.double()).square().sum() / weight.double().square().sum())
        assert report.relative_squared_error == pytest.approx(error, rel=1e-3)
    zeros = [int((each == 0).sum()) for each in [*dense[:-1], result.value.values]]
    assert [report.zeros_added for report in result.reports] == [
        after - before for before, after in zip(zeros, zeros[1:], strict=False)
    ]


@pytest.mark.parametrize("shape", [(4, 5), (3000, 400)])
@pytest.mark.parametrize("steps", [(Threshold(threshold=0.1), Prune()), (Prune(), Threshold(threshold=0.5))])
def test_float32_is_not_disturbed_by_what_is_measured(shape, steps):
    weight = torch.randn(shape)
    before = weight.clone()
    result = pressed(weight, *steps)
    expected = weight
    for step in steps:
        expected = step.apply(expected, TensorSpec("w", shape, weight.dtype, "f"))
    assert torch.equal(result.value, expected)
    assert torch.equal(weight, before)
    assert result.relative_squared_error == pytest.approx(relative(weight, expected), rel=1e-3)


@pytest.mark.parametrize("shape", [(4, 5), (3000, 400)])
def test_what_overflows_stays_and_later_passes_still_work(shape):
    weight = torch.randn(shape)
    weight[-1, -1] = 1e6
    result = pressed(weight, Half(), Threshold(threshold=0.1))
    assert result.value.dtype == torch.float32
    assert torch.equal(result.value, weight.masked_fill(weight.abs() < 0.1, 0))
    assert result.reports[0].note == "overflows float16, kept in float32"
    assert (result.reports[0].zeros_added, result.reports[0].relative_squared_error) == (0, 0)
    assert result.reports[1].zeros_added == int((weight.abs() < 0.1).sum())


@pytest.mark.parametrize(("value", "word"), [(float("nan"), "NaN"), (float("inf"), "infinite")])
def test_what_is_not_finite_is_named(value, word):
    weight = torch.randn(3000, 400)
    weight[1234, 56] = value
    with pytest.raises(ModelError, match=f"tensor w holds {word}"):
        pressed(weight, Half())


@pytest.mark.parametrize("shape", [(4, 5), (3000, 400)])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_passes_make_not_finite_is_named(shape, value):
    def spoil(rows, spec, at):
        return rows.index_fill(1, torch.tensor([3]), value)

    with pytest.raises(
        ModelError, match=r"f: tensor w has NaN or infinite values after its passes \(half, gptq"
    ):
        pressed(torch.randn(shape), Half(), Bound(Gptq(), spoil))


def test_weights_beyond_float32_are_named():
    with pytest.raises(ModelError, match="tensor w has NaN or infinite values after its passes"):
        pressed(torch.full((4, 4), 1e300, dtype=torch.float64), Quantize())


def test_huge_weights_still_have_an_error():
    result = pressed(torch.full((4, 4), 1e25), Half(dtype="bfloat16"), Prune(amount=0.5))
    assert 0.4 < result.relative_squared_error < 0.6


def test_transposed_layers_are_quantized_by_output():
    weight = torch.randn(20, 30)
    result = pressed(weight, Quantize(), layer="Conv1D")
    assert result.value.values.shape == (30, 20)
    assert result.relative_squared_error == pytest.approx(
        relative(weight, dequantize(result.value)), rel=1e-4
    )


@pytest.mark.parametrize("weight", [torch.arange(5), torch.tensor(True), torch.empty(0, 3)], ids=str)
def test_integers_and_nothing_pass_through(weight):
    result = pressed(weight, Half())
    assert result.value.dtype == weight.dtype
    assert result.reports == ()


def test_a_scalar_and_zeros():
    assert pressed(torch.tensor(1.5), Half()).value.item() == 1.5
    zeros = pressed(torch.zeros(4, 4), Half(), Quantize())
    assert zeros.relative_squared_error == 0
    assert zeros.zeros == 16


@pytest.mark.parametrize(("settings", "blocks"), [(Gptq(), 2), (Quantize(), 16)])
def test_what_goes_by_columns_is_given_larger_blocks(settings, blocks):
    given = []

    def work(rows, spec, at):
        given.append(len(rows))
        return settings.apply(rows, spec, at)

    pressed(torch.ones(2**14, 2**9), Bound(settings, work))
    assert given == [2**14 // blocks] * blocks
