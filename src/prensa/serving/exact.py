"""The original's own answers, in PyTorch in float32: what an export is compared with."""

from __future__ import annotations

import contextlib
import logging
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from prensa.errors import ModelError, PrensaError, first_line
from prensa.runtime.accelerate import accelerate_answers
from prensa.serving import exported
from prensa.serving.distance import Comparison
from prensa.serving.exported import Inputs
from prensa.serving.plan import ExportPlan
from prensa.serving.pytorch import Engine
from prensa.serving.ways import InBatches, find_way, one_by_one, probes, take

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel

PLAIN = "eager"
"""The attention that is written out in matrix products."""

_BROKEN = "the original gives no number (NaN or infinity) on some texts; there is nothing to compare with"

_log = logging.getLogger(__name__)


class NamedEngine:
    """An engine of a runtime, or of PyTorch, whose own errors become one line that names the model."""

    def __init__(self, model: Path, name: str, engine: exported.Engine) -> None:
        self._model = model
        self._name = name
        self._engine = engine

    def __call__(self, inputs: Inputs) -> list[NDArray[np.float32]]:
        """Answer. Raises :class:`ModelError` where the engine fails."""
        try:
            return self._engine(inputs)
        # These say already what is wrong.
        except PrensaError:
            raise
        except Exception as error:
            some_input = next(iter(inputs.values()))
            shape = " × ".join(map(str, some_input.shape))
            raise ModelError(
                f"{self._model}: {self._name} fails on {shape} tokens ({first_line(error)}); "
                "the model cannot be exported"
            ) from error


def exact_answering(
    plan: ExportPlan, model: PreTrainedModel, names: tuple[str, ...], attention: str | None
) -> InBatches:
    """Make a model faster, and return how it answers many texts as it did before.

    ``attention`` is the implementation that it gets, None for its own. Raises :class:`ModelError` for a model
    that does not answer texts, or not twice the same.
    """
    tried = take(plan.samples, probes(plan.samples))
    engine = NamedEngine(plan.model, type(model).__name__, Engine(model))
    # Before anything is changed in the model: these answers are what every faster way must give again.
    truth = one_by_one(engine, tried, names)
    for answer in truth:
        if not np.isfinite(answer).all():
            raise ModelError(f"{plan.model}: {_BROKEN}")

    # What makes it faster, and what the runtime converts best.
    accelerate_answers(model)
    if _slides(model.config):
        attention = PLAIN
    if attention is not None:
        # A model that has no such choice raises, and stays as it is.
        with contextlib.suppress(ValueError):
            model.set_attn_implementation(attention)
    way = find_way(engine, tried, names, truth)
    if way is None:
        raise ModelError(
            f"{plan.model}: {type(model).__name__} does not answer the same text twice in the same way; "
            "an export cannot be compared with it, use it in PyTorch"
        )
    return InBatches(engine, names, way)


def check_comparable(plan: ExportPlan, compared: Comparison) -> None:
    """Raise :class:`ModelError` if there is nothing to compare with, and warn if it shows little."""
    count = len(plan.samples.rows)
    if compared.broken:
        raise ModelError(f"{plan.model}: {_BROKEN} ({compared.broken:,} of {count:,} texts)")
    if compared.alike and count > 1:
        _log.warning(
            "%s: the original gives the same answer to all %d texts of %s; the export giving it, too, "
            "shows little. Is the model trained?",
            plan.model,
            count,
            plan.texts,
        )


def _slides(config: PretrainedConfig) -> bool:
    """Whether some layers attend to near tokens alone: far in the padding there is none of them.

    Fused kernels then give no number, and that times a weight of zero is no number either. The plain
    implementation has no such rows.
    """
    # Newer configs name the kind of each layer; of older ones a window is all there is.
    kinds = getattr(config, "layer_types", None) or ()
    if kinds:
        return "sliding_attention" in kinds
    window = getattr(config, "sliding_window", None) or getattr(config, "local_attention", None)
    return window is not None and window > 0
