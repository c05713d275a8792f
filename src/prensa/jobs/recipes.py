"""The recipe of a compression, from the words of the command line or of the public function."""

from __future__ import annotations

from pathlib import Path

from prensa.errors import RecipeError, SettingError
from prensa.pressing.recipe import Recipe, adjusted, load_preset, load_recipe
from prensa.vocabulary.settings import TrimVocabulary


def choose_recipe(  # noqa: PLR0913  one for each option
    preset: str | None,
    recipe: Recipe | str | Path | None,
    *,
    is_calibrated: bool,
    searches: bool = False,
    format: str | None = None,  # noqa: A002  the recipe's own word
    prune: float | None = None,
    prune_by: str | None = None,
    threshold: float | None = None,
    bits: int | None = None,
    noise: float | None = None,
    trim_vocabulary: TrimVocabulary | None = None,
) -> Recipe:
    """Return the preset or the recipe, whichever was given, with single settings changed.

    Without both it is ``small`` where texts, a budget or a noise make sense of it, else ``int8``. Raises
    :class:`RecipeError` for two recipes, and :class:`SettingError` for a noise where a budget is searched.
    """
    if preset is not None and recipe is not None:
        raise RecipeError("give `preset` or `recipe`, not both")
    if searches and noise is not None:
        raise SettingError("`noise` cannot be combined with a budget: the search chooses the noise")
    if isinstance(recipe, (str, Path)):
        recipe = load_recipe(recipe)
    if recipe is None:
        usual = "int8"
        if is_calibrated or noise is not None:
            usual = "small"
        recipe = load_preset(preset or usual)
    return adjusted(
        recipe,
        format=format,
        prune=prune,
        prune_by=prune_by,
        threshold=threshold,
        bits=bits,
        noise=noise,
        trim_vocabulary=trim_vocabulary,
    )
