"""Prices of neurons, heads and layers, and how far outputs are off."""

import copy

import pytest
import torch
from tests.families import FAMILIES

from prensa.errors import DataError
from prensa.ops.moment import Moment
from prensa.ops.statistics import MatrixStatistics, Statistics
from prensa.shrink import quality
from prensa.shrink.anatomy import anatomy_of
from prensa.shrink.cuts import Depth, depths, gone, removal_paths, widths_left
from prensa.shrink.narrow import Kept, narrow
from prensa.shrink.quality import Yardstick
from prensa.texts.encoding import Encoded


@pytest.fixture(params=["bert", "gpt2", "modernbert"])
def family(request, tmp_path):
    family = FAMILIES[request.param]
    return family.build(), anatomy_of(family.write_config(tmp_path))


def encoded(count=12):
    generator = torch.Generator().manual_seed(0)
    rows = []
    for length in torch.randint(3, 12, (count,), generator=generator).tolist():
        ids = torch.randint(5, 60, (length,), generator=generator).tolist()
        rows.append({"input_ids": ids, "attention_mask": [1] * length})
    return Encoded("classes", "right", {"input_ids": 0, "attention_mask": 0}, None, rows)


def statistics(anatomy):
    """As if all inputs were independent and equally large."""
    matrices = {}
    for part in anatomy.parts:
        size = part.columns.numel()
        moment = Moment.of(torch.eye(size))
        matrices[f"{part.reader}.weight"] = MatrixStatistics(moment, torch.ones(48))
    return Statistics(matrices, 1, "here", 1, 1, 1)


def yardstick(model, kind="classes"):
    return Yardstick.of(model, encoded(), kind, lambda vectors, mask: vectors.mean(dim=1))


def test_every_part_has_widths_that_cost_more_the_narrower_they_are(family):
    model, anatomy = family
    paths = removal_paths(model, anatomy, ("heads", "neurons"), statistics(anatomy))
    assert paths.keys() == {part.reader for part in anatomy.parts}
    for part in anatomy.parts:
        widths = widths_left(part, paths[part.reader])
        assert max(widths) == part.units
        assert widths[part.units] == 0
        costs = [widths[units] for units in sorted(widths, reverse=True)]
        assert costs == sorted(costs)
        # Nothing becomes so narrow that its layer had better go.
        assert min(widths) >= 1


def test_only_kinds_that_may_go_are_priced(family):
    model, anatomy = family
    paths = removal_paths(model, anatomy, ("neurons",), statistics(anatomy))
    assert paths.keys() == {part.reader for part in anatomy.parts if part.kind == "neurons"}


def test_a_matrix_that_no_text_reaches_is_named(family):
    model, anatomy = family
    with pytest.raises(DataError, match="no text reaches"):
        removal_paths(model, anatomy, ("neurons",), Statistics({}, 1, "here", 1, 1, 1))


def test_layers_that_are_missed_least_go_first(tmp_path):
    family = FAMILIES["bert"]
    model = family.build()
    # A layer whose parts give nothing is one that nobody misses.
    for name in ("attention.output.dense", "output.dense"):
        module = model.bert.encoder.layer[1].get_submodule(name)
        module.weight.data.zero_()
        module.bias.data.zero_()
    for name in ("attention.output.LayerNorm", "output.LayerNorm"):
        norm = model.bert.encoder.layer[1].get_submodule(name)
        norm.weight.data.fill_(1)
        norm.bias.data.zero_()
    anatomy = anatomy_of(family.write_config(tmp_path))
    found = depths(model, anatomy, yardstick(model), most=2)
    assert [depth.layers for depth in found][:2] == [(0, 1, 2), (0, 2)]
    assert found[0].change == 0
    assert len(found[2].layers) == 1


@pytest.mark.parametrize("name", ["bert", "deberta-v2", "gpt2", "modernbert", "roberta"])
def test_a_shorter_model_is_as_far_off_as_when_all_its_layers_are_computed(name, tmp_path):
    family = FAMILIES[name]
    model = family.build().eval()
    anatomy = anatomy_of(family.write_config(tmp_path))
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    measure = yardstick(model)
    for depth in depths(model, anatomy, measure, most=2)[1:]:
        short = copy.deepcopy(model)
        narrow(short, anatomy, Kept(depth.layers, {}))
        assert depth.change == pytest.approx(measure.change(short), rel=1e-3, abs=1e-9)
        assert depth.change > 0
    for key, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[key])


def test_a_layer_that_must_stay_stays(tmp_path):
    family = FAMILIES["modernbert"]
    model = family.build()
    anatomy = anatomy_of(family.write_config(tmp_path))
    for depth in depths(model, anatomy, yardstick(model), most=2):
        assert 0 in depth.layers


@pytest.mark.parametrize(("name", "kind"), [("bert", "classes"), ("gpt2", "causal")])
def test_a_change_is_nothing_for_the_model_itself_and_grows(name, kind):
    model = FAMILIES[name].build()
    measure = yardstick(model, kind)
    assert measure.change(model) == pytest.approx(0, abs=1e-6)
    other = copy.deepcopy(model)
    farther = copy.deepcopy(model)
    torch.manual_seed(1)
    for weight, more in zip(other.parameters(), farther.parameters(), strict=True):
        noise = torch.randn_like(weight) * weight.detach().abs().mean()
        weight.data += 0.05 * noise
        more.data += 0.5 * noise
    assert 0 < measure.change(other) < measure.change(farther)


def test_what_a_layer_cost_is_what_its_absence_added():
    found = [Depth((0, 1, 2, 3), 0.0), Depth((0, 1, 3), 0.25), Depth((1, 3), 0.75), Depth((3,), 2.0)]
    assert gone(found, (0, 1, 2, 3)) == ()
    costs = [(report.layer, report.cost) for report in gone(found, (1, 3))]
    assert costs == [(2, 0.25), (0, 0.5)]


def test_of_many_predictions_a_few_are_compared(tmp_path, monkeypatch):
    family = FAMILIES["gpt2"]
    model = family.build()
    other = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    whole = yardstick(model, "causal")
    kept = sum(outputs.shape[0] for outputs in whole.outputs)
    monkeypatch.setattr(quality, "_MOST", 60 * kept // 4)
    part = yardstick(model, "causal")
    assert part.every in {4, 5}
    assert sum(outputs.numel() for outputs in part.outputs) <= 60 * (kept // 4 + 4)
    assert part.change(model) == 0
    assert part.change(other) == pytest.approx(whole.change(other), rel=0.6)
