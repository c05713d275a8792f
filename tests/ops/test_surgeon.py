"""What the surgeon says a cut costs is what least squares leaves, and the first to go is the cheapest."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from prensa.ops.surgeon import damped, removal_path


def made(seed, rows, units, size):
    generator = torch.Generator().manual_seed(seed)
    columns = units * size
    weight = torch.randn(rows, columns, generator=generator)
    inputs = torch.randn(4 * columns, columns, generator=generator)
    # Correlated, so that columns can make good for each other.
    inputs = inputs @ torch.randn(columns, columns, generator=generator)
    importance = torch.rand(rows, generator=generator) + 0.1
    moment = inputs.t() @ inputs / len(inputs)
    of_units = torch.arange(columns).reshape(units, size)
    return weight, moment, importance, of_units


def left_by_least_squares(weight, moment, importance, columns, kept):
    """What remains of the loss when the kept columns are fitted freely."""
    exact = damped(moment)
    stays = columns[kept].reshape(-1)
    weight = weight.double()
    fitted = torch.zeros_like(weight)
    inner = exact[stays][:, stays]
    fitted[:, stays] = torch.linalg.solve(inner, exact[stays] @ weight.t()).t()
    change = weight - fitted
    return float((importance.double() * ((change @ exact) * change).sum(dim=1)).sum())


@given(st.integers(0, 1000), st.integers(1, 5), st.integers(2, 6), st.integers(1, 3), st.integers(1, 3))
def test_costs_are_what_least_squares_leaves(seed, rows, units, size, step):
    weight, moment, importance, columns = made(seed, rows, units, size)
    path = removal_path(weight, moment, importance, columns, step)
    assert sorted(path.order.tolist()) == list(range(units))
    assert path.gone[0] == 0
    assert path.gone[-1] == units
    for gone, cost in zip(path.gone, path.costs, strict=True):
        kept = path.kept(units - gone)
        expected = left_by_least_squares(weight, moment, importance, columns, kept)
        assert cost == pytest.approx(expected, rel=1e-4, abs=1e-6)


@given(st.integers(0, 1000))
def test_the_cheapest_goes_first(seed):
    weight, moment, importance, columns = made(seed, 3, 5, 2)
    path = removal_path(weight, moment, importance, columns, 1)
    prices = []
    for unit in range(5):
        kept = torch.tensor([other for other in range(5) if other != unit])
        prices.append(left_by_least_squares(weight, moment, importance, columns, kept))
    assert int(path.order[0]) == prices.index(min(prices))


def test_a_unit_that_repeats_another_costs_almost_nothing():
    weight, moment, importance, columns = made(0, 4, 4, 1)
    twin = torch.tensor([0, 1, 2, 2])
    path = removal_path(weight, moment[twin][:, twin], importance, columns, 1)
    assert int(path.order[0]) in {2, 3}
    # What dampening adds is all that is left.
    assert path.costs[1] < 0.1 * path.costs[2]


@pytest.mark.parametrize("moment", [torch.zeros(3, 3), torch.full((3, 3), float("nan"))])
def test_a_moment_that_says_nothing_is_refused(moment):
    with pytest.raises(ValueError, match="second moment"):
        removal_path(torch.ones(2, 3), moment, torch.ones(2), torch.arange(3)[:, None], 1)
