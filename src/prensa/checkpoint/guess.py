"""What tensors are for, from their names and shapes alone: for a model whose class is not known here."""

from __future__ import annotations

from prensa.checkpoint.reader import Checkpoint
from prensa.checkpoint.roles import ModelShape, Parameter
from prensa.spec import Role, TensorSpec

UNCHECKED = (
    "compressed unchecked: the model's class is its own code, so nothing was compared and nothing is known "
    "of its answers"
)

_HEADS = ("classifier", "score", "lm_head", "qa_outputs", "out_proj", "head")
_MATRIX = 2  # dimensions


def guessed_shape(checkpoint: Checkpoint) -> ModelShape:
    """Take every tensor as one of the model's, and what its name says as its role."""
    parameters = {spec.name: _parameter(spec) for spec in checkpoint.specs}
    return ModelShape(
        parameters, {}, lambda name: name if name in parameters else None, class_name="the model's own class"
    )


def _parameter(spec: TensorSpec) -> Parameter:
    role = _role(spec)
    layer = {"linear": "Linear", "head": "Linear", "embedding": "Embedding"}.get(role, "")
    return Parameter(spec.shape, role, layer, is_float=spec.is_float)


def _role(spec: TensorSpec) -> Role:
    module, _, own = spec.name.rpartition(".")
    words = module.lower()
    if "norm" in words or words.endswith((".ln", "ln_f")):
        return "norm"
    if own == "bias":
        return "bias"
    if own != "weight" or len(spec.shape) != _MATRIX:
        return "other"
    if "emb" in words or words.endswith(("wte", "wpe")):
        return "embedding"
    return "head" if module.rpartition(".")[2] in _HEADS else "linear"
