import importlib.util

import pytest
import torch
import transformers

import prensa
from prensa.errors import MissingPackageError, ModelError
from prensa.pressing.recipe import Changes, adjusted, load_preset


def test_an_original_loads_with_its_head(model):
    loaded = prensa.load(model)
    assert isinstance(loaded, transformers.DebertaV2ForSequenceClassification)
    assert not loaded.training
    assert loaded.dtype == torch.float32


def test_a_missing_package_is_named(model, tmp_path, monkeypatch):
    recipe = adjusted(load_preset("int8"), Changes(format="bitsandbytes"))
    prensa.compress(model, tmp_path / "out", recipe=recipe)
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda name: None if name == "bitsandbytes" else find_spec(name)
    )
    with pytest.raises(
        MissingPackageError, match=r"needs bitsandbytes.*pip install 'prensa\[bitsandbytes\]'"
    ):
        prensa.load(tmp_path / "out")


def test_nothing_to_load(tmp_path):
    with pytest.raises(ModelError):
        prensa.load(tmp_path)
    with pytest.raises(ModelError, match="no such directory"):
        prensa.load(tmp_path / "nothing")
