"""The noise that a search begins with."""

from __future__ import annotations

from prensa.errors import RecipeError
from prensa.pressing.recipe import Recipe


def check_recipe(recipe: Recipe) -> float:
    """Return the noise to begin with. Raises :class:`RecipeError` where none could be searched."""
    noise = recipe.noise
    if noise is None:
        raise RecipeError(
            "a budget needs a calibrated recipe: use `preset=small` or a recipe with a gptq pass"
        )
    if not recipe.stored_as.is_sized_by_noise:
        raise RecipeError(
            f"format {recipe.format}: takes the same bytes whatever the noise; use the format packed"
        )
    return noise
