"""What tensors are for, from their names and shapes alone: for a model whose class is not known here."""

from __future__ import annotations

from prensa.checkpoint.reader import Checkpoint
from prensa.checkpoint.roles import ModelShape, Parameter
from prensa.ops.spec import Role, TensorSpec

UNCHECKED = (
    "compressed unchecked: the model's class is its own code, so nothing was compared and nothing is known "
    "of its answers"
)

_HEADS = ("classifier", "score", "lm_head", "qa_outputs", "out_proj", "head")
# Dimensions of a matrix.
_MATRIX = 2


def guessed_shape(checkpoint: Checkpoint) -> ModelShape:
    """Take every tensor as one of the model's, and what its name says as its role."""
    parameters = {spec.name: _parameter(spec) for spec in checkpoint.specs}

    def own_name(name: str) -> str | None:
        if name in parameters:
            return name
        return None

    # Without the class nothing is known of tied weights. Those that share memory are found on reading.
    return ModelShape(parameters, {}, own_name, class_name="the model's own class")


def _parameter(spec: TensorSpec) -> Parameter:
    role = _role(spec)
    layer = {"linear": "Linear", "head": "Linear", "embedding": "Embedding"}.get(role, "")
    return Parameter(spec.shape, role, layer, is_float=spec.is_float)


def _role(spec: TensorSpec) -> Role:
    module, _, own = spec.name.rpartition(".")
    words = module.lower()
    # Normalization first: its weights are vectors, and its biases are named like all others.
    if "norm" in words or words.endswith((".ln", "ln_f")):
        return "norm"
    if own == "bias":
        return "bias"
    if own != "weight" or len(spec.shape) != _MATRIX:
        return "other"
    if "emb" in words or words.endswith(("wte", "wpe")):
        return "embedding"
    if module.rpartition(".")[2] in _HEADS:
        return "head"
    return "linear"
