"""The recipe of a compression, before single settings of it are changed."""

from __future__ import annotations

from pathlib import Path

from prensa.errors import RecipeError, SettingError
from prensa.evaluation.budget import Budget
from prensa.pressing.recipe import Recipe, load_preset, load_recipe, preset_names


def choose_recipe(preset: str | None, recipe: Recipe | str | Path | None, *, is_calibrated: bool) -> Recipe:
    """Return the preset or the recipe, whichever was given.

    Without both it is ``small`` where texts, a budget or a noise call for it, else ``int8``. Raises
    :class:`RecipeError` for two recipes.
    """
    if preset is not None and recipe is not None:
        raise RecipeError("give `preset` or `recipe`, not both")
    if isinstance(recipe, Recipe):
        return recipe
    if recipe is not None:
        if str(recipe) in preset_names() and not Path(recipe).exists():
            raise RecipeError(f"{recipe}: no such recipe file; for the preset give `preset={recipe}`")
        return load_recipe(recipe)
    usual = "int8"
    if is_calibrated:
        usual = "small"
    return load_preset(preset or usual)


def check_noise(noise: float | None, budget: Budget) -> None:
    """Raise :class:`SettingError` for a noise where a budget searches one."""
    if noise is not None and budget.is_given:
        raise SettingError("`noise` cannot be combined with a budget: the search chooses the noise")
