"""A model with a layer that 8 bits ruin, and whose answers in float are those of the model before."""

import torch
import transformers

from tests.bert import bert

LARGE = 300.0
RUINED = "encoder.layer.0.output.dense"
LETTERS = "abcdefghijklmnop"


def ruin(fan_in, fan_out):
    """Have two neurons cancel each other: weights so large that beside them 8 bits have no room for others.

    ``fan_in`` gives the neurons and ``fan_out`` reads them, both as ``[out, in]``.
    """
    with torch.no_grad():
        for parameter in fan_in:
            parameter[1] = parameter[0]
        fan_out[:, 0] = LARGE
        fan_out[:, 1] = -LARGE


def ruined(place, head, **settings):
    """A BERT of which 8 bits leave nothing in one layer, with its tokenizer."""
    bert(place, head, **settings)
    model = getattr(transformers, head).from_pretrained(place)
    layer = model.base_model.encoder.layer[0]
    ruin((layer.intermediate.dense.weight, layer.intermediate.dense.bias), layer.output.dense.weight)
    model.save_pretrained(place)
    return place


def write_texts(path):
    """Write sixty texts of one to six words."""
    lines = [
        " ".join(LETTERS[(n * k + k) % 16] * (1 + n % 3) for k in range(1, 3 + n % 6)) for n in range(60)
    ]
    path.write_text("\n".join(["text", *lines]) + "\n")
    return path
