"""Whether a recipe, its format and the tensors of a model fit together, as far as names and dtypes tell."""

from __future__ import annotations

from collections.abc import Sequence

from prensa.errors import RecipeError
from prensa.passes import INTEGERS, Gptq
from prensa.passes.base import is_targeted
from prensa.passes.gptq import LEAST_NOISE
from prensa.pressing.recipe import Recipe
from prensa.spec import TensorSpec


def check_recipe_fits(recipe: Recipe, specs: Sequence[TensorSpec]) -> None:
    """Raise the error that says what does not fit."""
    if recipe.format == "plain" and any(isinstance(step, INTEGERS) for step in recipe.passes):
        raise RecipeError(
            "format plain: stores dense tensors, so quantization would cost accuracy and save nothing; "
            "take the preset half or --bits 16, or the format packed or bitsandbytes"
        )
    if recipe.format == "bitsandbytes" and any(
        isinstance(step, Gptq) and step.noise > LEAST_NOISE for step in recipe.passes
    ):
        raise RecipeError(
            "format bitsandbytes: takes a byte for each weight, so noise would save nothing; "
            f"give --noise {LEAST_NOISE:g}, or the format packed"
        )
    if recipe.format == "packed" and recipe.state_dict:
        raise RecipeError("format packed: cannot be copied to a state dict; use plain or bitsandbytes")
    for step in recipe.passes:
        for word in step.targets:
            if "." in word or "*" in word or "?" in word:
                only = type(step)(targets=(word,))  # type: ignore[call-arg]
                if not any(is_targeted(only, spec) for spec in specs):
                    raise RecipeError(f"pass {step.name}: the target {word!r} matches no tensor")
