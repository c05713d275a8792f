"""What is put aside comes back as it was: numbers, strides, and whatever else was in the list."""

import pytest
import torch

from prensa.calibration.spill import Spill, SpilledStatistics
from prensa.ops.moment import Moment
from prensa.ops.statistics import MatrixStatistics

TENSORS = {
    "plain": torch.arange(6.0).reshape(2, 3),
    "transposed": torch.arange(6.0).reshape(2, 3).t(),
    "a part of another": torch.arange(24.0).reshape(4, 6)[1:3, 2:5],
    "expanded": torch.arange(3.0).expand(4, 3),
    "bfloat16": torch.arange(6.0).to(torch.bfloat16),
    "bool": torch.tensor([True, False, True]),
    "int64": torch.arange(5),
    "one number": torch.tensor(3.0),
    "empty": torch.zeros(0, 4),
}


@pytest.fixture(params=[0, 1 << 20], ids=["in files", "in memory"])
def spill(request, tmp_path):
    return Spill(tmp_path, request.param)


@pytest.mark.parametrize("name", TENSORS)
def test_numbers_and_strides_are_kept(spill, name):
    tensor = TENSORS[name]
    spill.put((0, 0), ["text", tensor, None])
    text, found, none = spill.get((0, 0))
    assert (text, none) == ("text", None)
    assert found.dtype == tensor.dtype
    assert found.stride() == tensor.stride()
    assert torch.equal(found, tensor)


def test_a_change_in_place_changes_nothing_that_is_kept(spill):
    tensor = torch.ones(3)
    spill.put((0,), [tensor])
    tensor += 1
    spill.get((0,))[0].add_(1)
    assert torch.equal(spill.get((0,))[0], torch.ones(3))


def test_tensors_under_one_key_add_up(spill):
    spill.add((1, 2), torch.ones(2))
    spill.add((1, 2), torch.full((2,), 2.0))
    spill.add((2, 2), torch.zeros(2))
    assert spill.keys_of(1) == [(1, 2)]
    (found,) = spill.take((1, 2))
    assert torch.equal(found, torch.full((2,), 3.0))
    assert spill.take((1, 2)) == []


def test_files_come_with_the_bound_and_go_with_their_keys(tmp_path):
    spill = Spill(tmp_path, 100)
    spill.put((0,), [torch.zeros(20)])
    assert not list(tmp_path.iterdir())
    spill.put((1,), [torch.zeros(20)])
    assert len(list(tmp_path.iterdir())) == 1
    spill.drop((1,))
    assert not list(tmp_path.iterdir())
    # What was dropped makes room in memory.
    spill.drop((0,))
    spill.put((2,), [torch.zeros(20)])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("size", [1, 255, 300, 513])
def test_statistics_are_read_from_files_as_they_were(size, tmp_path):
    vectors = torch.randn(7, size)
    moment = Moment.zeros(size)
    moment.add(vectors)
    statistics = SpilledStatistics(tmp_path)
    statistics.add(["a", "b"], MatrixStatistics(moment, torch.ones(3), torch.zeros(size)))
    assert list(statistics) == ["a", "b"]
    assert "c" not in statistics
    found = statistics["b"]
    assert torch.equal(found.moment.whole(), moment.whole())
    assert torch.equal(found.importance, torch.ones(3))
    assert torch.equal(found.offset, torch.zeros(size))
