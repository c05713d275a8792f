"""Our files against those that transformers and bitsandbytes themselves save."""

import json

import pytest
import torch
import transformers
from safetensors.torch import load_file
from tests.conftest import build_model

import prensa
from prensa.pressing.recipe import Changes, adjusted, load_preset

pytest.importorskip("bitsandbytes")
pytest.importorskip("accelerate")

INT8 = adjusted(load_preset("int8"), Changes(format="bitsandbytes"))


# Before, every model was saved with the norms' names of 2018 (gamma, beta).
NEW_ENOUGH = tuple(map(int, transformers.__version__.split(".")[:2])) >= (5, 1)


@pytest.mark.skipif(not NEW_ENOUGH, reason="transformers 5.0 saves norms under other names")
@pytest.mark.parametrize("family", ["deberta", "bert", "gpt2", "llama"])
def test_files_are_what_the_libraries_would_have_saved(family, tmp_path):
    source = build_model(family, tmp_path / "model")
    prensa.compress(source, tmp_path / "ours", recipe=INT8)
    ours = json.loads((tmp_path / "ours" / "config.json").read_text())["quantization_config"]
    config = transformers.BitsAndBytesConfig(
        load_in_8bit=True, llm_int8_skip_modules=ours["llm_int8_skip_modules"]
    )
    kind = getattr(transformers, json.loads((source / "config.json").read_text())["architectures"][0])
    model = kind.from_pretrained(source, quantization_config=config, dtype=torch.float16)
    model.save_pretrained(tmp_path / "theirs")
    left, right = (load_file(tmp_path / name / "model.safetensors") for name in ("ours", "theirs"))
    assert left.keys() == right.keys()
    for name, tensor in right.items():
        assert left[name].dtype == tensor.dtype, name
        assert torch.equal(left[name], tensor), name
    theirs = json.loads((tmp_path / "theirs" / "config.json").read_text())["quantization_config"]
    assert {key: theirs[key] for key in ours if key != "llm_int8_skip_modules"} == {
        key: value for key, value in ours.items() if key != "llm_int8_skip_modules"
    }


def test_load_save_load_save_is_exact(model, tmp_path):
    prensa.compress(model, tmp_path / "first", recipe=INT8)
    first = prensa.load(tmp_path / "first")
    first.save_pretrained(tmp_path / "second")
    second = prensa.load(tmp_path / "second")
    second.save_pretrained(tmp_path / "third")
    left, right = first.state_dict(), second.state_dict()
    tensors = [name for name, value in left.items() if isinstance(value, torch.Tensor)]
    assert all(torch.equal(left[name], right[name]) for name in tensors)
    files = [load_file(tmp_path / name / "model.safetensors") for name in ("first", "second", "third")]
    for one, other in zip(files, files[1:], strict=False):
        if NEW_ENOUGH:
            assert one.keys() == other.keys()
        assert all(torch.equal(one[name], other[name]) for name in one.keys() & other.keys())


def test_predictions_are_those_of_the_packed_model(model, tmp_path):
    prensa.compress(model, tmp_path / "bnb", recipe=INT8)
    prensa.compress(model, tmp_path / "packed", preset="int8")
    ids = torch.arange(2, 18).reshape(2, 8)
    with torch.inference_mode():
        ours = prensa.load(tmp_path / "packed")(ids).logits
        theirs = prensa.load(tmp_path / "bnb")(ids).logits
    assert torch.allclose(ours, theirs, atol=0.05)
