"""Scores that are written over are what they would be in new memory, and stay where they are needed."""

import pytest
import torch
from tests.runtime.test_deberta import build, texts

from prensa.runtime import scores
from prensa.runtime.deberta import fold

SETTINGS = {"pos_att_type": ["c2p", "p2c"], "share_att_key": True, "position_buckets": 8}


def steps(given, mask):
    term = torch.ones_like(given) / 3
    return scores.shares_of(scores.hide(scores.plus(given, term), mask))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("length", [1, 3, 16, 17, 200])
def test_the_same_to_the_last_bit_in_the_same_memory(dtype, length):
    given = torch.randn(2, 3, length, length).to(dtype)
    mask = torch.rand(3, length, length) < 0.3
    expected = steps(given.clone(), mask)
    with torch.inference_mode():
        own = given.clone()
        found = steps(own, mask)
    assert torch.equal(found, expected)
    assert found.data_ptr() == own.data_ptr()


def test_gradients_are_those_of_scores_that_stay():
    given = torch.randn(2, 3, 5, 5, requires_grad=True)
    mask = torch.rand(3, 5, 5) < 0.3
    steps(given, mask).square().sum().backward()
    assert given.grad is not None


@pytest.mark.parametrize("length", [1, 9, 33])
def test_a_folded_model_answers_the_same_to_the_last_bit(length):
    model = build(**SETTINGS)
    fold(model)
    inputs = texts(3, length, [length // 2])
    with torch.inference_mode():
        found = model(**inputs)[0]
    # With gradients everything stays where it is.
    expected = model(**inputs)[0].detach()
    assert torch.equal(found, expected)


def test_a_graph_has_no_steps_that_write_over():
    model = build(**SETTINGS)
    fold(model)
    with torch.inference_mode(mode=False), torch.no_grad():
        program = torch.export.export(model, (), texts(2, 9, [4]), strict=False)
    names = {str(node.target) for node in program.graph.nodes if node.op == "call_function"}
    assert "aten.softmax.int" in names
    assert not [name for name in names if name.startswith(("aten.add_.", "aten.masked_fill_."))]
