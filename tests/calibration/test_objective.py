import types

import pytest
import torch

from prensa.calibration.objective import objective, outputs_of
from prensa.runtime.text_vector import TextVector

MASK = torch.tensor([[1, 1, 0], [1, 1, 1]])


def test_outputs_of_texts_and_of_pieces():
    batch = {"attention_mask": MASK}
    logits = types.SimpleNamespace(logits=torch.randn(2, 5))
    assert outputs_of(logits, batch, "classes", TextVector()).shape == (2, 5)
    words = types.SimpleNamespace(logits=torch.randn(2, 3, 5))
    found = outputs_of(words, batch, "tokens", TextVector())
    assert torch.equal(found, words.logits[MASK.bool()])  # padding does not count
    hidden = types.SimpleNamespace(last_hidden_state=torch.randn(2, 3, 4))
    assert outputs_of(hidden, batch, "embedding", TextVector()).shape == (2, 4)
    assert outputs_of((torch.randn(2, 3, 4),), batch, None, TextVector()).shape == (5, 4)


def test_expected_squares_of_gradients_are_those_of_all_outputs():
    weight = torch.tensor([[1.0, 2.0, 3.0]], requires_grad=True)
    generator = torch.Generator().manual_seed(0)
    squares = torch.zeros(3)
    for _ in range(400):
        outputs = weight * torch.tensor([[1.0, -2.0, 0.5]]) + weight.sum()
        (gradient,) = torch.autograd.grad(objective(outputs, "classes", generator), weight)
        squares += gradient[0] ** 2 / 400
    jacobian = torch.diag(torch.tensor([1.0, -2.0, 0.5])) + 1
    assert torch.allclose(squares, (jacobian**2).sum(0), rtol=0.25)


def test_language_models_are_asked_for_what_they_expect():
    logits = torch.tensor([[0.0, 50.0, 0.0]], requires_grad=True)
    found = objective(logits, "causal", torch.Generator().manual_seed(0))
    assert found.item() == pytest.approx(0.0, abs=1e-6)  # a sure prediction has nothing to lose
    even = torch.zeros(1000, 2, requires_grad=True)
    (gradient,) = torch.autograd.grad(objective(even, "masked", torch.Generator().manual_seed(0)), even)
    assert abs(float(gradient.sum(0)[0])) < 60
    assert torch.allclose(gradient.abs(), torch.tensor(0.5))
