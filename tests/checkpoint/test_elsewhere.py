"""What lies in place of a model is named, with what to do about it."""

import shutil

import pytest
from tests.conftest import change_config

import prensa
from prensa.errors import ModelError


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("tf_model.h5", "tf_model.h5 is TensorFlow's: convert it with transformers 4"),
        ("flax_model.msgpack", "flax_model.msgpack is Flax's"),
        ("model.onnx", "model.onnx is an exported graph"),
        ("onnx/model.onnx", "onnx/model.onnx is an exported graph"),
        ("openvino_model.xml", "openvino_model.xml is an exported graph"),
        ("model.gguf", "model.gguf is llama.cpp's and quantized already"),
        ("model.fp16.safetensors", "found model.fp16.safetensors, a variant: rename it to model.safetensors"),
        ("pytorch_model.fp16.bin", "found pytorch_model.fp16.bin, a variant: rename it to pytorch_model.bin"),
        ("weights.safetensors", "found weights.safetensors: rename it"),
        ("last.ckpt", "found last.ckpt: rename it to pytorch_model.bin"),
        ("best.pt", "found best.pt: rename it to pytorch_model.bin"),
        ("model_optimized.pt", "model_optimized.pt is only a copy"),
        ("training_args.bin", "save the model there with save_pretrained"),
        ("checkpoint-500", "it holds checkpoint-500: give that directory"),
    ],
)
def test_weights_under_another_name(model, tmp_path, name, words):
    whole = shutil.copytree(model, tmp_path / "whole")
    (model / "model.safetensors").unlink()
    if name.startswith("checkpoint"):
        whole.rename(model / name)
    else:
        (model / name).parent.mkdir(exist_ok=True)
        (model / name).write_bytes(b"x")
    for use in (lambda: prensa.compress(model, tmp_path / "out"), lambda: prensa.load(model)):
        with pytest.raises(ModelError) as caught:
            use()
        assert words in str(caught.value)


def test_a_trainers_folder(model, tmp_path):
    for step in (1000, 500, 1500, 2000):
        shutil.copytree(model, tmp_path / "trainer" / f"checkpoint-{step}")
    words = (
        "it holds checkpoint-500, checkpoint-1000, checkpoint-1500 and 1 more: give one of these directories"
    )
    with pytest.raises(ModelError, match=words):
        prensa.compress(tmp_path / "trainer", tmp_path / "out")


def test_a_directory_of_something_else(tmp_path):
    (tmp_path / "x.txt").write_text("x")
    with pytest.raises(ModelError, match=r"no config.json; it is not a Hugging Face model directory"):
        prensa.compress(tmp_path, tmp_path.parent / "out")


def test_a_config_that_cannot_be_read(model):
    change_config(model, transformers_weights=3)
    with pytest.raises(ModelError, match="expected 3, which config.json names"):
        prensa.load(model)
