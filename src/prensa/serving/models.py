"""Load a model that is no export: in PyTorch, or exported on the spot."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from prensa.checkpoint.roles import load_config
from prensa.isolation import as_usual
from prensa.runtime.torch import load as load_pytorch
from prensa.serving.engines import AUTO, check_on_processor
from prensa.serving.exported import TORCH
from prensa.serving.exports import export_on_the_spot, precision_in
from prensa.serving.fastest import serve_fastest
from prensa.serving.in_pytorch import Dtype, serve_in_pytorch
from prensa.serving.refusals import check_served
from prensa.serving.served import Served
from prensa.texts.columns import Texts

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@as_usual()
def load_as_it_is(
    directory: Path, device: str, dtype: Dtype | None, settings: dict[str, object]
) -> PreTrainedModel:
    """Load a PyTorch model as ``from_pretrained`` gives it."""
    if dtype is not None:
        settings = {"dtype": dtype, **settings}
    # A device map needs accelerate, so the processor, where models are loaded anyway, does without.
    if device != "cpu":
        settings = {"device_map": {"": device}, **settings}
    return load_pytorch(directory, **settings)


@as_usual()
def load_to_answer(
    directory: Path, runtime: str, device: str, dtype: Dtype | None, texts: Texts | None
) -> Served:
    """Load a model in a runtime that exists. Raises what loading in that runtime raises."""
    check_served(directory, load_config(directory))
    if runtime == AUTO:
        return serve_fastest(directory, device, dtype, texts)
    if runtime == TORCH:
        return serve_in_pytorch(directory, device, dtype, texts)
    check_on_processor(runtime, device)
    return export_on_the_spot(directory, runtime, precision_in(runtime, dtype))
