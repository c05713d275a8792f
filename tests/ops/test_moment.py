import pytest
import torch

from prensa.ops import moment as moments
from prensa.ops.moment import Moment


@pytest.fixture(params=[1, 5, 256, 257, 600])
def vectors(request):
    return torch.randn(40, request.param, generator=torch.Generator().manual_seed(0))


def test_it_is_the_sum_of_outer_products(vectors):
    moment = Moment.zeros(vectors.shape[1])
    moment.add(vectors[:30])
    moment.add(vectors[30:].double())
    exact = vectors.t() @ vectors
    assert torch.allclose(moment.whole(), exact, atol=1e-4)
    assert torch.allclose(moment.whole(), moment.whole().t())
    assert torch.equal(moment.diagonal(), moment.whole().diagonal())
    assert moment.size == vectors.shape[1]


def test_a_matrix_comes_back(vectors):
    exact = vectors.t() @ vectors
    exact = (exact + exact.t()) / 2
    assert torch.equal(Moment.of(exact).whole(torch.float64), exact.double())
    assert torch.allclose(Moment.of(exact).scaled(2.0).plus(Moment.of(exact)).whole(), 3 * exact)


def test_it_does_not_share_memory_with_what_it_was_made_of():
    exact = torch.eye(3)
    Moment.of(exact).scaled(5.0)
    assert torch.equal(exact, torch.eye(3))


def test_a_large_one_takes_little_more_than_half():
    strips = Moment.zeros(3072).strips
    assert sum(strip.nbytes for strip in strips) == moments.nbytes(3072) < 0.55 * 4 * 3072**2


def test_whether_it_is_finite():
    moment = Moment.zeros(300)
    assert moment.is_finite()
    moment.add(torch.full((1, 300), torch.inf))
    assert not moment.is_finite()
