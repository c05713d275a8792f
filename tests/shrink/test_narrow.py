import copy

import pytest
import torch
import transformers
from tests.families import FAMILIES, SIZES

from prensa.errors import ModelError
from prensa.shrink.anatomy import anatomy_of
from prensa.shrink.dropping import layers_that_can_go
from prensa.shrink.matrices import sizes, zero_columns
from prensa.shrink.narrow import Kept, config_changes, narrow
from prensa.shrink.widths import even_width_key


def built(name, directory):
    family = FAMILIES[name]
    return family.build(), anatomy_of(family.write_config(directory))


def logits(model):
    ids = torch.arange(3, 3 + 22).view(2, 11)
    with torch.no_grad():
        return model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits


def assert_close(found, expected):
    assert found.shape == expected.shape
    assert (found - expected).abs().max() <= 1e-5 * expected.abs().max()


def some_units(anatomy, kinds=("neurons", "heads")):
    """Choose at random, and from each layer another number of them."""
    generator = torch.Generator().manual_seed(1)
    units = {}
    for part in anatomy.parts:
        if part.kind in kinds:
            count = max(1, part.units // 2 - part.layer)
            units[part.reader] = torch.randperm(part.units, generator=generator)[:count].sort().values
    return units


def zeroed(model, anatomy, units):
    """The whole model, whose readers do not look at what is not kept."""
    model = copy.deepcopy(model)
    for part in anatomy.parts:
        if part.reader in units:
            gone = torch.ones(part.units, dtype=torch.bool)
            gone[units[part.reader]] = False
            zero_columns(model.get_submodule(part.reader), part.columns[gone].flatten())
    return model


def skip(layer):
    forward = layer.forward

    def unchanged(hidden, *arguments, **named):
        output = forward(hidden, *arguments, **named)
        return hidden if isinstance(output, torch.Tensor) else (hidden, *output[1:])

    layer.forward = unchanged


KINDS = [(name, "neurons") for name in FAMILIES]
KINDS += [(name, "heads") for name, family in FAMILIES.items() if family.heads is not None]


@pytest.mark.parametrize(("name", "kind"), KINDS)
def test_what_is_taken_away_is_what_the_reader_does_not_look_at(name, kind, tmp_path):
    model, anatomy = built(name, tmp_path)
    units = some_units(anatomy, [kind])
    whole = logits(model)
    expected = logits(zeroed(model, anatomy, units))
    assert (expected - whole).abs().max() > 1e-2 * whole.abs().max()  # it has an influence

    structure = narrow(model, anatomy, Kept((0, 1, 2), units))
    assert_close(logits(model), expected)
    assert structure is not None
    for matrix, shape in structure.matrices.items():
        assert sizes(model.get_submodule(matrix)) == shape
    names = {part.reader for part in anatomy.parts if part.kind == kind}
    names |= {feeder.name for part in anatomy.parts if part.kind == kind for feeder in part.feeders}
    assert structure.matrices.keys() == names
    for attribute, value in structure.counts.items():
        module, _, attribute_name = attribute.rpartition(".")
        assert getattr(model.get_submodule(module), attribute_name) == value


@pytest.mark.parametrize("name", FAMILIES)
def test_a_model_without_a_layer_is_one_that_skips_it(name, tmp_path):
    model, anatomy = built(name, tmp_path)
    skipping = copy.deepcopy(model)
    skip(skipping.get_submodule(anatomy.layers)[1])
    expected = logits(skipping)
    assert narrow(model, anatomy, Kept((0, 2), {})) is None
    assert_close(logits(model), expected)
    # What is written says it all.
    model.save_pretrained(tmp_path / "short")
    again, info = type(model).from_pretrained(tmp_path / "short", output_loading_info=True)
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    assert_close(logits(again.eval()), expected)


WIDTH_KEYS = {"distilbert": "hidden_dim", "gpt2": "n_inner", "opt, whose activation is a ReLU": "ffn_dim"}


@pytest.mark.parametrize("name", FAMILIES)
def test_one_width_for_all_layers_is_said_by_the_config(name, tmp_path):
    model, anatomy = built(name, tmp_path)
    units = {}
    for part in anatomy.parts:
        if part.kind == "neurons":
            units[part.reader] = torch.arange(part.layer, part.layer + 37)
    kept = Kept((0, 1, 2), units)
    key = WIDTH_KEYS.get(name, "intermediate_size")
    assert even_width_key(model.config, anatomy) == key
    assert config_changes(model.config, anatomy, kept) == {key: 37}
    expected = logits(zeroed(model, anatomy, units))

    assert narrow(model, anatomy, kept) is None
    model.save_pretrained(tmp_path / "narrow")
    again, info = type(model).from_pretrained(tmp_path / "narrow", output_loading_info=True)
    assert not info["missing_keys"]
    assert_close(logits(again.eval()), expected)


@pytest.mark.parametrize("name", ["bert", "modernbert", "gpt2", "llama", "deberta-v2"])
def test_all_at_once(name, tmp_path):
    model, anatomy = built(name, tmp_path)
    units = some_units(anatomy)
    kept = Kept((0, 2), units)
    expected = zeroed(model, anatomy, units)
    skip(expected.get_submodule(anatomy.layers)[1])
    expected = logits(expected)
    structure = narrow(model, anatomy, kept)
    assert_close(logits(model), expected)
    # Under the names that modules have now.
    for matrix, shape in structure.matrices.items():
        assert sizes(model.get_submodule(matrix)) == shape
    assert any(matrix.startswith(f"{anatomy.layers}.1.") for matrix in structure.matrices)
    assert not any(matrix.startswith(f"{anatomy.layers}.2.") for matrix in structure.matrices)


def test_heads_are_in_the_structure_where_the_config_has_the_width(tmp_path):
    model, anatomy = built("bert", tmp_path)
    units = {"bert.encoder.layer.2.attention.output.dense": torch.tensor([0, 3])}
    for part in anatomy.parts:
        if part.kind == "neurons":
            units[part.reader] = torch.arange(10)
    structure = narrow(model, anatomy, Kept((1, 2), units))
    prefix = "bert.encoder.layer.1.attention"
    assert structure.matrices == {
        f"{prefix}.output.dense": (48, 24),
        f"{prefix}.self.query": (24, 48),
        f"{prefix}.self.key": (24, 48),
        f"{prefix}.self.value": (24, 48),
    }
    assert structure.counts == {f"{prefix}.self.num_attention_heads": 2, f"{prefix}.self.all_head_size": 24}
    assert model.config.num_hidden_layers == 2
    assert model.config.intermediate_size == 10


def test_lists_with_an_entry_for_each_layer_become_shorter(tmp_path):
    model, anatomy = built("modernbert", tmp_path)
    kinds = model.config.layer_types
    assert config_changes(model.config, anatomy, Kept((0, 2), {})) == {
        "num_hidden_layers": 2,
        "layer_types": [kinds[0], kinds[2]],
    }
    gpt2, anatomy = built("gpt2", tmp_path)
    assert config_changes(gpt2.config, anatomy, Kept((1,), {})) == {"n_layer": 1}


def test_layers_know_their_new_numbers(tmp_path):
    model, anatomy = built("llama", tmp_path)
    narrow(model, anatomy, Kept((1, 2), {}))
    assert [layer.self_attn.layer_idx for layer in model.model.layers] == [0, 1]
    # Which a cache is read by.
    ids = torch.arange(3, 9).view(1, 6)
    generated = model.generate(ids, max_new_tokens=3, do_sample=False, use_cache=True)
    assert torch.equal(generated, model.generate(ids, max_new_tokens=3, do_sample=False, use_cache=False))


def test_the_first_layer_of_modernbert_stays(tmp_path):
    model, anatomy = built("modernbert", tmp_path)
    assert layers_that_can_go(model.config) == (1, 2)
    before = logits(model)
    with pytest.raises(
        ModelError, match=r"without layers \[0\] its class gives those that stay another form"
    ):
        narrow(model, anatomy, Kept((1, 2), {}))
    assert torch.equal(logits(model), before)


def test_layers_stay_where_their_number_is_part_of_them():
    config = transformers.GPT2Config(n_embd=48, n_layer=4, n_head=4, scale_attn_by_inverse_layer_idx=True)
    # After the last one there is none whose number would change.
    assert layers_that_can_go(config) == (3,)
    assert layers_that_can_go(transformers.GPT2Config(n_embd=48, n_layer=4, n_head=4)) == (0, 1, 2, 3)
    assert not layers_that_can_go(transformers.BertConfig(**{**SIZES, "num_hidden_layers": 1}))


def test_weights_keep_their_type_and_whether_they_are_trained(tmp_path):
    model, anatomy = built("bert", tmp_path)
    model.half()
    frozen = model.bert.encoder.layer[0].intermediate.dense
    frozen.requires_grad_(requires_grad=False)
    narrow(model, anatomy, Kept((0, 1), some_units(anatomy)))
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float16}
    assert not frozen.weight.requires_grad
    assert model.bert.encoder.layer[0].output.dense.weight.requires_grad
    assert frozen.out_features == len(frozen.bias) == len(frozen.weight)


READER = "bert.encoder.layer.0.output.dense"


@pytest.mark.parametrize(
    ("kept", "message"),
    [
        (Kept((), {}), r"layers to keep: expected ascending numbers of 0 to 2, found \[\]"),
        (Kept((0, 3), {}), r"layers to keep: .*found \[0, 3\]"),
        (Kept((1, 0), {}), r"layers to keep: .*found \[1, 0\]"),
        (Kept((0,), {READER: torch.tensor([96])}), rf"units of {READER} to keep: .*0 to 95, found \[96\]"),
        (Kept((0,), {READER: torch.tensor([5, 5])}), r"found \[5, 5\]"),
        (Kept((0,), {READER: torch.tensor([-1, 5])}), r"found \[-1, 5\]"),
        (Kept((0,), {"bert.pooler.dense": torch.tensor([0])}), "bert.pooler.dense has no units"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_changes(kept, message, tmp_path):
    model, anatomy = built("bert", tmp_path)
    before = logits(model)
    with pytest.raises(ModelError, match=message):
        narrow(model, anatomy, kept)
    assert torch.equal(logits(model), before)


def test_a_model_that_was_shortened_is_not_the_whole_one(tmp_path):
    model, anatomy = built("bert", tmp_path)
    narrow(model, anatomy, Kept((0, 1), {}))
    with pytest.raises(ModelError, match="expected the whole model of 3 layers, found 2 layers"):
        narrow(model, anatomy, Kept((0, 1), {}))
