import pytest
import torch
import transformers

import prensa
from prensa.errors import CheckpointError


def test_an_original_loads_with_its_head(model):
    loaded = prensa.load(model)
    assert isinstance(loaded, transformers.DebertaV2ForSequenceClassification)
    assert not loaded.training
    assert loaded.dtype == torch.float32


def test_nothing_to_load(tmp_path):
    with pytest.raises(CheckpointError):
        prensa.load(tmp_path)
    with pytest.raises(CheckpointError, match="no such directory"):
        prensa.load(tmp_path / "nothing")
