import contextlib
import json
import os
import pickle
import random
import shutil

import pytest
import torch
from safetensors.torch import load_file
from tests.conftest import build_model, change_config

from prensa.checkpoint.reader import open_checkpoint
from prensa.errors import ModelError


def expected_tensors(directory):
    return {k: v for file in directory.glob("*.safetensors") for k, v in load_file(file).items()}


def to_pickle(directory, name="pytorch_model.bin", **saving):
    tensors = expected_tensors(directory)
    for file in directory.glob("model*.safetensors*"):
        file.unlink()
    torch.save(tensors, directory / name, **saving)
    return tensors


def assert_reads(checkpoint, expected):
    assert {spec.name for spec in checkpoint.specs} == set(expected)
    for spec in checkpoint.specs:
        assert spec.shape == tuple(expected[spec.name].shape)
        assert spec.dtype == expected[spec.name].dtype
        assert torch.equal(checkpoint.read(spec), expected[spec.name])
        if len(spec.shape) > 1:
            assert torch.equal(checkpoint.read(spec, slice(1, 3)), expected[spec.name][1:3])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_one_file(tmp_path, dtype):
    directory = build_model("deberta", tmp_path, dtype)
    checkpoint = open_checkpoint(directory)
    assert checkpoint.files == ("model.safetensors",)
    assert checkpoint.nbytes == (directory / "model.safetensors").stat().st_size
    assert_reads(checkpoint, expected_tensors(directory))


def test_shards_with_an_index(tmp_path):
    directory = build_model("bert", tmp_path, max_shard_size="60KB")
    checkpoint = open_checkpoint(directory)
    assert len(checkpoint.files) > 2
    assert_reads(checkpoint, expected_tensors(directory))


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_a_pickled_file(model, zipped):
    expected = to_pickle(model, _use_new_zipfile_serialization=zipped)
    assert_reads(open_checkpoint(model), expected)


def test_pickled_shards_with_an_index(model):
    expected = to_pickle(model)
    names = sorted(expected)
    halves = {"pytorch_model-00001-of-00002.bin": names[::2], "pytorch_model-00002-of-00002.bin": names[1::2]}
    (model / "pytorch_model.bin").unlink()
    for file, keys in halves.items():
        torch.save({key: expected[key] for key in keys}, model / file)
    weight_map = {key: file for file, keys in halves.items() for key in keys}
    (model / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": weight_map}))
    assert_reads(open_checkpoint(model), expected)


def test_shared_memory_in_a_pickled_file_is_seen(model):
    expected = to_pickle(model)
    name = "deberta.embeddings.word_embeddings.weight"
    torch.save({**expected, "tied.weight": expected[name]}, model / "pytorch_model.bin")
    assert open_checkpoint(model).shared == {"tied.weight": name}


def damage(message, change):
    return pytest.param(change, message, id=message[:40])


def truncated(directory):
    file = directory / "model.safetensors"
    os.truncate(file, file.stat().st_size - 100)


def bad_header(directory):
    with (directory / "model.safetensors").open("r+b") as file:
        file.seek(8)
        file.write(b"}" * 10)


def absurd_header(directory):
    with (directory / "model.safetensors").open("r+b") as file:
        file.write(b"\xff" * 8)


def missing_shard(directory):
    (directory / "model.safetensors").rename(directory / "weights")
    index = {"weight_map": {"a": "model-00001-of-00001.safetensors"}}
    (directory / "model.safetensors.index.json").write_text(json.dumps(index))


def climbing_shard(directory):
    (directory / "model.safetensors").rename(directory.parent / "outside.safetensors")
    index = {"weight_map": {"a": "../outside.safetensors"}}
    (directory / "model.safetensors.index.json").write_text(json.dumps(index))


class Evil:
    def __reduce__(self):
        return (os.mkdir, ("evil-was-executed",))


def pickled_object(directory):
    (directory / "model.safetensors").unlink()
    with (directory / "pytorch_model.bin").open("wb") as file:
        pickle.dump({"a": Evil()}, file)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        damage("no config.json; weights alone are not enough", lambda d: (d / "config.json").unlink()),
        damage("not readable as JSON", lambda d: (d / "config.json").write_text("{")),
        damage("expected a JSON object, found list", lambda d: (d / "config.json").write_text("[]")),
        damage("no weights found, expected model.safetensors", lambda d: (d / "model.safetensors").unlink()),
        damage("not a whole safetensors file", truncated),
        damage("not a whole safetensors file ", lambda d: (d / "model.safetensors").write_bytes(b"")),
        damage("not a whole safetensors file (", bad_header),
        damage("not a whole safetensors file (E", absurd_header),
        damage("which is missing; fetch it again", missing_shard),
        damage("is not a file beside the index", climbing_shard),
        damage("expected a pickled dictionary of tensors", pickled_object),
        damage(
            "quantized already (gptq)",
            lambda d: change_config(d, quantization_config={"quant_method": "gptq"}),
        ),
        damage("quantized already (an unnamed", lambda d: change_config(d, quantization_config=["x"])),
        damage("not readable as JSON (max", lambda d: (d / "config.json").write_text("[" * 100_000)),
    ],
)
def test_damage_is_named(model, change, message, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    change(model)
    with pytest.raises(ModelError) as caught:
        open_checkpoint(model)
    assert message.strip() in str(caught.value)
    assert str(model) in str(caught.value)
    assert not (tmp_path / "evil-was-executed").exists()


@pytest.mark.parametrize("content", [[1, 2], {}, {"epoch": 3}, {"model": {"a": 1}}])
def test_a_pickle_that_is_not_tensors(model, content):
    (model / "model.safetensors").unlink()
    torch.save(content, model / "pytorch_model.bin")
    with pytest.raises(ModelError, match="expected a dictionary of tensors"):
        open_checkpoint(model)


@pytest.mark.parametrize(
    "content",
    [
        {"a": torch.eye(3).to_sparse()},
        {"a": torch.empty(2, device="meta")},
        {3: torch.ones(1)},
        {"a": torch.ones(1, dtype=torch.complex128)},
    ],
    ids=["sparse", "meta", "integer key", "complex128"],
)
def test_tensors_that_cannot_be_stored(model, content):
    (model / "model.safetensors").unlink()
    torch.save(content, model / "pytorch_model.bin")
    with pytest.raises(ModelError, match="expected"):
        open_checkpoint(model)


def test_pickled_parameters(model):
    expected = to_pickle(model)
    parameters = {name: torch.nn.Parameter(tensor) for name, tensor in expected.items()}
    torch.save(parameters, model / "pytorch_model.bin")
    assert_reads(open_checkpoint(model), expected)


def test_a_tensor_in_two_shards(model):
    (model / "a.safetensors").write_bytes((model / "model.safetensors").read_bytes())
    (model / "model.safetensors").rename(model / "b.safetensors")
    index = {"weight_map": {"x": "a.safetensors", "y": "b.safetensors"}}
    (model / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(ModelError, match=r"is in a.safetensors and in b.safetensors"):
        open_checkpoint(model)


def test_a_tensor_of_the_index_that_is_in_no_shard(model):
    (model / "model.safetensors").rename(model / "a.safetensors")
    index = {"weight_map": {"lost.weight": "a.safetensors"}}
    (model / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(ModelError, match=r"names the tensor lost.weight, which is in no shard"):
        open_checkpoint(model)


@pytest.mark.parametrize("zipped", [True, False])
def test_damaged_pickles_are_refused_whatever_is_damaged(model, zipped):
    torch.save({"a": torch.randn(3, 4)}, model / "whole.bin", _use_new_zipfile_serialization=zipped)
    (model / "model.safetensors").unlink()
    content, generator = (model / "whole.bin").read_bytes(), random.Random(0)
    for _ in range(300):
        damaged = bytearray(content)
        damaged[generator.randrange(len(damaged))] = generator.randrange(256)
        (model / "pytorch_model.bin").write_bytes(damaged)
        with contextlib.suppress(ModelError):
            open_checkpoint(model)


def test_a_file_that_shrinks_while_it_is_read(model, monkeypatch):
    checkpoint = open_checkpoint(model)
    truncated(model)
    monkeypatch.setattr(type(checkpoint), "_check_unchanged", lambda *_: None)
    with pytest.raises(ModelError, match="became shorter"):
        for spec in checkpoint.specs:
            checkpoint.read(spec)


@pytest.mark.parametrize("pickled", [True, False])
def test_a_file_that_another_program_writes_meanwhile(model, tmp_path, pickled):
    if pickled:
        to_pickle(model)
    checkpoint = open_checkpoint(model)
    (path,) = (model / file for file in checkpoint.files)
    shutil.copy(path, tmp_path / "new")
    (tmp_path / "new").replace(path)
    with pytest.raises(ModelError, match="was written by another program while it was read; run again"):
        checkpoint.read(checkpoint.specs[0])
