"""Pruning with what calibration knows."""

import dataclasses

import pytest
import torch
from tests.ops.test_gptq import moment_of

from prensa.errors import RecipeError
from prensa.ops.moment import Moment
from prensa.ops.statistics import MatrixStatistics
from prensa.passes import Gptq, Prune, Sparsegpt, Wanda
from prensa.spec import TensorSpec

SPEC = TensorSpec("w", (48, 200), torch.float32, "f", "linear", "Linear", in_model=True)
UNEVEN = torch.logspace(-1, 1, 200)


def known():
    moment = moment_of(200, texts=800)
    return MatrixStatistics(Moment.of(UNEVEN[:, None] * moment * UNEVEN), torch.ones(48))


def loss(change, statistics):
    return float(((change @ statistics.moment.whole()) * change).sum())


def share_of_zeros(weight):
    return float((weight == 0).float().mean())


@pytest.mark.parametrize("kind", [Sparsegpt, Wanda])
@pytest.mark.parametrize("amount", [0.0, 0.3, 0.5, 0.9])
def test_the_share_is_kept(kind, amount):
    weight = torch.randn(48, 200)
    for step in (kind(amount=amount), kind(amount=amount).bind(known(), 9600)):
        assert share_of_zeros(step.apply(weight, SPEC)) == pytest.approx(amount, abs=0.002)


@pytest.mark.parametrize("kind", [Sparsegpt, Wanda])
def test_two_of_every_four(kind):
    weight = torch.randn(48, 200)
    for step in (kind(pattern="2:4"), kind(pattern="2:4").bind(known(), 9600)):
        fours = step.apply(weight, SPEC).reshape(48, 50, 4)
        assert ((fours == 0).sum(dim=2) == 2).all()


def test_what_is_left_over_of_a_pattern_is_kept():
    weight = torch.randn(48, 6)
    spec = dataclasses.replace(SPEC, shape=(48, 6))
    statistics = MatrixStatistics(Moment.of(moment_of(6)), torch.ones(48))
    for step in (
        Wanda(pattern="2:4"),
        Sparsegpt(pattern="2:4"),
        Sparsegpt(pattern="2:4").bind(statistics, 1),
    ):
        zeros = step.apply(weight, spec) == 0
        assert (zeros[:, :4].sum(dim=1) == 2).all()
        assert not zeros[:, 4:].any()


@pytest.mark.parametrize("pattern", ["", "2:4"])
def test_knowing_inputs_helps_and_feedback_more(pattern):
    weight, statistics = torch.randn(48, 200, generator=torch.Generator().manual_seed(0)), known()
    blind = Sparsegpt(pattern=pattern).apply(weight, SPEC)
    by_inputs = Wanda(pattern=pattern).bind(statistics, 9600).apply(weight, SPEC)
    with_feedback = Sparsegpt(pattern=pattern).bind(statistics, 9600).apply(weight, SPEC)
    losses = [loss(each - weight, statistics) for each in (with_feedback, by_inputs, blind)]
    assert losses[0] < 0.95 * min(losses[1:])
    if not pattern:  # neighbours see inputs of about the same size
        assert losses[1] < 0.9 * losses[2]


@pytest.mark.parametrize("kind", [Sparsegpt, Wanda])
@pytest.mark.parametrize("pattern", ["", "2:4"])
def test_inputs_along_the_rows(kind, pattern):
    weight = torch.randn(200, 48)
    spec = TensorSpec("w", (200, 48), torch.float32, "f", "linear", "Conv1D", in_model=True)
    for step in (kind(pattern=pattern), kind(pattern=pattern).bind(known(), 9600)):
        if isinstance(step, Sparsegpt) and not pattern:
            continue  # by magnitude of the whole, whichever way it lies
        assert torch.equal(step.apply(weight, spec), step.apply(weight.t().contiguous(), SPEC).t())


def test_quantization_keeps_what_was_pruned():
    weight, statistics = torch.randn(48, 200), known()
    pruned = Sparsegpt().bind(statistics, 9600).apply(weight, SPEC)
    found = Gptq(noise=10.0).bind(statistics, 9600).apply(pruned, SPEC)
    assert not found.values[pruned == 0].any()


def test_half_precision_stays():
    weight = torch.randn(48, 200).half()
    assert Sparsegpt().bind(known(), 9600).apply(weight, SPEC).dtype == torch.float16


@pytest.mark.parametrize("kind", [Sparsegpt, Wanda])
@pytest.mark.parametrize("settings", [{"pattern": "1:4"}, {"amount": 0.95}, {"pattern": None}])
def test_settings_out_of_range(kind, settings):
    with pytest.raises(RecipeError, match=f"pass {kind.name}"):
        kind(**settings)


def test_by_magnitude_is_the_pass_prune():
    weight = torch.randn(48, 200)
    assert torch.equal(Sparsegpt(amount=0.3).apply(weight, SPEC), Prune(amount=0.3).apply(weight, SPEC))
