"""Linear layers in 8-bit integers: the integers that are stored, and sums that are exact.

Every test but one multiplies exactly, whatever this machine's processor does: on x86 without VNNI sums of
products overflow, and Prensa refuses to multiply in 8 bits there.
"""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.conftest import add_tokenizer, build_model
from torch import nn

import prensa
from prensa.errors import DifferentAnswersError, SettingError
from prensa.ops.affine import dequantize, quantize
from prensa.runtime import int8, processor
from prensa.runtime.int8 import Int8Linear, multiply_in_int8, stored_integers
from prensa.serving.exported import TOLERANCES

CPU = torch.device("cpu")
KERNEL = torch._int_mm

pytestmark = pytest.mark.usefixtures("exact")


def always(*_):
    return True


def multiply_exactly(left, right):
    if right.dtype != torch.int8:
        raise RuntimeError("no such kernel")
    return (left.double() @ right.double()).to(torch.int32)


@pytest.fixture(scope="module")
def exact():
    """A processor whose 8-bit products are exact."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "_int_mm", multiply_exactly)
        patch.setattr(processor, "cpu_flags", lambda: ["avx512_vnni", "avx512_bf16"])
        yield


def test_the_kernel_of_this_machine_is_right_or_not_used(monkeypatch):
    layer = nn.Linear(64, 48)
    other = Int8Linear(quantize(layer.weight.detach()), layer.bias, CPU)
    hidden = torch.randn(33, 64)
    truth = other(hidden)
    monkeypatch.setattr(torch, "_int_mm", KERNEL)
    monkeypatch.setattr(int8, "_is_worth", always)
    if int8._is_exact(other):
        assert torch.equal(other(hidden), truth)
    assert int8._is_faster()(layer, other) == int8._is_exact(other)


@settings(max_examples=30, deadline=None)
@given(
    rows=st.integers(1, 40),
    inputs=st.integers(2, 70),
    outputs=st.integers(1, 50),
    dtype=st.sampled_from([torch.float32, torch.bfloat16]),
    seed=st.integers(0, 1000),
)
def test_what_is_lost_is_half_a_step_of_what_comes_in(rows, inputs, outputs, dtype, seed):
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(outputs, inputs, generator=generator)
    bias = torch.randn(outputs, generator=generator)
    hidden = torch.randn(rows, inputs, generator=generator).to(dtype)
    integers = quantize(weight)
    found = Int8Linear(integers, bias, CPU)(hidden)
    dense = dequantize(integers, torch.float64)
    truth = hidden.double() @ dense.t() + bias
    half_a_step = hidden.double().abs().amax(1, keepdim=True) / 127 / 2
    allowed = half_a_step * dense.abs().sum(1) + (1e-4 if dtype == torch.float32 else 0.01 * truth.abs())
    assert found.dtype == dtype
    assert bool(((found.double() - truth).abs() <= 1.01 * allowed + 1e-4).all())


def test_many_rows_are_multiplied_in_parts(monkeypatch):
    layer, hidden = Int8Linear(quantize(torch.randn(5, 8)), torch.randn(5), CPU), torch.randn(3, 7, 8)
    whole = layer(hidden)
    monkeypatch.setattr(int8, "_ROWS", 4)
    assert torch.equal(layer(hidden), whole)
    assert layer(hidden[:0]).shape == (0, 7, 5)


def test_rows_of_zeros_and_other_shapes():
    layer = Int8Linear(quantize(torch.randn(5, 8)), None, CPU)
    assert layer(torch.zeros(2, 3, 8)).shape == (2, 3, 5)
    assert not layer(torch.zeros(2, 3, 8)).any()


def test_what_a_pressed_file_holds_is_what_is_multiplied(original, tmp_path):
    prensa.compress(original, tmp_path / "pressed", preset="small")
    model = prensa.load(tmp_path / "pressed", dtype=torch.float32)
    integers = stored_integers(tmp_path / "pressed", model)
    linear = {f"{name}.weight" for name, each in model.named_modules() if type(each) is nn.Linear}
    assert integers
    assert integers.keys() <= linear
    for name, found in integers.items():
        assert torch.equal(dequantize(found), model.get_parameter(name).detach())
    assert stored_integers(original, prensa.load(original)) == {}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_model_answers_nearly_the_same(original, dtype):
    model = prensa.load(original, dtype=torch.float32).eval()
    ids = torch.randint(5, 100, (3, 12))
    with torch.inference_mode():
        before = model(ids).logits
        count = multiply_in_int8(model, {}, dtype, always)
        after = model(ids).logits
    assert count == sum(isinstance(each, Int8Linear) for each in model.modules()) > 4
    assert type(model.classifier) is nn.Linear
    assert (after - before).norm() < 0.1 * before.norm()


def test_layers_that_are_no_faster_stay(original):
    model = prensa.load(original, dtype=torch.float32).eval()
    wide = lambda layer, _: layer.out_features == 96  # noqa: E731
    assert multiply_in_int8(model, {}, torch.float32, wide) == 2
    with pytest.raises(SettingError, match="no linear layer of this model is faster"):
        multiply_in_int8(model, {}, torch.float32, lambda *_: False)


def test_a_shape_is_timed_once_and_one_without_a_kernel_stays(monkeypatch):
    layer = nn.Linear(8, 8)
    other = Int8Linear(quantize(layer.weight.detach()), None, CPU)
    timed = []
    monkeypatch.setattr(int8, "_is_quicker", lambda *pair: timed.append(pair) or True)
    is_faster = int8._is_faster()
    assert is_faster(layer, other)
    assert is_faster(nn.Linear(8, 8), other)
    assert len(timed) == 1
    monkeypatch.undo()
    other.weight = other.weight.float()
    assert not int8._is_faster()(layer, other)


def test_a_kernel_whose_sums_are_wrong_is_not_used(monkeypatch):
    layer = nn.Linear(8, 8)
    other = Int8Linear(quantize(layer.weight.detach()), None, CPU)
    assert int8._is_exact(other)
    right = torch._int_mm
    monkeypatch.setattr(torch, "_int_mm", lambda *both: right(*both).clamp(max=9000))
    assert not int8._is_exact(other)
    assert not int8._is_faster()(layer, other)


def test_a_processor_whose_products_overflow(original, monkeypatch):
    monkeypatch.setattr(processor, "cpu_flags", lambda: ["avx2"])
    with pytest.raises(SettingError, match="overflow on this processor"):
        prensa.load(original, runtime="torch", dtype="int8")


@pytest.mark.parametrize("pressed", [False, True])
def test_served_in_int8(original, tmp_path, monkeypatch, pressed):
    monkeypatch.setattr(int8, "_is_quicker", always)
    if pressed:
        prensa.compress(original, tmp_path / "pressed")
    served = prensa.load(tmp_path / "pressed" if pressed else original, runtime="torch", dtype="int8")
    assert served.record.precision == "int8"
    assert 0 < served.record.difference <= 0.25
    exact = prensa.load(original, runtime="torch", dtype="float32")
    for one, other in zip(served.predict(["a b", "c"]), exact.predict(["a b", "c"]), strict=True):
        assert np.allclose(one.output, other.output, atol=0.2)


def test_answers_too_far_away(original, monkeypatch):
    monkeypatch.setattr(int8, "_is_quicker", always)
    monkeypatch.setitem(TOLERANCES, "int8", 1e-9)
    with pytest.raises(DifferentAnswersError, match="gives different answers from float32"):
        prensa.load(original, runtime="torch", dtype="int8")


def test_an_unknown_dtype(tmp_path):
    model = add_tokenizer(build_model("bert", tmp_path / "model"))
    with pytest.raises(SettingError, match="`dtype=int3`: expected float32"):
        prensa.load(model, runtime="torch", dtype="int3")
