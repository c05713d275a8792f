"""A clock made of a few variants says what any other structure takes, where times add up."""

import copy

import pytest
import torch
from tests.families import FAMILIES

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
