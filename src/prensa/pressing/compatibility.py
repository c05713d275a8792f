"""Whether a recipe, its format and the tensors of a model fit together, as far as names and dtypes show."""

from __future__ import annotations

from collections.abc import Sequence

from prensa.errors import RecipeError
from prensa.ops.spec import TensorSpec
from prensa.passes.base import is_pattern, matches
from prensa.pressing.recipe import Recipe


def check_recipe_fits(recipe: Recipe, specs: Sequence[TensorSpec]) -> None:
    """Raise the :class:`RecipeError` that says what does not fit."""
    reason = recipe.stored_as.refuses_recipe(recipe.passes, state_dict=recipe.state_dict)
    if reason:
        raise RecipeError(reason)
    for step in recipe.passes:
        for word in step.targets:
            # A role may have no tensor in this model; a name that nothing has is a slip of the pen.
            if is_pattern(word) and not _matches_any(word, specs):
                raise RecipeError(
                    f"pass {step.name}: the target {word!r} matches no tensor; "
                    "`prensa inspect` lists their names"
                )


def _matches_any(word: str, specs: Sequence[TensorSpec]) -> bool:
    return any(matches(word, spec) for spec in specs)
