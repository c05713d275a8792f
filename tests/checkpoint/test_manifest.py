import json

import pytest

import prensa
from prensa.checkpoint.manifest import load_manifest
from prensa.errors import FormatError, ModelError


@pytest.fixture
def result(model, tmp_path):
    prensa.compress(model, tmp_path / "out", preset="classic")
    return tmp_path / "out"


def test_a_manifest_without_a_version_is_refused(result):
    content = json.loads((result / "manifest.json").read_text())
    del content["version"]
    (result / "manifest.json").write_text(json.dumps(content))
    with pytest.raises(FormatError, match="it has no version"):
        load_manifest(result)


def test_it_comes_back_as_it_was(model, tmp_path):
    manifest = prensa.compress(model, tmp_path / "out", preset="classic").manifest
    assert load_manifest(tmp_path / "out") == manifest
    assert prensa.inspect(tmp_path / "out") == manifest


def test_sizes_are_those_of_the_files(result):
    manifest = load_manifest(result)
    assert manifest.nbytes == (result / "model.safetensors").stat().st_size
    stored = sum(tensor.nbytes for tensor in manifest.tensors)
    assert stored < manifest.nbytes < stored + 300 * len(manifest.tensors)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"version": 1}'])
def test_a_damaged_manifest(result, content):
    (result / "manifest.json").write_text(content)
    with pytest.raises(FormatError, match="not a readable manifest"):
        load_manifest(result)


def test_a_manifest_of_a_newer_version(result):
    content = json.loads((result / "manifest.json").read_text()) | {"version": 99}
    (result / "manifest.json").write_text(json.dumps(content))
    with pytest.raises(FormatError, match="expected version 1, found 99; install a newer prensa"):
        load_manifest(result)


def test_inspect_compares_the_files_with_the_manifest(result):
    file = result / "model.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(FormatError, match="not the file that"):
        prensa.inspect(result)
    file.unlink()
    with pytest.raises(ModelError, match="is missing"):
        prensa.inspect(result)


def test_inspect_reads_headers_of_a_model_that_was_not_pressed(model):
    manifest = prensa.inspect(model)
    assert {tensor.codec for tensor in manifest.tensors} == {"dense"}
    assert manifest.nbytes == manifest.nbytes_before == (model / "model.safetensors").stat().st_size
    assert all(tensor.zeros is None for tensor in manifest.tensors)
