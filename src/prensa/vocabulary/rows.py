"""The tensors of a model that have a row for each piece, and a checkpoint without some of them."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import torch

from prensa.checkpoint.reader import Checkpoint
from prensa.checkpoint.roles import ModelShape, model_shape
from prensa.errors import VocabularyError
from prensa.temporary import temporary_directory
from prensa.vocabulary.plan import Vocabulary


def trimmed(
    checkpoint: Checkpoint, shape: ModelShape, vocabulary: Vocabulary
) -> tuple[Checkpoint, ModelShape]:
    """Return what a checkpoint and its model class are with fewer pieces. No weight is read.

    Which tensors have a row for each piece is seen by building the class with both numbers of pieces: their
    shapes differ. Raises :class:`VocabularyError` where another dimension than the first does.
    """
    after = _shape_with(vocabulary.config)
    kept = torch.tensor(vocabulary.report.kept)
    specs, rows = [], {}
    for spec in checkpoint.specs:
        own = shape.own_name(spec.name)
        if own is None or shape.parameters[own].shape == after.parameters[own].shape:
            specs.append(spec)
            continue
        count, *columns = spec.shape
        if after.parameters[own].shape != (len(kept), *columns):
            raise VocabularyError(
                f"{spec.file}: tensor {spec.name} counts the pieces, but not in its rows "
                f"({list(spec.shape)}); such a model cannot be trimmed"
            )
        specs.append(dataclasses.replace(spec, shape=(len(kept), *columns), rows_before=count))
        rows[spec.name] = kept
    changed = dataclasses.replace(checkpoint, specs=tuple(specs), rows=rows, config=vocabulary.config)
    return changed, after


def _shape_with(config: Any) -> ModelShape:
    with temporary_directory() as place:
        (place / "config.json").write_text(json.dumps(dict(config)), encoding="utf-8")
        return model_shape(place)
