"""What a served model is called with."""

import numpy as np
import pytest
import torch

from prensa.errors import DataError
from prensa.serving.exported import Record
from prensa.serving.facts import Facts
from prensa.serving.inputs import read_inputs

NAMES = ("input_ids", "attention_mask", "token_type_ids")
FACTS = Facts("BertModel", "embedding", (), is_number=False, ids=10, types=2)
UNBOUNDED = Facts("CanineModel", "embedding", (), is_number=False, ids=None, types=None)
IDS = torch.tensor([[1, 2, 3], [4, 5, 0]])


def record(names=NAMES, longest=4):
    return Record("torch", "float32", names, "logits", longest, "", 0.0, (), ())


def read(**given):
    return read_inputs(given, record(), FACTS)


def test_masks_and_types_may_be_missing():
    inputs = read(input_ids=IDS, attention_mask=None)
    assert {name: value.tolist() for name, value in inputs.items()} == {
        "input_ids": IDS.tolist(),
        "attention_mask": [[1] * 3] * 2,
        "token_type_ids": [[0] * 3] * 2,
    }
    assert all(value.dtype == np.int64 for value in inputs.values())


@pytest.mark.parametrize(
    "ids", [IDS.int(), IDS.numpy(), IDS.tolist(), IDS.to(torch.uint8), IDS[:, ::2], np.asfortranarray(IDS)]
)
def test_ids_in_any_form(ids):
    assert read(input_ids=ids)["input_ids"].tolist() == torch.as_tensor(ids).tolist()


@pytest.mark.parametrize("kind", [torch.bool, torch.float32, torch.bfloat16, torch.int8])
def test_a_mask_in_any_form(kind):
    assert read(input_ids=IDS, attention_mask=(IDS > 0).to(kind))["attention_mask"].tolist()[1] == [1, 1, 0]


def test_only_what_the_model_reads():
    inputs = read_inputs({"input_ids": IDS, "token_type_ids": IDS}, record(NAMES[:1]), FACTS)
    assert list(inputs) == ["input_ids"]
    assert read(input_ids=IDS, labels=None, use_cache=True, output_attentions=False, return_dict=True)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "input_ids are missing"),
        ({"attention_mask": IDS}, "input_ids are missing"),
        ({"input_ids": ["a text"]}, "found text; use predict"),
        ({"input_ids": "a text"}, "found text; use predict"),
        ({"input_ids": {"input_ids": IDS}}, "found dict; call the model with the tokenizer's output"),
        ({"input_ids": [[1, 2], [3]]}, "not a table of numbers"),
        ({"input_ids": IDS.to("meta")}, "not a table of numbers"),
        ({"input_ids": IDS.float()}, "expected integers, found float64"),
        ({"input_ids": IDS > 0}, "expected integers, found bool"),
        ({"input_ids": [[None, 1]]}, "expected integers, found object"),
        ({"input_ids": IDS, "attention_mask": IDS / 7}, "attention_mask: expected integers"),
        ({"input_ids": IDS[0]}, r"has the shape \[3\]"),
        ({"input_ids": IDS[None]}, r"has the shape \[1, 2, 3\]"),
        ({"input_ids": IDS[:0]}, r"has the shape \[0, 3\]"),
        ({"input_ids": IDS[:, :0]}, r"has the shape \[2, 0\]"),
        ({"input_ids": []}, r"has the shape \[0\]"),
        ({"input_ids": IDS.repeat(1, 2)}, "6 tokens, the model reads 4; pass truncation=True"),
        ({"input_ids": IDS + 5}, "found 10, expected 0 to 9"),
        ({"input_ids": IDS - 1}, "found -1, expected 0 to 9"),
        ({"input_ids": IDS, "attention_mask": IDS[:, :2]}, r"attention_mask has the shape \[2, 2\]"),
        ({"input_ids": IDS, "attention_mask": IDS[:1]}, r"attention_mask has the shape \[1, 3\]"),
        ({"input_ids": IDS, "token_type_ids": IDS}, "token_type_ids: found 5, expected 0 to 1"),
        ({"input_ids": IDS, "labels": torch.ones(2)}, "labels is not an input of this model"),
        ({"input_ids": IDS, "inputs_embeds": torch.ones(2, 3, 4)}, "which reads input_ids, attention_mask"),
        ({"input_ids": IDS, "output_hidden_states": True}, "output_hidden_states is not an input"),
    ],
)
def test_what_cannot_be_answered(given, words):
    with pytest.raises(DataError, match=words):
        read(**given)


def test_without_limits():
    read_inputs({"input_ids": IDS.repeat(1, 9) + 100}, record(NAMES[:1], None), UNBOUNDED)
    with pytest.raises(DataError, match="expected 0 or more"):
        read_inputs({"input_ids": -IDS}, record(NAMES[:1], None), UNBOUNDED)
