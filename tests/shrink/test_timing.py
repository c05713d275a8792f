"""A clock made of a few variants says what any other structure takes, where times add up."""

import copy

import pytest
import torch
import transformers
from tests.families import FAMILIES, SIZES

from prensa.shrink.anatomy import anatomy_of
from prensa.shrink.clock import Clock
from prensa.shrink.narrow import Kept, narrow
from prensa.shrink.timing import measured_clock


def seconds(models):
    """Count weights: those of the last layer half, as if it read fewer tokens."""
    times = []
    for model in models:
        layers = model.bert.encoder.layer
        counts = [sum(weight.numel() for weight in layer.parameters()) for layer in layers]
        times.append(1000 + sum(counts[:-1]) + counts[-1] / 2)
    return times


@pytest.fixture
def family(tmp_path):
    family = FAMILIES["bert"]
    return family.build(), anatomy_of(family.write_config(tmp_path))


def test_it_says_what_a_structure_takes(family):
    model, anatomy = family
    clock = measured_clock(model, anatomy, seconds, "here")
    assert clock.where == "here"
    units = {"heads": (3, 1, 4), "neurons": (96, 40, 20)}
    kept = {}
    expected = clock.rest(3)
    for part in anatomy.parts:
        count = units[part.kind][part.layer]
        kept[part.reader] = torch.arange(count)
        expected += clock.part(part.kind, count, last=part.layer == 2)
    small = copy.deepcopy(model)
    narrow(small, anatomy, Kept((0, 1, 2), kept))
    assert expected == pytest.approx(seconds([small])[0], rel=1e-6)


def test_it_says_what_fewer_layers_take(family):
    model, anatomy = family
    clock = measured_clock(model, anatomy, seconds)
    small = copy.deepcopy(model)
    narrow(small, anatomy, Kept((0, 2), {}))
    expected = clock.rest(2)
    for kind, units in (("heads", 4), ("neurons", 96)):
        expected += clock.part(kind, units, last=False) + clock.part(kind, units, last=True)
    assert expected == pytest.approx(seconds([small])[0], rel=1e-6)


def test_times_that_run_backwards_are_noise(family):
    model, anatomy = family
    clock = measured_clock(model, anatomy, lambda models: [1.0 + 0.1 * at for at in range(len(models))])
    for kind in ("heads", "neurons"):
        points = [clock.part(kind, units, last=False) for units in (1, 2, 4, 48, 96)]
        assert points == sorted(points)
        assert min(points) >= 0


def test_between_two_widths_there_is_a_straight_line():
    clock = Clock(1.0, 0.5, {"heads": ((2, 1.0), (4, 2.0))}, {"heads": ((2, 0.0), (4, 0.1))})
    assert [clock.part("heads", units, last=False) for units in (1, 2, 3, 4, 5)] == [1.0, 1.0, 1.5, 2.0, 2.0]
    assert clock.part("heads", 3, last=True) == pytest.approx(0.05)
    assert clock.rest(3) == 2.0


def weights(models):
    """Count the weights of all layers."""
    return [float(sum(parameter.numel() for parameter in model.parameters())) for model in models]


OTHERS = {
    # Its first layer is a kind of its own.
    "modernbert": (FAMILIES["modernbert"].model, FAMILIES["modernbert"].config),
    # Its layers divide by their numbers.
    "gpt2": (
        transformers.GPT2LMHeadModel,
        transformers.GPT2Config(
            vocab_size=60, n_embd=48, n_layer=5, n_head=4, scale_attn_by_inverse_layer_idx=True
        ),
    ),
    "two layers": (
        transformers.BertForSequenceClassification,
        transformers.BertConfig(**{**SIZES, "num_hidden_layers": 2}),
    ),
    # Of each layer three blocks are alike.
    "mobilebert": (
        transformers.MobileBertForSequenceClassification,
        transformers.MobileBertConfig(
            embedding_size=24, intra_bottleneck_size=24, num_feedforward_networks=3, **SIZES
        ),
    ),
}


@pytest.mark.parametrize("name", OTHERS)
def test_a_clock_counts_all_of_a_model_and_no_more(name, tmp_path):
    class_, config = OTHERS[name]
    config.architectures = [class_.__name__]
    config.save_pretrained(tmp_path)
    model, anatomy = class_(config).eval(), anatomy_of(tmp_path)
    clock = measured_clock(model, anatomy, weights)
    expected = clock.rest(anatomy.count)
    for part in anatomy.parts:
        expected += clock.part(part.kind, part.units, last=part.layer == anatomy.count - 1)
    assert expected == pytest.approx(weights([model])[0], rel=1e-6)
