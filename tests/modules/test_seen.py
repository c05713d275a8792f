"""What batches show of a module, and what is made of counts and answers."""

import pytest
import torch
from torch import nn

import prensa
from prensa.errors import ModelError
from prensa.modules.answers import Answers, outputs_of
from prensa.modules.seen import _expected

NONE = torch.empty(0)


@pytest.mark.parametrize(
    ("uses", "expected"),
    [
        ([0, 6, 6, 3, 0, 0], [5, 6, 6, 3, 5, 5]),  # positions: neighbours
        ([4, 1, 2, 1], [4, 1, 2, 1]),
        ([0, 0, 0], [1, 1, 1]),
    ],
)
def test_rows_that_no_batch_has(uses, expected):
    assert _expected(torch.tensor(uses, dtype=torch.float32)).tolist() == expected


def test_tokens_that_no_batch_has_come_as_those_that_came_once():
    uses = torch.zeros(100)
    uses[[3, 17, 40, 88]] = torch.tensor([1.0, 9.0, 1.0, 5.0])
    expected = _expected(uses)
    assert expected[uses > 0].equal(uses[uses > 0])
    assert expected[0] == 4 * (2 + 1) / 96
    assert len(expected[uses == 0].unique()) == 1


def numbers(*shape):
    return torch.arange(1.0, 1 + torch.Size(shape).numel()).reshape(shape).requires_grad_()


def test_numbers_with_gradients_count_however_deep_they_lie():
    answer = {
        "logits": numbers(2, 3),
        "more": [(numbers(4), torch.ones(2, 2)), "text", None],
        "ids": torch.arange(3),
    }
    found = outputs_of(answer, NONE)
    assert [rows.shape for rows in found] == [(2, 3), (4, 1)]
    assert outputs_of(torch.ones(3), NONE) == []
    assert outputs_of(None, NONE) == []


def test_those_of_tokens_count_without_padding():
    mask = torch.tensor([[True, True], [True, False]])
    (found,) = outputs_of(numbers(2, 2, 3), mask)
    assert found[:, 0].tolist() == [1, 4, 7]
    (found,) = outputs_of(numbers(2, 2), mask)
    assert found.flatten().tolist() == [1, 2, 3]
    (found,) = outputs_of(numbers(3, 2), mask)
    assert len(found) == 3


def test_masked_scores_are_none_and_infinite_ones_an_error():
    scores = torch.tensor([[1.0, -1e4, float("-inf"), -9000.0]], requires_grad=True)
    (found,) = outputs_of(scores, NONE)
    assert found.tolist() == [[1, 0, 0, -9000]]
    with pytest.raises(ModelError, match="NaN or infinite"):
        outputs_of(torch.tensor([[float("inf")]], requires_grad=True), NONE)


def test_variance_is_around_the_mean_of_each_entry():
    answers = Answers()
    answers.add([torch.tensor([[1.0, 10.0], [3.0, 10.0]])])
    answers.add([torch.tensor([[5.0, 10.0]]), torch.tensor([[2.0]])])
    # Of a single number the mean square counts.
    assert answers.variance == pytest.approx((4 + 0 + 4) + 4)
    answers.add([torch.tensor([[7.0]])])
    assert answers.variance == pytest.approx(8 + 4 + 49)


def test_gradients_that_are_no_numbers_are_refused():
    """Those of a root behind ``where``: the numbers that are returned are finite, and their gradients are not."""
    module = nn.Sequential(nn.Linear(16, 16))
    batches = [torch.randn(8, 16) for _ in range(4)]

    def run(module, batch):
        scores = module(batch)
        return torch.where(scores > 0, scores.sqrt(), 0.0)

    with pytest.raises(ModelError, match=r"what 0\.weight sees has no finite second moment"):
        prensa.compress_module(module, texts=batches, run=run)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e30])
def test_inputs_that_are_no_numbers_are_refused_without_gradients(value):
    module = nn.Sequential(nn.Linear(16, 16))
    batches = [torch.full((8, 16), value)]
    with pytest.raises(ModelError, match=r"what 0\.weight sees has no finite second moment"):
        prensa.compress_module(module, texts=batches, run=torch.no_grad()(lambda each, batch: each(batch)))
