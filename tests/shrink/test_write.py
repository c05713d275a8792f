import json

import pytest
import torch
import transformers
from safetensors.torch import load_file
from tests.conftest import add_tokenizer, build_model, change_config
from tests.narrow import PLACES, narrowed, shrunk

import prensa
from prensa.checkpoint.checksum import sha256
from prensa.checkpoint.companions import RECIPE_FILE
from prensa.checkpoint.manifest import MANIFEST_FILE
from prensa.checkpoint.structure import Structure, structure_of
from prensa.errors import FormatError, ModelError
from prensa.shrink.write import write_model

IDS = torch.arange(2, 18).reshape(2, 8)


@pytest.mark.parametrize("family", sorted(PLACES))
def test_what_is_loaded_answers_as_what_was_written(family, tmp_path):
    build_model(family, tmp_path / "model")
    model = shrunk(tmp_path / "model", tmp_path / "narrow", family)
    loaded = prensa.load(tmp_path / "narrow")
    with torch.inference_mode():
        expected = model(IDS).logits
        assert torch.equal(loaded(IDS).logits, expected)
        assert not torch.equal(prensa.load(tmp_path / "model")(IDS).logits, expected)
    kind, info = type(model).from_pretrained(tmp_path / "narrow", output_loading_info=True)
    assert not any(info[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    assert torch.equal(kind(IDS).logits, expected)


def test_the_directory_holds_dense_tensors_once_and_says_what_is_narrower(tmp_path):
    build_model("bert", tmp_path / "model")
    change_config(tmp_path / "model", my_setting=7)
    model, structure = narrowed(tmp_path / "model", "bert")
    (tmp_path / "narrow").mkdir()
    conversions = vars(model).get("_weight_conversions")
    write_model(model, tmp_path / "model", tmp_path / "narrow", structure, {"other_setting": 8})
    config = json.loads((tmp_path / "narrow" / "config.json").read_text())
    assert (config["my_setting"], config["other_setting"], config["dtype"]) == (7, 8, "float32")
    assert structure_of(config) == structure
    weights = tmp_path / "narrow" / "model.safetensors"
    assert config["quantization_config"]["sha256"] == {"model.safetensors": sha256(weights)}
    before = load_file(tmp_path / "model" / "model.safetensors")
    assert load_file(weights).keys() == before.keys()
    assert vars(model).get("_weight_conversions") == conversions
    assert "cls.predictions.decoder.weight" not in before


def test_even_widths_and_fewer_layers_make_an_ordinary_model(tmp_path):
    build_model("bert", tmp_path / "model")
    model, _ = narrowed(tmp_path / "model", "bert")
    layer = model.bert.encoder.layer[1]
    model.bert.encoder.layer = torch.nn.ModuleList([layer])
    # Heads stay as they are in this one: only whole layers and even widths are in a config.
    original = transformers.BertForMaskedLM.from_pretrained(tmp_path / "model")
    layer.attention = original.bert.encoder.layer[1].attention
    (tmp_path / "even").mkdir()
    changes = {"num_hidden_layers": 1, "intermediate_size": 64}
    write_model(model, tmp_path / "model", tmp_path / "even", None, changes)
    config = json.loads((tmp_path / "even" / "config.json").read_text())
    assert "quantization_config" not in config
    loaded = transformers.BertForMaskedLM.from_pretrained(tmp_path / "even")
    assert torch.equal(loaded(IDS).logits, model(IDS).logits)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_weights_are_loaded_in_the_dtype_they_were_written_in(tmp_path, dtype):
    build_model("llama", tmp_path / "model", torch.float16)
    model, structure = narrowed(tmp_path / "model", "llama")
    (tmp_path / "narrow").mkdir()
    write_model(model.to(dtype), tmp_path / "model", tmp_path / "narrow", structure, {})
    assert {each.dtype for each in prensa.load(tmp_path / "narrow").parameters()} == {dtype}


def test_the_original_s_companions_are_taken_over_but_none_of_its_weights(tmp_path):
    add_tokenizer(build_model("llama", tmp_path / "model", max_shard_size="60KB"))
    assert (tmp_path / "model" / "model.safetensors.index.json").exists()
    (tmp_path / "model" / "generation_config.json").write_text('{"temperature": 0.5}')
    for name in (MANIFEST_FILE, RECIPE_FILE):
        (tmp_path / "model" / name).write_text("of what made the original")
    shrunk(tmp_path / "model", tmp_path / "narrow", "llama")
    assert {path.name for path in (tmp_path / "narrow").iterdir()} == {
        *("config.json", "generation_config.json", "model.safetensors"),
        *("tokenizer.json", "tokenizer_config.json"),
    }
    assert (tmp_path / "narrow" / "generation_config.json").read_text() == '{"temperature": 0.5}'


def test_settings_for_generation_that_cannot_be_saved_are_not(tmp_path):
    build_model("llama", tmp_path / "model")
    model, structure = narrowed(tmp_path / "model", "llama")
    model.generation_config.num_return_sequences = 3
    with pytest.raises(ValueError, match="num_return_sequences"):
        model.generation_config.save_pretrained(tmp_path)
    settings = model.generation_config
    (tmp_path / "narrow").mkdir()
    write_model(model, tmp_path / "model", tmp_path / "narrow", structure, {})
    assert model.generation_config is settings


@pytest.mark.parametrize(
    ("structure", "changes", "error", "message"),
    [
        (None, {}, ModelError, "config.json requires"),
        (Structure({"bert.encoder.layer.0.intermediate.dense": (37, 48)}, {}), {}, ModelError, "requires"),
        (Structure({"bert.no.such": (37, 48)}, {}), {}, FormatError, "no such module"),
    ],
)
def test_a_description_of_another_model_is_refused(tmp_path, structure, changes, error, message):
    model, _ = narrowed(build_model("bert", tmp_path / "model"), "bert")
    (tmp_path / "narrow").mkdir()
    with pytest.raises(error, match=message):
        write_model(model, tmp_path / "model", tmp_path / "narrow", structure, changes)
