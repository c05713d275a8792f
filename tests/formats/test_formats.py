"""What every format must hold, and what each writes."""

import dataclasses

import pytest
import torch

from prensa.codecs import CODECS
from prensa.formats import FORMATS
from prensa.ops.affine import quantize
from prensa.ops.spec import TensorSpec
from prensa.passes import Gptq, Half, Quantize

CASES = [
    (torch.randn(64, 100), "linear", "Linear"),
    (torch.randn(500, 48).to(torch.float16), "embedding", "Embedding"),
    (torch.randn(48), "norm", "LayerNorm"),
    (torch.arange(4000), "other", ""),
    (torch.tensor(3.0), "other", ""),
    (torch.empty(0, 4), "other", ""),
]
each_format = pytest.mark.parametrize("form", FORMATS.values(), ids=FORMATS.keys())


def spec_of(tensor, role, layer):
    return TensorSpec("m.weight", tuple(tensor.shape), tensor.dtype, "f", role, layer, in_model=True)


@each_format
@pytest.mark.parametrize("case", CASES, ids=lambda case: case[1] + str(tuple(case[0].shape)))
@pytest.mark.parametrize("quantized", [False, True])
def test_what_is_stored_stays_within_its_extent(form, case, quantized):
    tensor, role, layer = case
    spec = spec_of(*case)
    if quantized and (tensor.dim() != 2 or not tensor.numel() or form.refuses(spec)):
        pytest.skip("cannot be quantized here")
    value = quantize(tensor) if quantized else tensor
    extent = form.extent(spec, tensor.dtype, quantized=quantized)
    stored = form.store(spec, value, list(CODECS))
    assert set(stored.tensors) <= set(extent.names)
    assert stored.nbytes <= extent.nbytes


def test_plain_stores_the_tensor_itself():
    tensor = torch.randn(3, 4)
    stored = FORMATS["plain"].store(spec_of(tensor, "linear", "Linear"), tensor, [])
    assert stored.tensors["m.weight"] is tensor
    assert FORMATS["plain"].refuses(spec_of(tensor, "linear", "Linear"))


def packed(tensor):
    return FORMATS["packed"].store(spec_of(tensor, "linear", "Linear"), tensor, list(CODECS))


def test_packed_leaves_alone_what_loading_could_not_swap():
    spec = dataclasses.replace(spec_of(torch.zeros(100, 100), "other", ""), in_model=False)
    assert FORMATS["packed"].store(spec, torch.zeros(100, 100), list(CODECS)).codec == "dense"
    assert FORMATS["packed"].refuses(spec)


def test_packed_leaves_an_empty_tensor_under_the_own_name():
    stored = packed(torch.zeros(100, 100))
    assert stored.tensors["m.weight"].shape == (100, 0)
    assert stored.tensors["m.weight_packed"].dtype == torch.uint8
    assert stored.codec == "sparse"


def test_packed_leaves_alone_what_it_cannot_shrink():
    noise = torch.randint(0, 256, (100, 100), dtype=torch.uint8).view(torch.float16)
    assert packed(noise).codec == "dense"
    assert packed(torch.zeros(10, 2)).codec == "dense"
    assert packed(torch.zeros(9999)).codec == "dense"


def test_bitsandbytes_takes_linear_layers_only():
    weight = torch.randn(6, 8).to(torch.float16)
    form = FORMATS["bitsandbytes"]
    assert form.refuses(spec_of(weight, "embedding", "Embedding"))
    stored = form.store(spec_of(weight, "linear", "Linear"), quantize(weight), [])
    assert {name: tensor.dtype for name, tensor in stored.tensors.items()} == {
        "m.weight": torch.int8,
        "m.SCB": torch.float32,
        "m.weight_format": torch.uint8,
    }
    assert torch.equal(stored.tensors["m.SCB"], weight.abs().amax(dim=1).float())


def test_packed_leaves_room_for_a_tensor_that_cannot_be_halved():
    tensor = torch.zeros(32, 40)  # 5,120 bytes in float32, 2,560 in float16
    spec = spec_of(tensor, "linear", "Linear")
    extent = FORMATS["packed"].extent(spec, torch.float16, quantized=False)
    assert set(packed(tensor).tensors) <= set(extent.names)


def test_formats_say_which_recipes_they_refuse():
    integers, noisy, dense = (Quantize(),), (Gptq(noise=0.1),), (Half(),)
    assert "stores dense tensors" in FORMATS["plain"].refuses_recipe(integers, state_dict=False)
    assert not FORMATS["plain"].refuses_recipe(dense, state_dict=True)
    assert "noise would save nothing" in FORMATS["bitsandbytes"].refuses_recipe(noisy, state_dict=False)
    assert not FORMATS["bitsandbytes"].refuses_recipe((Gptq(noise=1e-7),), state_dict=True)
    assert "state dict" in FORMATS["packed"].refuses_recipe(dense, state_dict=True)
    assert not FORMATS["packed"].refuses_recipe(noisy, state_dict=False)


def test_only_packed_files_are_sized_by_noise_and_need_an_import():
    assert [name for name, form in FORMATS.items() if form.is_sized_by_noise] == ["packed"]
    assert [name for name, form in FORMATS.items() if form.imports] == ["packed"]
    assert [name for name, form in FORMATS.items() if form.needs_class] == ["bitsandbytes"]
