"""Tiny models made narrower by hand, each layer by another amount, and the structure that says so."""

import torch
import transformers
from transformers.pytorch_utils import Conv1D

from prensa.checkpoint.structure import Structure
from prensa.shrink.write import write_model

# For each family the layers, the projections of attention, what reads their heads, and the feed-forward matrices:
# those with a row for each neuron, and the one with a column.
PLACES = {
    "bert": (
        "bert.encoder.layer.{}.",
        ("attention.self.query", "attention.self.key", "attention.self.value"),
        "attention.output.dense",
        ("intermediate.dense",),
        "output.dense",
    ),
    "deberta": (
        "deberta.encoder.layer.{}.",
        ("attention.self.query_proj", "attention.self.key_proj", "attention.self.value_proj"),
        "attention.output.dense",
        ("intermediate.dense",),
        "output.dense",
    ),
    "gpt2": ("transformer.h.{}.", (), "", ("mlp.c_fc",), "mlp.c_proj"),
    "llama": ("model.layers.{}.", (), "", ("mlp.gate_proj", "mlp.up_proj"), "mlp.down_proj"),
}
HEADS, NEURONS = [(0, 2), (1, 2, 3)], [37, 64]
COUNTS = ("attention.self.num_attention_heads", "attention.self.all_head_size")
HEAD_SIZE = 12  # that of the models in conftest.py


def keep(module, rows=None, columns=None):
    """Leave some outputs and inputs of a Linear or Conv1D. Returns how many it has."""
    is_turned = isinstance(module, Conv1D)
    weight = module.weight.detach().T if is_turned else module.weight.detach()
    if rows is not None:
        weight = weight[rows]
        if module.bias is not None:
            module.bias = torch.nn.Parameter(module.bias.detach()[rows].clone())
    if columns is not None:
        weight = weight[:, columns]
    sizes = tuple(weight.shape)
    if is_turned:
        module.nf, module.nx = sizes
        weight = weight.T
    else:
        module.out_features, module.in_features = sizes
    module.weight = torch.nn.Parameter(weight.clone())
    return sizes


def narrowed(directory, family):
    """Load a model and take neurons and heads away. Returns it with its structure."""
    kind = getattr(transformers, transformers.AutoConfig.from_pretrained(directory).architectures[0])
    model = kind.from_pretrained(directory).eval()
    matrices, counts = {}, {}
    layer, projections, mixer, ups, down = PLACES[family]

    for index, (heads, neurons) in enumerate(zip(HEADS, NEURONS, strict=True)):
        prefix = layer.format(index)
        for up in ups:
            matrices[prefix + up] = keep(model.get_submodule(prefix + up), rows=torch.arange(neurons))
        matrices[prefix + down] = keep(model.get_submodule(prefix + down), columns=torch.arange(neurons))
        if not projections:
            continue
        kept = torch.cat([torch.arange(HEAD_SIZE) + HEAD_SIZE * head for head in heads])
        for projection in projections:
            matrices[prefix + projection] = keep(model.get_submodule(prefix + projection), rows=kept)
        matrices[prefix + mixer] = keep(model.get_submodule(prefix + mixer), columns=kept)
        for name, value in zip(COUNTS, (len(heads), len(kept)), strict=True):
            counts[prefix + name] = value
            path, _, attribute = (prefix + name).rpartition(".")
            setattr(model.get_submodule(path), attribute, value)
    return model, Structure(matrices, counts)


def shrunk(original, directory, family):
    """Write a narrower model of ``original``. Returns the one in memory."""
    model, structure = narrowed(original, family)
    directory.mkdir()
    write_model(model, original, directory, structure, {})
    return model
