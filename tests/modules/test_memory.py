"""Tensors that share memory: one if they share all of it, refused if a part, and apart if none."""

import pytest
import torch
from torch import nn

import prensa
from prensa.errors import ModelError
from prensa.modules.memory import tied


class Tied(nn.Module):
    """A table and an output layer: two parameters, which share their memory if ``shares``."""

    def __init__(self, *, shares=True):
        super().__init__()
        self.words = nn.Embedding(60, 16)
        self.layer = nn.Linear(16, 16)
        self.out = nn.Linear(16, 60, bias=False)
        if shares:
            self.out.weight.data = self.words.weight.data

    def forward(self, ids):
        return self.out(torch.tanh(self.layer(self.words(ids))))


class TiedByObject(Tied):
    """The same, as it is usually done."""

    def __init__(self):
        super().__init__(shares=False)
        self.out.weight = self.words.weight


IDS = [torch.randint(0, 60, (8, 6), generator=torch.Generator().manual_seed(n)) for n in range(4)]
CALIBRATED = {"texts": IDS, "run": lambda module, batch: module(batch), "noise": 0.01}


def made(kind, **settings):
    torch.manual_seed(0)
    return kind(**settings).eval()


@pytest.mark.parametrize("settings", [{"preset": "int8"}, CALIBRATED], ids=["int8", "calibrated"])
def test_what_shares_memory_is_stored_once_and_loaded_as_it_was_stored(settings, tmp_path):
    small = prensa.compress_module(made(Tied), **settings)
    assert small.out.weight is small.words.weight
    prensa.save(small, tmp_path / "out")
    fresh = prensa.load_into(Tied(), tmp_path / "out")
    assert fresh.out.weight.data_ptr() == fresh.words.weight.data_ptr()
    by_object = prensa.compress_module(made(TiedByObject), **settings)
    for name, value in by_object.state_dict().items():
        assert small.state_dict()[name].equal(value), name
        assert fresh.state_dict()[name].equal(value), name


def test_other_values_for_each_are_refused(tmp_path):
    prensa.save(prensa.compress_module(made(Tied, shares=False), preset="int8"), tmp_path / "out")
    fresh = Tied()
    before = fresh.words.weight.detach().clone()
    with pytest.raises(
        ModelError, match=r"out\.weight and words\.weight are tied in this Tied, and have diff"
    ):
        prensa.load_into(fresh, tmp_path / "out")
    assert fresh.words.weight.equal(before)


@pytest.mark.parametrize(
    "part",
    [
        lambda values: values[1:],
        lambda values: values.t(),
        lambda values: values[:, ::2],
        lambda values: values[0],
    ],
    ids=["rows", "transposed", "columns", "one row"],
)
def test_what_shares_a_part_of_its_memory_is_refused(part, tmp_path):
    module = made(Tied, shares=False)
    prensa.save(prensa.compress_module(made(Tied), preset="int8"), tmp_path / "out")
    module.out.weight.data = part(module.words.weight.data)
    for call in (
        lambda: prensa.compress_module(module, preset="int8"),
        lambda: prensa.load_into(module, tmp_path / "out"),
    ):
        with pytest.raises(ModelError) as caught:
            call()
        assert str(caught.value).startswith(
            "Tied: words.weight and out.weight share a part of their memory, expected tensors that are one or"
        )


def names_of(*tensors):
    return tied("Kind", dict(zip("abcdefgh", tensors, strict=False)))


def test_what_lies_in_one_storage_apart_is_apart():
    whole = torch.randn(4, 6)
    assert names_of(*whole) == [("a",), ("b",), ("c",), ("d",)]
    assert names_of(*whole.chunk(3, dim=1)) == [("a",), ("b",), ("c",)]
    assert names_of(whole[:, ::2], whole[:, 1::2]) == [("a",), ("b",)]
    assert names_of(torch.empty(0), torch.empty(0)) == [("a",), ("b",)]
    assert names_of(torch.ones(3), torch.ones(3)) == [("a",), ("b",)]


def test_what_has_the_same_elements_is_one():
    whole = torch.randn(1, 6)
    assert names_of(whole, torch.ones(2), whole.detach(), whole.t().t()) == [("a", "c", "d"), ("b",)]
    several = torch.arange(3).expand(2, 3)
    assert names_of(several, several.detach()) == [("a", "b")]
    with pytest.raises(ModelError, match="a and b share a part"):
        names_of(several, several[0])
    with pytest.raises(ModelError, match="a and b share a part"):
        names_of(whole, whole.view(torch.int32))


def test_tensors_that_hide_their_memory_are_known_by_their_objects():
    sparse = torch.eye(3).to_sparse()
    assert names_of(sparse, sparse, torch.eye(3).to_sparse()) == [("a", "b"), ("c",)]
