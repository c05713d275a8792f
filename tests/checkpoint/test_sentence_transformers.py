import json
import shutil

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file
from tests.bert import around, bert, dense, pooling

import prensa
from prensa.checkpoint.hub_names import model_name
from prensa.checkpoint.kinds import Task
from prensa.checkpoint.roles import load_config
from prensa.checkpoint.sentence_transformers import read_chain, root_of, transformer_directory
from prensa.checkpoint.task import task_of
from prensa.errors import ModelError, OutputError

pytestmark = pytest.mark.peers

TEXTS = ["a few letters", "Some CAPITAL ones", "x"]


@pytest.fixture
def old(tmp_path):
    """A model as the library wrote it before its first version: the Transformer in a folder."""
    root = tmp_path / "old"
    bert(root / "0_Transformer")
    around(root, pooling("cls"), dense(32, 8), inputs={"max_seq_length": 7}, inside="0_Transformer")
    (root / "config.json").write_text('{"__version__": "0.3.0"}')
    (root / "README.md").write_text("---\nlibrary_name: sentence-transformers\n---\n# An old one\n")
    return root


def vectors(path, **settings):
    return np.stack([answer.output for answer in prensa.load(path, **settings).predict(TEXTS)])


def test_the_old_layout_is_found_from_both_sides(old):
    inside = old / "0_Transformer"
    assert transformer_directory(old) == inside
    assert transformer_directory(inside) == inside
    assert root_of(inside) == root_of(old) == old
    assert model_name(inside) == "old"
    assert read_chain(inside).max_length == 7
    assert [module.kind for module in read_chain(old).modules] == ["Transformer", "Pooling", "Dense"]


def test_the_old_layout_is_pressed_into_todays(old, tmp_path):
    library = pytest.importorskip("sentence_transformers", reason="compares with sentence-transformers")
    out = tmp_path / "out"
    prensa.compress(old, out, preset="int8")
    assert json.loads((out / "modules.json").read_text())[0]["path"] == ""
    assert "# An old one" in (out / "README.md").read_text()
    right = library.SentenceTransformer(str(old), device="cpu").encode(TEXTS)
    settings = {"runtime": "torch", "dtype": "float32"}
    np.testing.assert_allclose(vectors(old, **settings), right, atol=1e-5)
    loaded = library.SentenceTransformer(str(out), device="cpu", model_kwargs={"dtype": torch.float32})
    found = loaded.encode(TEXTS)
    np.testing.assert_allclose(vectors(out, **settings), found, atol=1e-5)
    cosines = (found * right).sum(axis=1) / np.linalg.norm(found, axis=1) / np.linalg.norm(right, axis=1)
    assert cosines.min() > 0.99
    assert prensa.inspect(old).nbytes > prensa.inspect(out).nbytes


def test_the_old_layout_is_not_replaced_by_its_result(old):
    with pytest.raises(OutputError, match="holds the model directory"):
        prensa.compress(old, old, preset="int8", force=True)


def test_results_keep_the_modules_of_the_original(tmp_path):
    path = around(bert(tmp_path / "model"), pooling(), dense(32, 8), inputs={"max_seq_length": 7})
    prensa.compress(path, tmp_path / "out", preset="int8")
    for name in (
        "modules.json",
        "sentence_bert_config.json",
        "1_Pooling/config.json",
        "2_Dense/config.json",
    ):
        assert (tmp_path / "out" / name).read_bytes() == (path / name).read_bytes()


def test_dense_layers_are_halved_where_all_else_is(tmp_path):
    module = dense(32, 8)
    module[2]["linear.bias"][0] = 1e9
    path = around(
        bert(tmp_path / "model"), pooling(), module, ("Dense", {}, {"linear.weight": torch.zeros(0, 4)})
    )
    prensa.compress(path, tmp_path / "half", preset="half")
    found = load_file(tmp_path / "half" / "2_Dense" / "model.safetensors")
    assert found["linear.weight"].equal(module[2]["linear.weight"].half())
    assert found["linear.bias"].equal(module[2]["linear.bias"])  # float16 could not hold it
    recipe = prensa.Recipe((prensa.load_preset("int8").passes[-1],))
    prensa.compress(path, tmp_path / "float", recipe=recipe)
    (path / "2_Dense" / "model.safetensors").write_bytes(b"damaged")
    prensa.compress(path, tmp_path / "damaged", preset="half")
    assert (tmp_path / "damaged" / "2_Dense" / "model.safetensors").read_bytes() == b"damaged"
    assert load_file(tmp_path / "half" / "3_Dense" / "model.safetensors")["linear.weight"].shape == (0, 4)
    left = load_file(tmp_path / "float" / "2_Dense" / "model.safetensors")
    assert left["linear.weight"].dtype == torch.float32


@pytest.mark.parametrize(
    ("architecture", "loaded", "kind"),
    [
        ("BertForMaskedLM", "BertModel", "embedding"),
        ("BertModel", "BertModel", "embedding"),
        ("BertForSequenceClassification", "BertForSequenceClassification", "classes"),
    ],
)
def test_the_class_is_the_one_that_the_library_loads(tmp_path, architecture, loaded, kind):
    path = around(bert(tmp_path), pooling())
    config = json.loads((path / "config.json").read_text())
    (path / "config.json").write_text(json.dumps({**config, "architectures": [architecture]}))
    assert load_config(path).architectures == [loaded]
    assert task_of(load_config(path)).kind == kind


def test_a_sparse_encoder_keeps_its_language_head(tmp_path):
    path = around(
        bert(tmp_path, "BertForMaskedLM"), ("SpladePooling", {}, {}), settings={"model_type": "SparseEncoder"}
    )
    assert task_of(load_config(path)).kind == "masked"


@pytest.mark.parametrize("name", ["T5Encoder", "MT5Encoder", "UMT5Encoder"])
def test_encoders_of_two_halves_give_vectors(name):
    config = getattr(transformers, f"{name.removesuffix('Encoder')}Config")(architectures=[f"{name}Model"])
    assert task_of(config) == Task("embedding")
    config.architectures = [f"{name.removesuffix('Encoder')}Model"]
    assert task_of(config) is None


@pytest.mark.parametrize("kind", ["StaticEmbedding", "WordEmbeddings", "Router", "my_code.Encoder"])
def test_a_model_without_a_transformer_is_named(tmp_path, kind):
    full = kind if "." in kind else f"sentence_transformers.models.{kind}"
    (tmp_path / "modules.json").write_text(json.dumps([{"path": "0_First", "type": full}]))
    for call in (prensa.inspect, lambda path: prensa.compress(path, tmp_path.parent / "out")):
        with pytest.raises(ModelError, match=f"its first module is {kind}"):
            call(tmp_path)


def test_a_prompt_by_default_that_is_not_there(tmp_path):
    path = around(bert(tmp_path), pooling(), settings={"prompts": {"a": "b"}, "default_prompt_name": "c"})
    with pytest.raises(ModelError, match="default_prompt_name 'c' is none of the prompts"):
        prensa.evaluate(path, path)


def test_modules_of_another_tool_are_left_alone(tmp_path):
    path = bert(tmp_path, "BertForSequenceClassification")
    (path / "modules.json").write_text('{"modules": []}')
    assert read_chain(path) is None
    shutil.copytree(path, path / "copy")
    (path / "modules.json").write_text("{")
    assert root_of(path / "copy") == path / "copy"
    with pytest.raises(ModelError, match="not readable as JSON"):
        read_chain(path)
