import json

import pytest

from prensa.checkpoint.companions import companion_bytes, copy_companions, keep_others, write_config
from prensa.checkpoint.sentence_transformers import read_chain
from prensa.errors import ModelError


@pytest.fixture
def model(tmp_path):
    directory = tmp_path / "model"
    directory.mkdir()
    for name in ("config.json", "tokenizer.json", "spm.model", "model.safetensors", "tf_model.h5"):
        (directory / name).write_text(name)
    (directory / ".hidden").write_text("x")
    (directory / "checkpoint-5").mkdir()
    (directory / "checkpoint-5" / "state.json").write_text("x")
    return directory


def test_everything_but_weights_is_copied(model, tmp_path):
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "config.json").write_text("changed")
    copy_companions(model, tmp_path / "new")
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == [
        "config.json",
        "spm.model",
        "tokenizer.json",
    ]
    assert (tmp_path / "new" / "config.json").read_text() == "changed"
    assert companion_bytes(model) == len("config.json" + "spm.model" + "tokenizer.json")


def test_modules_of_sentence_transformers_are_copied_with_their_weights(model, tmp_path):
    (model / "2_Dense").mkdir()
    (model / "2_Dense" / "model.safetensors").write_text("weights")
    kinds = {"": "Transformer", "2_Dense": "Dense", "missing": "Normalize"}
    modules = [{"path": path, "type": f"sentence_transformers.models.{kind}"} for path, kind in kinds.items()]
    (model / "modules.json").write_text(json.dumps(modules))
    copy_companions(model, tmp_path / "new")
    assert (tmp_path / "new" / "2_Dense" / "model.safetensors").read_text() == "weights"


@pytest.mark.parametrize("path", ["../outside", "..", "/outside"])
def test_modules_that_lie_elsewhere_are_refused(model, tmp_path, path):
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_text("x")
    modules = [{"path": "", "type": "sentence_transformers.models.Transformer"}, {"path": path, "type": "x"}]
    (model / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(ModelError, match="lies outside the model"):
        read_chain(model)
    copy_companions(model, tmp_path / "new")
    assert not list((tmp_path / "new").rglob("secret"))


def test_what_the_new_directory_lacks_is_kept_but_for_old_weights(model, tmp_path):
    new = tmp_path / "new"
    new.mkdir()
    (new / "config.json").write_text("new")
    (model / "model-00001-of-00002.safetensors").write_text("old")
    (model / "model_optimized.pt").write_text("old")
    for graph in ("onnx/model.onnx", "openvino/openvino_model.xml", "1/model.xml", "1/model.bin"):
        (model / graph).parent.mkdir(exist_ok=True)
        (model / graph).write_text("old")
    (model / "notes").mkdir()
    (model / "notes" / "mine.xml").write_text("no graph")
    for graph in ("openvino_model.xml", "openvino_model.bin", "openvino_tokenizer.xml", "prensa_export.json"):
        (model / graph).write_text("old")
    keep_others(model, new)
    kept = sorted(str(path.relative_to(new)) for path in new.rglob("*") if path.is_file())
    assert kept == [
        ".hidden",
        "checkpoint-5/state.json",
        "config.json",
        "notes/mine.xml",
        "spm.model",
        "tf_model.h5",
        "tokenizer.json",
    ]
    assert (new / "config.json").read_text() == "new"


def test_config_keeps_what_it_had(tmp_path):
    write_config(tmp_path, {"a": [1], "torch_dtype": "float32"}, "float16", {"quant_method": "x"})
    assert json.loads((tmp_path / "config.json").read_text()) == {
        "a": [1],
        "dtype": "float16",
        "quantization_config": {"quant_method": "x"},
    }
    write_config(tmp_path, {"torch_dtype": "float32"}, None, None)
    assert json.loads((tmp_path / "config.json").read_text()) == {"torch_dtype": "float32"}
