import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from prensa.ops.gptq import feedback, round_with_feedback


def moment_of(columns, seed=0, texts=400):
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(columns, columns, generator=generator) / columns**0.5
    inputs = torch.randn(texts, columns, generator=generator) @ (mixing + 0.3 * torch.eye(columns))
    return inputs.t() @ inputs / texts


def loss(rows, values, step, moment):
    difference = rows - values.float() * step[:, None]
    return float(((difference @ moment) * difference).sum())


@given(seed=st.integers(0, 1000), columns=st.integers(2, 200), size=st.floats(0.05, 1.5))
@settings(max_examples=30, deadline=None)
def test_errors_cancel(seed, columns, size):
    """Never worse than rounding to nearest by more than luck, and clearly better on average."""
    moment = moment_of(columns, seed)
    rows = torch.randn(20, columns, generator=torch.Generator().manual_seed(seed))
    step = torch.full((20,), size)
    nearest = torch.round(rows / size).to(torch.int8)
    found = round_with_feedback(rows, step, feedback(moment, 0.01))
    assert loss(rows, found, step, moment) < 1.05 * loss(rows, nearest, step, moment)


def test_the_loss_is_the_one_foretold():
    """Each column loses step² ÷ 12 of what is left of its moment once later columns are known."""
    moment = moment_of(160)
    rows, step = torch.randn(300, 160), torch.full((300,), 0.3)
    spread = feedback(moment, 1e-4)
    foretold = 300 * 160 * 0.3**2 / 12 * spread.variance
    assert loss(rows, round_with_feedback(rows, step, spread), step, moment) == pytest.approx(
        foretold, rel=0.05
    )
    nearest = torch.round(rows / 0.3).to(torch.int8)
    assert loss(rows, nearest, step, moment) > 1.5 * foretold


@pytest.mark.parametrize("columns", [1, 2, 150])
def test_the_factor_is_that_of_the_inverse(columns):
    moment = moment_of(columns)
    spread = feedback(moment, 0.3)
    dampened = moment.double()
    dampened.diagonal().add_(0.3 * moment.diagonal() + 1e-4 * moment.diagonal().mean())
    in_order = dampened[spread.order[:, None], spread.order]
    factor = spread.factor.double()
    assert torch.equal(factor, factor.triu())
    assert (factor.diagonal() > 0).all()
    assert torch.allclose(factor.t() @ factor @ in_order, torch.eye(columns).double(), atol=1e-5)
    # A unit error in the last column that is chosen loses all of its moment.
    assert float(factor[-1, -1]) ** -2 == pytest.approx(float(in_order[-1, -1]))


def test_without_correlations_it_is_rounding_to_nearest():
    rows, step = torch.randn(10, 30), torch.rand(10) + 0.1
    found = round_with_feedback(rows, step, feedback(torch.eye(30), 0.01))
    assert torch.equal(found, torch.round(rows / step[:, None]).to(torch.int8))


def test_columns_keep_their_places():
    """The order of choosing must not show in the result."""
    moment = torch.diag(torch.tensor([1.0, 9.0, 4.0]))
    rows = torch.tensor([[1.0, 2.0, 3.0]])
    found = round_with_feedback(rows, torch.ones(1), feedback(moment, 0.01))
    assert found.tolist() == [[1, 2, 3]]
    assert feedback(moment, 0.01).order.tolist() == [1, 2, 0]


def test_rows_are_independent():
    moment = moment_of(140)
    rows, step = torch.randn(50, 140), torch.rand(50) + 0.2
    spread = feedback(moment, 0.05)
    whole = round_with_feedback(rows, step, spread)
    assert torch.equal(whole[20:30], round_with_feedback(rows[20:30], step[20:30], spread))


def test_what_must_be_zero_is_and_others_make_it_good():
    moment = moment_of(64)
    rows, step = torch.randn(40, 64), torch.full((40,), 0.2)
    kept = torch.rand(40, 64) > 0.4
    spread = feedback(moment, 0.01)
    found = round_with_feedback(rows, step, spread, kept)
    assert not found[~kept].any()
    plain = round_with_feedback(rows * kept, step, feedback(torch.eye(64), 0.01))
    assert loss(rows, found, step, moment) < loss(rows, plain, step, moment)


def test_values_are_cut_off_at_the_ends_of_int8():
    found = round_with_feedback(torch.tensor([[500.0, -500.0]]), torch.ones(1), feedback(torch.eye(2), 0.01))
    assert found.tolist() == [[127, -127]]


def test_a_singular_moment_is_dampened_until_it_can_be_used():
    spread = feedback(torch.ones(6, 6), 1e-12)
    assert torch.isfinite(spread.factor).all()


@pytest.mark.parametrize(
    "moment", [torch.zeros(3, 3), torch.full((3, 3), torch.nan), torch.eye(3) * torch.inf]
)
def test_a_moment_of_nothing_is_refused(moment):
    with pytest.raises(ValueError, match="finite second moment that is not zero"):
        feedback(moment, 0.01)


def test_a_moment_that_is_none_is_refused():
    with pytest.raises(ValueError, match="not positive"):
        feedback(torch.tensor([[1.0, 1e6], [1e6, 1.0]]), 1e-4)
