"""Tiny models made narrower by hand, each layer by another amount, and the structure that says so."""

import torch
import transformers

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
    "llama": ("model.layers.{}.", (), "", ("mlp.gate_proj", "mlp.up_proj"), "mlp.down_proj"),
}
HEADS, NEURONS = [(0, 2), (1, 2, 3)], [37, 64]
COUNTS = ("attention.self.num_attention_heads", "attention.self.all_head_size")
HEAD_SIZE = 12  # that of the models in conftest.py


def narrowed(directory, family):
    """Load a model and take neurons and heads away. Returns it with its structure."""
    kind = getattr(transformers, transformers.AutoConfig.from_pretrained(directory).architectures[0])
    model = kind.from_pretrained(directory).eval()
    matrices, counts = {}, {}
    layer, projections, mixer, ups, down = PLACES[family]

    def keep(name, rows=None, columns=None):
        module = model.get_submodule(name)
        if rows is not None:
            module.weight = torch.nn.Parameter(module.weight.detach()[rows].clone())
            if module.bias is not None:
                module.bias = torch.nn.Parameter(module.bias.detach()[rows].clone())
        if columns is not None:
            module.weight = torch.nn.Parameter(module.weight.detach()[:, columns].clone())
        module.out_features, module.in_features = module.weight.shape
        matrices[name] = tuple(module.weight.shape)

    for index, (heads, neurons) in enumerate(zip(HEADS, NEURONS, strict=True)):
        prefix = layer.format(index)
        for up in ups:
            keep(prefix + up, rows=torch.arange(neurons))
        keep(prefix + down, columns=torch.arange(neurons))
        if not projections:
            continue
        kept = torch.cat([torch.arange(HEAD_SIZE) + HEAD_SIZE * head for head in heads])
        for projection in projections:
            keep(prefix + projection, rows=kept)
        keep(prefix + mixer, columns=kept)
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
