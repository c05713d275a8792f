import pytest
import torch
import transformers
from tests.conftest import SIZES, build_model, change_config, change_weights

from prensa.checkpoint.reader import open_checkpoint
from prensa.checkpoint.roles import model_shape
from prensa.errors import ModelError


def roles(directory):
    shape = model_shape(directory)
    return {spec.name: shape.describe(spec) for spec in open_checkpoint(directory).specs}


def test_deberta(model):
    specs = roles(model)
    expected = {
        "deberta.embeddings.word_embeddings.weight": "embedding",
        "deberta.encoder.rel_embeddings.weight": "embedding",
        "deberta.encoder.LayerNorm.weight": "norm",
        "deberta.encoder.layer.0.output.LayerNorm.bias": "norm",
        "deberta.encoder.layer.1.attention.self.query_proj.weight": "linear",
        "deberta.encoder.layer.1.attention.self.query_proj.bias": "bias",
        "pooler.dense.weight": "linear",
        "classifier.weight": "head",
        "classifier.bias": "head",
    }
    assert {name: specs[name].role for name in expected} == expected
    assert all(spec.in_model for spec in specs.values())


def test_conv1d_is_linear_and_transposed(tmp_path):
    spec = roles(build_model("gpt2", tmp_path))["transformer.h.0.attn.c_attn.weight"]
    assert (spec.role, spec.layer, spec.is_transposed) == ("linear", "Conv1D", True)


def test_an_untied_output_layer_is_the_head(tmp_path):
    specs = roles(build_model("llama", tmp_path))
    assert specs["lm_head.weight"].role == "head"
    assert specs["model.norm.weight"].role == "norm"


def test_a_tied_output_layer_is_an_embedding(tmp_path):
    shape = model_shape(build_model("bert", tmp_path))
    assert shape.tied["cls.predictions.decoder.weight"] == "bert.embeddings.word_embeddings.weight"
    assert shape.parameters["cls.predictions.decoder.weight"].role == "embedding"


def test_the_base_prefix_may_be_missing_or_too_much(model):
    shape = model_shape(model)
    assert shape.own_name("encoder.LayerNorm.weight") == "deberta.encoder.LayerNorm.weight"
    change_config(model, architectures=["DebertaV2Model"])
    assert model_shape(model).own_name("deberta.encoder.LayerNorm.weight") == "encoder.LayerNorm.weight"


def test_a_tensor_the_class_does_not_know_is_other(model):
    change_weights(model, lambda tensors: tensors.update(extra=torch.ones(3, 3)))
    spec = roles(model)["extra"]
    assert (spec.role, spec.in_model) == ("other", False)


def test_a_config_of_another_size(model):
    change_config(model, intermediate_size=64)
    with pytest.raises(ModelError, match=r"has the shape \[96\], but config.json requires \[64\]|\[96, 48\]"):
        roles(model)


def test_an_unknown_model_type(model):
    change_config(model, model_type="no-such-model")
    with pytest.raises(ModelError, match="transformers cannot use it"):
        roles(model)


@pytest.mark.parametrize("names", [None, [], [""]])
def test_a_config_without_a_class_means_the_base_class(model, names):
    change_config(model, architectures=names)
    assert "encoder.LayerNorm.weight" in model_shape(model).parameters


@pytest.mark.parametrize(
    "name", ["os.system", "PreTrainedModel", "BertModel", "pipeline", "DebertaV2WithMyHead"]
)
def test_a_class_outside_the_model_type_is_refused(model, name):
    change_config(model, architectures=[name])
    with pytest.raises(
        ModelError, match=rf"names the class {name}, which transformers .* `trust_remote_code`"
    ):
        model_shape(model)


def test_a_class_that_no_auto_class_lists(tmp_path):
    config = transformers.DPRConfig(vocab_size=60, projection_dim=8, **SIZES)
    transformers.DPRQuestionEncoder(config).save_pretrained(tmp_path)
    assert model_shape(tmp_path).class_name == "DPRQuestionEncoder"


def test_code_in_the_config_is_not_run(model):
    (model / "evil.py").write_text("raise SystemExit('executed')")
    change_config(model, model_type="evil", auto_map={"AutoConfig": "evil.Config"})
    with pytest.raises(ModelError, match="transformers cannot use it"):
        roles(model)


@pytest.mark.parametrize("size", [-1, "many", None])
def test_a_config_that_makes_no_model(model, size):
    change_config(model, hidden_size=size)
    with pytest.raises(ModelError):
        roles(model)
