"""What is slower folded is left alone: measured by a clock that the test holds."""

import pytest
import torch
from tests.runtime.test_deberta import build, texts

import prensa
from prensa.runtime import accelerate, gain, turns
from prensa.runtime.deberta import FoldedAttention, foldings_of
from prensa.runtime.gain import folding_gain

SETTINGS = {"pos_att_type": ["c2p", "p2c"], "share_att_key": True, "position_buckets": 8}


@pytest.fixture
def model():
    return build(head="ForSequenceClassification", num_hidden_layers=3, **SETTINGS)


def seconds(monkeypatch, was, folded):
    """Let all runs of a model as it is take ``was``, and folded ones ``folded``."""

    def in_turns(works, seconds):
        for work in works:
            work()
        return [was, folded]

    monkeypatch.setattr(gain, "in_turns", in_turns)


def everything(model):
    """All that a caller can see of a model's modules."""
    return [
        (name, id(module), sorted(vars(module)), list(module._buffers), list(module._modules))
        for name, module in model.named_modules()
    ]


def test_slower_folded_the_model_is_left_exactly_as_it_was(model, monkeypatch):
    inputs = texts(2, 9, [4])
    with torch.inference_mode():
        before = model(**inputs).logits
    parts = everything(model)
    random = torch.get_rng_state()
    seconds(monkeypatch, 0.68, 1.0)
    acceleration = prensa.accelerate(model)
    assert (acceleration.layers, acceleration.gain) == (0, pytest.approx(0.68))
    assert str(acceleration) == (
        "DebertaV2ForSequenceClassification: left as it was, folding is slower on this processor (0.68x)"
    )
    assert everything(model) == parts
    assert torch.equal(torch.get_rng_state(), random)
    with torch.inference_mode():
        assert torch.equal(model(**inputs).logits, before)
    acceleration.undo()
    assert everything(model) == parts


def test_faster_folded_it_is_folded_whole(model, monkeypatch):
    seconds(monkeypatch, 3.0, 1.0)
    acceleration = prensa.accelerate(model)
    assert (acceleration.layers, acceleration.gain) == (3, pytest.approx(3))
    attentions = [layer.attention.self for layer in model.deberta.encoder.layer]
    assert all(isinstance(attention, FoldedAttention) for attention in attentions)


def test_without_measuring_nothing_is_timed(model, monkeypatch):
    monkeypatch.setattr(accelerate, "folding_gain", None)
    acceleration = prensa.accelerate(model, measure=False)
    assert (acceleration.layers, acceleration.gain) == (3, None)


def test_nothing_to_fold_is_not_timed(monkeypatch):
    monkeypatch.setattr(accelerate, "folding_gain", None)
    assert str(prensa.accelerate(build(relative_attention=False))).endswith("it runs as it was")


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_both_ways_are_run_and_a_few_layers_tell(version, dtype, monkeypatch):
    model = build(version, num_hidden_layers=4, pos_att_type=["c2p", "p2c"]).to(dtype)
    seen = []
    for layer in model.encoder.layer:
        layer.register_forward_hook(
            lambda layer, given, _: seen.append((type(layer.attention.self).__name__, given[0].shape[:2]))
        )
    seconds(monkeypatch, 1.0, 2.0)
    assert folding_gain(foldings_of(model), [(1, 5), (3, 7)]) == pytest.approx(0.5)
    kinds = ["DisentangledSelfAttention"] * 2 + ["FoldedAttention"] * 2
    assert seen == [(kind, (1, 5)) for kind in kinds] + [(kind, (3, 7)) for kind in kinds]


def test_what_fails_meanwhile_leaves_the_model_as_it_was(model, monkeypatch):
    parts = everything(model)

    def in_turns(works, seconds):
        works[1]()
        raise RuntimeError("out of memory")

    monkeypatch.setattr(gain, "in_turns", in_turns)
    with pytest.raises(RuntimeError, match="out of memory"):
        prensa.accelerate(model)
    assert everything(model) == parts


def test_the_gain_of_several_loads_is_their_geometric_mean(model, monkeypatch):
    times = iter([[4.0, 1.0], [1.0, 1.0]])
    monkeypatch.setattr(gain, "in_turns", lambda works, seconds: next(times))
    assert folding_gain(foldings_of(model), [(1, 4), (1, 5)]) == pytest.approx(2)


def test_really_measured(model, monkeypatch):
    """By the machine's own clock: whatever it says, the model answers as before."""
    monkeypatch.setattr(gain, "in_turns", turns.in_turns)
    inputs = texts(2, 9, [4])
    with torch.inference_mode():
        before = model(**inputs).logits
        acceleration = prensa.accelerate(model)
        assert acceleration.gain > 0
        assert (acceleration.layers == 3) == (acceleration.gain >= 1)
        assert torch.allclose(model(**inputs).logits, before, atol=1e-4)
