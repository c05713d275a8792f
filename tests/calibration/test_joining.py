"""What is made of the sums of a run, apart from any model."""

import pytest
import torch

from prensa.calibration.joining import is_finite, join
from prensa.calibration.watch import Sums
from prensa.ops.moment import Moment

NAN = float("nan")
WEIGHT = torch.ones(2, 3)


def moment(value=1.0):
    return Moment.of(torch.full((3, 3), value))


def joined(**sums):
    return join(Sums(**sums), WEIGHT, per_output=1.0, one_use=0.0)


@pytest.mark.parametrize(
    "sums",
    [
        {"inputs": moment(NAN), "input_count": 1, "gradients": torch.ones(2)},
        {"inputs": moment(), "input_count": 1, "gradients": torch.tensor([1.0, NAN])},
        {"looked_up": moment(NAN), "look_ups": 1, "uses": torch.ones(2)},
        {"own": moment(NAN), "rows": torch.ones(2)},
        {"own": moment(), "rows": torch.full((2,), NAN)},
    ],
    ids=["inputs", "gradients", "looked up", "own", "rows"],
)
def test_what_is_not_finite_is_not_lost(sums):
    assert not is_finite(joined(**sums))


def test_what_is_not_finite_in_one_use_of_several_is_not_lost():
    one = {"inputs": moment(), "input_count": 1, "gradients": torch.ones(2)}
    assert not is_finite(joined(**one, looked_up=moment(NAN), look_ups=1, uses=torch.ones(2)))


def test_a_use_that_was_given_nothing_is_none():
    assert joined(inputs=moment(0.0), input_count=0, gradients=torch.zeros(2)) is None
    assert joined(looked_up=moment(0.0), look_ups=0, uses=torch.zeros(2)) is None


@pytest.mark.parametrize("value", [0.0, 1.0, float("inf")])
def test_a_use_that_no_output_depends_on_counts_for_nothing(value):
    assert joined(inputs=moment(value), input_count=1, gradients=torch.zeros(2)) is None
    assert joined(inputs=moment(0.0), input_count=1, gradients=torch.ones(2)) is None
