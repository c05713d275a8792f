"""Pruning with what calibration knows."""

import pytest
import torch
from tests.ops.test_gptq import moment_of

from prensa.errors import RecipeError
from prensa.ops.moment import Moment
from prensa.ops.spec import TensorSpec
from prensa.ops.statistics import MatrixStatistics
from prensa.passes import Gptq, Prune, Sparsegpt

SPEC = TensorSpec("w", (48, 200), torch.float32, "f", "linear", "Linear", in_model=True)
UNEVEN = torch.logspace(-1, 1, 200)


def known():
    moment = moment_of(200, texts=800)
    return MatrixStatistics(Moment.of(UNEVEN[:, None] * moment * UNEVEN), torch.ones(48))


def loss(change, statistics):
    return float(((change @ statistics.moment.whole()) * change).sum())


def share_of_zeros(weight):
    return float((weight == 0).float().mean())


@pytest.mark.parametrize("amount", [0.0, 0.3, 0.5, 0.9])
def test_the_share_is_kept(amount):
    weight = torch.randn(48, 200)
    for step in (Sparsegpt(amount=amount), Sparsegpt(amount=amount).bind(known(), 9600)):
        assert share_of_zeros(step.apply(weight, SPEC)) == pytest.approx(amount, abs=0.002)


def test_feedback_helps():
    weight, statistics = torch.randn(48, 200, generator=torch.Generator().manual_seed(0)), known()
    blind = Sparsegpt().apply(weight, SPEC)
    with_feedback = Sparsegpt().bind(statistics, 9600).apply(weight, SPEC)
    assert loss(with_feedback - weight, statistics) < 0.8 * loss(blind - weight, statistics)


def test_inputs_along_the_rows():
    weight = torch.randn(200, 48)
    spec = TensorSpec("w", (200, 48), torch.float32, "f", "linear", "Conv1D", in_model=True)
    step = Sparsegpt().bind(known(), 9600)
    assert torch.equal(step.apply(weight, spec), step.apply(weight.t().contiguous(), SPEC).t())


def test_quantization_keeps_what_was_pruned():
    weight, statistics = torch.randn(48, 200), known()
    pruned = Sparsegpt().bind(statistics, 9600).apply(weight, SPEC)
    found = Gptq(noise=10.0).bind(statistics, 9600).apply(pruned, SPEC)
    assert not found.values[pruned == 0].any()


def test_half_precision_stays():
    weight = torch.randn(48, 200).half()
    assert Sparsegpt().bind(known(), 9600).apply(weight, SPEC).dtype == torch.float16


@pytest.mark.parametrize("settings", [{"dampening": 0}, {"amount": 0.95}, {"amount": None}])
def test_settings_out_of_range(settings):
    with pytest.raises(RecipeError, match="pass sparsegpt"):
        Sparsegpt(**settings)


def test_by_magnitude_is_the_pass_prune():
    weight = torch.randn(48, 200)
    assert torch.equal(Sparsegpt(amount=0.3).apply(weight, SPEC), Prune(amount=0.3).apply(weight, SPEC))
