"""What stays makes good for what went, in every family."""

import copy

import pytest
import torch
from tests.families import FAMILIES

from prensa.errors import ModelError
from prensa.shrink.anatomy import anatomy_of
from prensa.shrink.narrow import Kept, narrow
from prensa.shrink.repair import Fit, LayerFit, repair
from prensa.shrink.residual import junction, junctions
from prensa.shrink.stream import batch_of

# Of the error. Random weights leave little to make good; trained ones leave more.
LEFT = 0.9


def inputs(seed=0, texts=24, length=12):
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(5, 60, (texts, length), generator=generator)
    mask = torch.ones_like(ids)
    mask[1, length - 3 :] = 0
    return {"input_ids": ids, "attention_mask": mask}


def fits(original, small, anatomy, kept):
    layers = []
    for number in range(anatomy.count):
        layer = original.get_submodule(f"{anatomy.layers}.{number}")
        if number not in kept.layers:
            layers.append(LayerFit(layer, None, ()))
            continue
        place = f"{anatomy.layers}.{kept.layers.index(number)}"
        of_layer = []
        for part in anatomy.parts:
            if part.layer == number:
                inner = part.reader.removeprefix(f"{anatomy.layers}.{number}.")
                fit = Fit(original.get_submodule(part.reader), small.get_submodule(f"{place}.{inner}"))
                of_layer.append(fit)
        layers.append(LayerFit(layer, small.get_submodule(place), tuple(of_layer)))
    return layers


def repaired(original, anatomy, kept):
    small = copy.deepcopy(original)
    narrow(small, anatomy, kept)
    cut = copy.deepcopy(small)
    layers = list(original.get_submodule(anatomy.layers))
    batches = [batch_of(original, layers, inputs(seed)) for seed in range(4)]
    repair(fits(original, small, anatomy, kept), batches)
    return cut, small


def error(original, model):
    given = inputs(100)
    with torch.no_grad():
        return float((model(**given).logits - original(**given).logits).square().mean())


@pytest.fixture(params=sorted(FAMILIES))
def family(request, tmp_path):
    family = FAMILIES[request.param]
    return family.build(), anatomy_of(family.write_config(tmp_path))


def test_it_brings_answers_nearer(family):
    original, anatomy = family
    units = {}
    for part in anatomy.parts:
        if part.kind == "neurons":
            units[part.reader] = torch.arange(part.units * 3 // 4)
    cut, mended = repaired(original, anatomy, Kept(tuple(range(anatomy.count)), units))
    assert error(original, mended) < LEFT * error(original, cut)


def test_a_model_that_lost_nothing_stays_as_it_is(family):
    original, anatomy = family
    _, mended = repaired(original, anatomy, Kept(tuple(range(anatomy.count)), {}))
    assert error(original, mended) < 1e-8


def test_a_layer_that_went_is_mended_by_the_next(tmp_path):
    family = FAMILIES["bert"]
    original, anatomy = family.build(), anatomy_of(family.write_config(tmp_path))
    cut, mended = repaired(original, anatomy, Kept((0, 2), {}))
    assert error(original, mended) < error(original, cut)


def test_what_joins_no_stream_is_compared_by_itself():
    layer = FAMILIES["bert"].build().bert.encoder.layer[0]
    states = torch.randn(2, 5, 48)
    assert torch.equal(junction(lambda: layer(states), layer.attention.output.dense).stream, states)
    assert not junction(lambda: layer(states), layer.attention.self.query).stream.any()


def test_something_between_layers_is_refused():
    original = FAMILIES["bert"].build()
    layers = list(original.bert.encoder.layer)

    def between(module, arguments, output):
        return output + 0

    layers[0].register_forward_hook(between)
    # The hook of the stream comes before this one, so that the next layer is given another tensor.
    batch = batch_of(original, layers[1:], inputs())
    assert len(batch.given) == 2
    layers[1].register_forward_pre_hook(lambda module, arguments: (arguments[0] + 0, *arguments[1:]))
    with pytest.raises(ModelError, match="between its layers"):
        batch_of(original, layers, inputs())


def test_a_sum_in_place_is_taken_apart_all_the_same():
    torch.manual_seed(0)
    matrix = torch.nn.Linear(4, 4)
    given, before = torch.randn(2, 4), torch.randn(2, 4)

    def added_to_the_stream():
        stream = before.clone()
        stream += matrix(given)
        return stream

    def stream_added():
        out = matrix(given)
        out += before
        return out

    for run in (added_to_the_stream, stream_added):
        [found], total = junctions(run, [matrix])
        assert torch.allclose(found.outputs, matrix(given))
        assert torch.equal(found.stream, before)
        assert torch.allclose(found.outputs + found.stream, total)
