"""The tensors of a model that have a row for each token, and a checkpoint without some of them."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping

import torch
from torch import Tensor

from prensa.checkpoint.reader import Checkpoint
from prensa.checkpoint.roles import ModelShape, model_shape
from prensa.errors import ModelError
from prensa.files.temporary import temporary_directory
from prensa.ops.spec import TensorSpec
from prensa.vocabulary.plan import Vocabulary


def trimmed(
    checkpoint: Checkpoint, shape: ModelShape, vocabulary: Vocabulary
) -> tuple[Checkpoint, ModelShape]:
    """Return what a checkpoint and its model class are with fewer tokens. No weight is read.

    Which tensors have a row for each token is seen by building the class with both numbers of tokens: their
    shapes differ. Raises :class:`ModelError` if another dimension than the first does.
    """
    # Names say nothing: classes call these tensors what they like, and some are biases.
    after = _shape_with(vocabulary.config)
    kept = torch.tensor(vocabulary.report.kept)
    specs: list[TensorSpec] = []
    rows: dict[str, Tensor] = {}
    for spec in checkpoint.specs:
        own = shape.own_name(spec.name)
        # What the class does not have it does not use, and it stays as it is.
        if own is None:
            specs.append(spec)
            continue
        shape_after = after.parameters[own].shape
        if shape.parameters[own].shape == shape_after:
            specs.append(spec)
            continue
        count, *columns = spec.shape
        new_shape = (len(kept), *columns)
        if shape_after != new_shape:
            raise ModelError(
                f"{spec.file}: tensor {spec.name} counts the tokens, but not in its rows "
                f"({list(spec.shape)}); such a model cannot be trimmed"
            )
        specs.append(dataclasses.replace(spec, shape=new_shape, rows_before=count))
        rows[spec.name] = kept
    changed = dataclasses.replace(checkpoint, specs=tuple(specs), rows=rows, config=vocabulary.config)
    return changed, after


def _shape_with(config: Mapping[str, object]) -> ModelShape:
    with temporary_directory() as place:
        text = json.dumps(dict(config))
        (place / "config.json").write_text(text, encoding="utf-8")
        return model_shape(place)
