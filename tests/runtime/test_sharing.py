"""Two models on the same weights: modules are each one's own, tensors are not."""

import torch
from tests.families import FAMILIES

from prensa.runtime.sharing import sharing_weights


def test_a_second_model_has_the_tensors_of_the_first():
    model = FAMILIES["bert"].build()
    twin = sharing_weights(model)
    for first, second in zip(model.parameters(), twin.parameters(), strict=True):
        assert first is second
    for first, second in zip(model.buffers(), twin.buffers(), strict=True):
        assert first is second
    # Tied weights are shared within each of them, too, and modules are not.
    assert twin.bert.encoder.layer[0] is not model.bert.encoder.layer[0]
    twin.bert.encoder.layer[0].output.dense.weight = torch.nn.Parameter(torch.zeros(48, 96))
    assert model.bert.encoder.layer[0].output.dense.weight.any()
