import copy

import pytest
import torch
import transformers
from tests.conftest import SIZES, build_model, change_config
from tests.narrow import narrowed, shrunk
from torch import nn

import prensa
from prensa.checkpoint.reader import open_checkpoint, read_headers
from prensa.checkpoint.roles import model_shape
from prensa.checkpoint.structure import Structure, from_config, reshape, structure_of, to_config
from prensa.errors import FormatError, ModelError

QUERY = "bert.encoder.layer.0.attention.self.query"
NEURONS = "bert.encoder.layer.0.intermediate.dense"
HEADS = "bert.encoder.layer.0.attention.self.num_attention_heads"
PRENSA = {"quant_method": "prensa", "format_version": 1}


def bert():
    return transformers.BertForMaskedLM(transformers.BertConfig(vocab_size=160, **SIZES))


def test_a_structure_is_the_same_after_writing_and_reading():
    structure = Structure({NEURONS: (40, 48)}, {HEADS: 2})
    config = {"quantization_config": {**PRENSA, "structure": to_config(structure)}}
    assert structure_of(config) == structure
    assert structure_of(transformers.BertConfig(**config)) == structure


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"quantization_config": None},
        {"quantization_config": ["x"]},
        {"quantization_config": PRENSA},
        {"quantization_config": {"quant_method": "awq", "structure": {"matrices": {}}}},
    ],
)
def test_a_config_without_a_structure_of_prensa(config):
    assert structure_of(config) is None
    assert structure_of(transformers.BertConfig(**config)) is None


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_reshaped_modules_keep_all_but_their_size(device):
    with torch.device(device):
        model = bert().to(torch.float16)
    frozen = model.get_submodule(NEURONS)
    frozen.weight.requires_grad = False
    reshape(model, Structure({NEURONS: (40, 48), QUERY: (48, 48)}, {HEADS: 2}))
    assert model.get_submodule(NEURONS) is frozen
    assert (frozen.out_features, frozen.in_features, frozen.bias.shape) == (40, 48, (40,))
    assert (frozen.weight.dtype, frozen.weight.device.type) == (torch.float16, device)
    assert (frozen.weight.requires_grad, frozen.bias.requires_grad) == (False, True)
    assert model.get_submodule(QUERY).weight.shape == (48, 48)
    assert model.bert.encoder.layer[0].attention.self.num_attention_heads == 2


def test_a_module_without_a_bias_stays_without():
    config = transformers.LlamaConfig(vocab_size=160, num_key_value_heads=2, **SIZES)
    model = transformers.LlamaForCausalLM(config)
    reshape(model, Structure({"model.layers.0.mlp.up_proj": (40, 48)}, {}))
    assert model.model.layers[0].mlp.up_proj.bias is None


def test_conv1d_is_turned_over():
    config = transformers.GPT2Config(vocab_size=160, n_embd=48, n_layer=1, n_head=4, n_positions=32)
    model = transformers.GPT2LMHeadModel(config)
    neurons, back = "transformer.h.0.mlp.c_fc", "transformer.h.0.mlp.c_proj"
    reshape(model, Structure({neurons: (100, 48), back: (48, 100)}, {}))
    assert (model.get_submodule(neurons).weight.shape, model.get_submodule(neurons).bias.shape) == (
        (48, 100),
        (100,),
    )
    assert model(torch.arange(6)[None]).logits.shape == (1, 6, 160)


def test_names_of_a_class_with_a_head_fit_the_one_without_and_the_reverse():
    base = transformers.BertModel(bert().config)
    reshape(base, Structure({NEURONS: (40, 48)}, {HEADS: 2}))
    assert base.encoder.layer[0].intermediate.dense.out_features == 40
    whole = bert()
    reshape(whole, Structure({NEURONS.removeprefix("bert."): (40, 48)}, {}))
    assert whole.get_submodule(NEURONS).out_features == 40


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "expected an object, found []"),
        ({"matrices": {}, "layers": {}}, "expected matrices and counts, found 'layers'"),
        ({"matrices": [NEURONS]}, "expected an object as matrices, found ["),
        ({"matrices": {NEURONS: 40}}, f"{NEURONS}: expected [out_features, in_features], found 40"),
        ({"matrices": {NEURONS: [40]}}, f"{NEURONS}: expected [out_features, in_features], found [40]"),
        ({"matrices": {NEURONS: [40.0, 48]}}, f"{NEURONS}: expected a positive integer, found 40.0"),
        ({"matrices": {NEURONS: [True, 48]}}, f"{NEURONS}: expected a positive integer, found True"),
        ({"matrices": {NEURONS: [-40, 48]}}, f"{NEURONS}: expected a positive integer, found -40"),
        ({"matrices": {NEURONS: [0, 48]}}, f"{NEURONS}: expected a positive integer, found 0"),
        ({"matrices": {NEURONS: ["40", "1\n2"]}}, f"{NEURONS}: expected a positive integer, found '40'"),
        ({"counts": {HEADS: 1.5}}, f"{HEADS}: expected a positive integer, found 1.5"),
        ({"counts": {HEADS: None}}, f"{HEADS}: expected a positive integer, found None"),
    ],
)
def test_damaged_content_is_refused_in_one_line(content, message):
    with pytest.raises(FormatError) as caught:
        from_config(content)
    assert f"config.json: damaged structure, {message}" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("matrices", "counts", "message"),
    [
        ({"bert.encoder.layer.7.output.dense": (40, 48)}, {}, "BertForMaskedLM has no such module"),
        ({"": (40, 48)}, {}, "BertForMaskedLM has no such module"),
        ({"device": (40, 48)}, {}, "device: BertForMaskedLM has no such module"),
        ({NEURONS: (97, 48)}, {}, f"{NEURONS}: expected at most [96, 48], found [97, 48]"),
        ({NEURONS: (40, 49)}, {}, f"{NEURONS}: expected at most [96, 48], found [40, 49]"),
        ({"bert.encoder": (40, 48)}, {}, "bert.encoder: expected a Linear or Conv1D, found BertEncoder"),
        (
            {"bert.embeddings.word_embeddings": (40, 48)},
            {},
            "expected a Linear or Conv1D, found Embedding",
        ),
        ({"cls.predictions.decoder": (40, 48)}, {}, "expected a separate weight, found cls.predictions.dec"),
        ({NEURONS: (40, 48)}, {HEADS: 5}, f"{HEADS}: expected at most 4, found 5"),
        ({NEURONS: (40, 48)}, {f"{QUERY}.forward": 1}, "forward: Linear has no such integer"),
        ({NEURONS: (40, 48)}, {f"{QUERY}.training": 1}, "training: Linear has no such integer"),
        ({NEURONS: (40, 48)}, {f"{QUERY}.__class__": 1}, "__class__: Linear has no such integer"),
        ({NEURONS: (40, 48)}, {f"{QUERY}._version": 1}, "_version: Linear has no such integer"),
        ({NEURONS: (40, 48)}, {f"{QUERY}.heads": 1}, "heads: Linear has no such integer"),
        ({NEURONS: (40, 48)}, {"num_labels": 1}, "BertForMaskedLM has no such module"),
        ({NEURONS: (40, 48)}, {"bert.config.hidden_size": 1}, "BertForMaskedLM has no such module"),
        ({NEURONS: (96, 48)}, {HEADS: 2}, "expected a module that is narrower, found numbers alone"),
    ],
)
def test_what_the_model_does_not_have_is_refused_in_one_line(matrices, counts, message):
    with pytest.raises(FormatError) as caught:
        reshape(bert(), Structure(matrices, counts))
    assert "config.json: damaged structure, " in str(caught.value)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_shape_of_a_narrower_model_fits_its_file(tmp_path):
    build_model("bert", tmp_path / "model")
    shrunk(tmp_path / "model", tmp_path / "narrow", "bert")
    shape = model_shape(tmp_path / "narrow")
    assert shape.parameters[f"{NEURONS}.weight"].shape == (37, 48)
    assert shape.parameters[f"{QUERY}.weight"].shape == (24, 48)
    for spec in open_checkpoint(tmp_path / "narrow").specs:
        assert shape.describe(spec).in_model
    assert prensa.inspect(tmp_path / "narrow").format == "original"
    change_config(tmp_path / "narrow", quantization_config={**PRENSA, "structure": {"counts": {HEADS: -1}}})
    with pytest.raises(FormatError, match="expected a positive integer, found -1"):
        model_shape(tmp_path / "narrow")


def test_only_a_narrower_model_and_nothing_more_is_a_source(tmp_path):
    build_model("bert", tmp_path / "model")
    shrunk(tmp_path / "model", tmp_path / "narrow", "bert")
    assert not open_checkpoint(tmp_path / "narrow").is_quantized
    result = tmp_path / "result"
    prensa.compress(tmp_path / "narrow", result, preset="int8")
    with pytest.raises(ModelError, match="quantized already \\(prensa\\)"):
        open_checkpoint(result)
    (result / "manifest.json").unlink()  # its tensors are packed all the same
    assert read_headers(result).is_quantized
    with pytest.raises(ModelError, match="quantized already \\(prensa\\)"):
        open_checkpoint(result)
    (tmp_path / "narrow" / "manifest.json").write_text("{}")
    with pytest.raises(ModelError, match="quantized already \\(prensa\\)"):
        open_checkpoint(tmp_path / "narrow")


def test_a_copy_of_a_reshaped_model_is_as_narrow(tmp_path):
    model, _ = narrowed(build_model("bert", tmp_path / "model"), "bert")
    copied = copy.deepcopy(model)
    assert isinstance(copied.get_submodule(NEURONS), nn.Linear)
    ids = torch.arange(2, 18).reshape(2, 8)
    assert torch.equal(copied(ids).logits, model(ids).logits)
