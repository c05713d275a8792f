import copy

import torch
from tests.families import FAMILIES

from prensa.serving.stopwatch import Stopwatch
from prensa.texts.encoding import Encoded


def test_models_are_timed_in_turns_and_stay_as_they_are(tmp_path):
    family = FAMILIES["deberta-v2"]
    model = family.build()
    before = copy.deepcopy(model.state_dict())
    rows = [{"input_ids": [5, 6, 7], "attention_mask": [1, 1, 1]}, {"input_ids": [8], "attention_mask": [1]}]
    encoded = Encoded("classes", "right", {"input_ids": 0, "attention_mask": 0}, None, rows)
    watch = Stopwatch("torch", "float32", encoded, 32, tmp_path)
    assert len(watch.seconds([model, copy.deepcopy(model)])) == 2
    assert all(each > 0 for each in watch.seconds([model]))
    assert type(model.deberta.encoder.layer[0].attention.self).__name__ == "DisentangledSelfAttention"
    for name, weight in model.state_dict().items():
        assert torch.equal(weight, before[name])
