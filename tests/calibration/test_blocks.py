"""Blocks that run once more on the way back give what is kept otherwise, with less kept."""

import contextlib
import dataclasses

import pytest
import torch
from tests.calibration.test_collect import ARCHITECTURES, planned
from tests.conftest import add_tokenizer
from torch import nn

from prensa.calibration.blocks import blocks_of, by_blocks, move_all_but_blocks
from prensa.calibration.collect import collect


class Pair(nn.Module):
    """Takes and gives several things, some of them not tensors, and changes what it was given in place."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 4)
        self.calls = 0

    def forward(self, hidden, mask=None, *, more=(), flag=True):
        self.calls += 1
        hidden = self.linear(hidden * mask) + more[0]
        hidden += 1
        return {"hidden": hidden.tanh(), "flag": flag, "same": more[0], "whole": mask.long()}


class Stack(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(4, 4)
        self.layers = nn.ModuleList(Pair() for _ in range(3))

    def forward(self, hidden):
        hidden, more = self.first(hidden), self.first(hidden)
        for layer in self.layers:
            out = layer(hidden, mask=torch.ones(4), more=(more,))
            hidden, more = out["hidden"], out["same"]
            assert out["flag"] is True
            assert out["whole"].dtype == torch.int64
        return hidden + more


def gradients_of(model, inputs):
    model.zero_grad()
    model(inputs).square().sum().backward()
    return [parameter.grad.clone() for parameter in model.parameters()]


@pytest.mark.parametrize("device", [None, "cpu"])
def test_gradients_are_those_of_the_model_as_it_is(device):
    torch.manual_seed(0)
    model, inputs = Stack(), torch.randn(2, 4)
    plain = gradients_of(model, inputs)
    calls = model.layers[0].calls
    with by_blocks(model, device):
        found = gradients_of(model, inputs)
    assert model.layers[0].calls == calls + 2
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(plain, found, strict=True))
    assert "forward" not in vars(model.layers[0])
    gradients_of(model, inputs)
    assert model.layers[0].calls == calls + 3


def test_without_gradients_a_block_runs_once():
    model = Stack()
    with by_blocks(model), torch.no_grad():
        model(torch.randn(2, 4))
    assert model.layers[0].calls == 1


def test_little_is_kept_for_the_way_back():
    torch.manual_seed(0)
    model, inputs = Stack(), torch.randn(2, 4)
    kept = []
    for context in (contextlib.nullcontext(), by_blocks(model)):
        seen = []
        with (
            context,
            torch.autograd.graph.saved_tensors_hooks(lambda x, seen=seen: seen.append(x) or x, lambda x: x),
        ):
            model(inputs)
        kept.append(len({tensor.data_ptr() for tensor in seen}))
    assert kept[1] < kept[0]


def test_weights_of_a_block_visit_the_device_and_are_home_again():
    """Here a dtype stands for the device: both are where tensors can be brought ``to``."""
    model = Stack()
    before = {name: (id(each), each.data_ptr()) for name, each in model.named_parameters()}
    move_all_but_blocks(model, torch.float64)
    assert model.first.weight.dtype == torch.float64
    assert model.layers[0].linear.weight.dtype == torch.float32
    with by_blocks(model, torch.float64):
        out = model(torch.randn(2, 4, dtype=torch.float64, requires_grad=True))
        out.sum().backward()
    assert out.dtype == model.layers[0].linear.weight.grad.dtype == torch.float64
    assert model.layers[0].linear.weight.dtype == torch.float32
    after = {name: (id(each), each.data_ptr()) for name, each in model.named_parameters() if "layers" in name}
    assert after.items() <= before.items()


def test_the_outermost_lists_are_the_blocks():
    inner = nn.Sequential(nn.ModuleList([nn.Linear(1, 1)]))
    model = nn.Sequential(nn.Sequential(nn.ModuleList([inner, inner]), nn.Linear(1, 1)), nn.ModuleList())
    assert blocks_of(model) == [inner, inner]


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_statistics_are_those_of_the_model_as_it_is(name, tmp_path, monkeypatch):
    torch.manual_seed(0)
    ARCHITECTURES[name]().eval().save_pretrained(tmp_path / "model")
    plan = planned(add_tokenizer(tmp_path / "model"), 24)
    found = collect(dataclasses.replace(plan, by_blocks=True)).matrices
    monkeypatch.setattr("prensa.calibration.collect.by_blocks", lambda *_: contextlib.nullcontext())
    plain = collect(plan).matrices
    assert found.keys() == plain.keys()
    for matrix, known in plain.items():
        exact = known.moment.whole()
        assert torch.allclose(
            found[matrix].moment.whole(), exact, rtol=1e-3, atol=1e-5 * exact.diagonal().max()
        ), matrix
        assert torch.allclose(
            found[matrix].importance, known.importance, rtol=1e-3, atol=1e-5 * known.importance.max()
        ), matrix
