"""Every way to go wrong is one line on stderr, exit code 2, and nothing left behind."""

import os

import pytest
import torch
from tests.conftest import change_config, change_weights, directory_bytes, leftovers


def test_version_and_help(command):
    assert command("--version")[:2] == (0, "0.1.0\n")
    code, out, _ = command()
    assert code == 0
    assert all(command in out for command in ("compress", "inspect", "demo"))
    assert command("compress", "--help")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["compres"], "No such command 'compres'"),
        (["compress"], "Missing argument 'MODEL'"),
        (["compress", "m"], "Missing option '-o'"),
        (["compress", "m", "-o", "o", "--colour"], "No such option"),
        (["compress", "m", "-o", "o", "--prune", "much"], "Invalid value for '--prune'"),
        (["compress", "m", "-o", "o", "--prune", "0.95"], "amount must be a number from 0 to 0.9"),
        (["compress", "m", "-o", "o", "--prune", "nan"], "found nan"),
        (["compress", "m", "-o", "o", "--threshold", "-1"], "threshold must be a number from 0 to 1"),
        (["compress", "m", "-o", "o", "--bits", "7"], "bits must be 8 or 16"),
        (["compress", "m", "-o", "o", "--format", "zip"], "unknown format 'zip'"),
        (["compress", "m", "-o", "o", "--preset", "tiny"], "unknown preset 'tiny'"),
        (["compress", "m", "-o", "o", "--recipe", "none.toml"], "none.toml: cannot be read"),
        (["compress", "m", "-o", "o", "--recipe", "a", "--preset", "half"], "not both"),
        (["compress", "/no/model", "-o", "o"], "/no/model: no such directory"),
        (["compress", "someone/model", "-o", "o"], "the hub did not give a model"),
        (["inspect", "/no/model"], "/no/model: no such directory"),
    ],
)
def test_bad_arguments(command, assert_refused, arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert_refused(command(*arguments), message)
    assert not list(tmp_path.iterdir())


def nan(directory):
    name = "classifier.weight"
    change_weights(directory, lambda tensors: tensors[name].__setitem__((0, 0), float("nan")))


def truncate(directory):
    os.truncate(directory / "model.safetensors", 1000)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda d: (d / "config.json").unlink(), "no config.json"),
        (lambda d: (d / "model.safetensors").unlink(), "no weights found"),
        (truncate, "not a whole safetensors file"),
        (nan, "tensor classifier.weight holds NaN"),
        (lambda d: change_config(d, model_type="none"), "transformers cannot use it"),
        (lambda d: change_config(d, quantization_config={"quant_method": "awq"}), "quantized already (awq)"),
        (
            lambda d: (torch.save([1], d / "pytorch_model.bin"), (d / "model.safetensors").unlink()),
            "dictionary",
        ),
    ],
)
def test_bad_models(command, assert_refused, model, tmp_path, damage, message):
    damage(model)
    before = directory_bytes(tmp_path)
    assert_refused(command("compress", model, "-o", tmp_path / "out"), message)
    assert directory_bytes(tmp_path) == before
    assert_refused(command("compress", model, "-o", model, "--force"), message)
    assert directory_bytes(tmp_path) == before
    assert not leftovers(tmp_path)


def test_bad_outputs(command, assert_refused, model, tmp_path):
    before = directory_bytes(tmp_path)
    assert_refused(command("compress", model, "-o", model), "is not empty; give --force")
    assert_refused(command("compress", model, "-o", model / "out"), "lies inside the model directory")
    assert_refused(command("compress", model, "-o", tmp_path, "--force"), "holds the model directory")
    assert_refused(command("compress", model, "-o", model / "config.json"), "lies inside the model directory")
    assert directory_bytes(tmp_path) == before


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (KeyboardInterrupt, "interrupted; nothing was changed"),
        (MemoryError, "out of memory; nothing was changed"),
        (OSError(28, "No space left on device"), "the disk is full; nothing was changed"),
    ],
)
def test_stopped_on_the_way(command, assert_refused, model, tmp_path, monkeypatch, error, message):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr("prensa.pressing.run._press", fail)
    before = directory_bytes(tmp_path)
    for output in (tmp_path / "out", model):
        assert_refused(command("compress", model, "-o", output, "--force"), message)
        assert directory_bytes(tmp_path) == before
        assert not leftovers(tmp_path)
