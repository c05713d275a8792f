"""A recipe: which passes with which settings, then which format. TOML in, TOML out.

This is the only place where words from a file or a command line become objects. Presets are recipe
files in ``presets/``.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import tomli_w

from prensa.atomic import at_home
from prensa.codecs import CODECS
from prensa.errors import RecipeError
from prensa.formats import FORMATS
from prensa.passes import INTEGERS, PASSES, Gptq, Pass, Prune, Quantize, Sparsegpt, Threshold, Wanda
from prensa.vocabulary.settings import NAME as TRIM
from prensa.vocabulary.settings import TrimVocabulary

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_PRUNING: dict[str, type[Prune | Sparsegpt | Wanda]] = {
    "magnitude": Prune,
    "sparsegpt": Sparsegpt,
    "wanda": Wanda,
}
_ASKED = "amount"  # the setting that an option gives, also where it gives the usual value
_ORDER = tuple(PASSES)  # where an added pass goes


@dataclass(frozen=True)
class Recipe:
    """What to do to a checkpoint.

    ``codecs`` are the ones that the packed format may choose from; ``state_dict`` asks for a second copy of
    the weights as a ``torch.save`` file, for code that does not read safetensors. ``trim_vocabulary`` comes
    before all passes.
    """

    passes: tuple[Pass, ...]
    format: str = "packed"
    codecs: tuple[str, ...] = tuple(CODECS)
    state_dict: bool = False
    trim_vocabulary: TrimVocabulary | None = None

    def __post_init__(self) -> None:
        """Check names, types, and that nothing that needs real weights follows quantization."""
        _check_known("format", self.format, FORMATS)
        for codec in self.codecs:
            _check_known("codec", codec, CODECS)
        if not isinstance(self.state_dict, bool):
            raise RecipeError(f"state_dict must be true or false, found {self.state_dict!r}")
        names = [step.name for step in self.passes]
        first = next((i for i, step in enumerate(self.passes) if isinstance(step, INTEGERS)), len(names))
        if set(names[first + 1 :]) - {"half", *names[first : first + 1]}:
            raise RecipeError(f"passes {names}: {names[first]} leaves only integers, so it must come last")

    @property
    def noise(self) -> float | None:
        """The noise of the last pass that has one, None if no pass has."""
        for step in reversed(self.passes):
            if isinstance(step, Gptq):
                return step.noise
        return None

    def with_noise(self, noise: float) -> Recipe:
        """Scale the noise of every pass that has one, so that the last has this one."""
        return adjusted(self, noise=noise)

    def to_toml(self) -> str:
        """Write out every setting, defaults too."""
        content: dict[str, Any] = {
            "format": self.format,
            "codecs": list(self.codecs),
            "state_dict": self.state_dict,
            "passes": [{"name": step.name} | _settings(step) for step in self.passes],
        }
        if self.trim_vocabulary is not None:
            content["trim_vocabulary"] = _settings(self.trim_vocabulary)
        return tomli_w.dumps(content)


def preset_names() -> list[str]:
    """List the presets that come with the package."""
    files = resources.files("prensa").joinpath("presets").iterdir()
    return sorted(file.name.removesuffix(".toml") for file in files if file.name.endswith(".toml"))


def load_preset(name: str) -> Recipe:
    """Read a preset. Raises :class:`RecipeError` for an unknown name."""
    if name not in preset_names():
        raise RecipeError(f"unknown preset {name!r}; there are {', '.join(preset_names())}")
    file = resources.files("prensa").joinpath("presets").joinpath(f"{name}.toml")
    text = file.read_text(encoding="utf-8")
    return parse_recipe(text, f"preset {name}")


def chosen_recipe(preset: str | None, path: Path | None, *, default: str) -> Recipe:
    """Read the preset or the file, whichever was asked for, or the default preset."""
    if preset is not None and path is not None:
        raise RecipeError("give a preset or a recipe file, not both")
    return load_recipe(path) if path is not None else load_preset(preset or default)


def load_recipe(path: str | Path) -> Recipe:
    """Read a recipe file. Raises :class:`RecipeError` naming the file and what is wrong in it."""
    try:
        text = at_home(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path}: cannot be read ({error})") from error
    return parse_recipe(text, str(path))


def parse_recipe(text: str, source: str) -> Recipe:
    """Turn TOML into a recipe. ``source`` names it in messages."""
    try:
        return _recipe(tomllib.loads(text))
    except (ValueError, RecursionError) as error:
        raise RecipeError(f"{source}: not valid TOML ({error})") from error
    except RecipeError as error:
        raise RecipeError(f"{source}: {error}") from error


def adjusted(
    recipe: Recipe,
    *,
    format: str | None = None,  # noqa: A002  the recipe's own word
    prune: float | None = None,
    threshold: float | None = None,
    bits: int | None = None,
    noise: float | None = None,
    prune_by: str | None = None,
    trim_vocabulary: TrimVocabulary | None = None,
) -> Recipe:
    """Change single settings of a recipe.

    A pass that is asked for and missing is put in its usual place; ``prune=0``, ``threshold=0`` and
    ``bits=16`` take the pass out.
    """
    if bits not in {None, 8, 16}:
        raise RecipeError(f"bits must be 8 or 16, found {bits!r}")
    if trim_vocabulary is not None:
        recipe = dataclasses.replace(recipe, trim_vocabulary=trim_vocabulary)
    if format is not None:
        recipe = dataclasses.replace(recipe, format=format)
    if prune is not None or prune_by is not None:
        recipe = _pruned(recipe, prune, prune_by)
    if threshold is not None:
        recipe = _with_pass(recipe, Threshold(threshold=threshold), wanted=threshold != 0)
    if noise is not None:
        recipe = _with_noise(recipe, noise)
    if bits is not None:
        rounded = tuple(step for step in recipe.passes if not isinstance(step, Gptq))
        recipe = _with_pass(dataclasses.replace(recipe, passes=rounded), Quantize(), wanted=bits == 8)  # noqa: PLR2004
    return recipe


def _pruned(recipe: Recipe, amount: float | None, by: str | None) -> Recipe:
    """Put one way of pruning in place of any other; without ``by`` the one that is there, or by magnitude."""
    found = [step for step in recipe.passes if isinstance(step, (Prune, Sparsegpt, Wanda))]
    if by is None:
        by = next(
            (word for word, kind in _PRUNING.items() if found and isinstance(found[-1], kind)), "magnitude"
        )
    _check_known("way of pruning", by, list(_PRUNING))
    kept = tuple(step for step in recipe.passes if step not in found or isinstance(step, _PRUNING[by]))
    before = found[-1].amount if found else None
    share = next(each for each in (amount, before, 0.5) if each is not None)
    return _with_pass(dataclasses.replace(recipe, passes=kept), _PRUNING[by](amount=share), wanted=share != 0)


def _with_noise(recipe: Recipe, noise: float) -> Recipe:
    """Scale the noise of every pass that has one, so that the last has this; put one in if there is none."""
    found = [step.noise for step in recipe.passes if isinstance(step, Gptq)]
    if not found:
        rounded = tuple(step for step in recipe.passes if not isinstance(step, Quantize))
        return _with_pass(dataclasses.replace(recipe, passes=rounded), Gptq(noise=noise), wanted=True)
    passes = tuple(
        dataclasses.replace(step, noise=noise * (step.noise / found[-1])) if isinstance(step, Gptq) else step
        for step in recipe.passes
    )
    return dataclasses.replace(recipe, passes=passes)


def _with_pass(recipe: Recipe, step: Pass, *, wanted: bool) -> Recipe:
    same = [old for old in recipe.passes if old.name == step.name]
    others = [old for old in recipe.passes if old.name != step.name]
    if not wanted:
        return dataclasses.replace(recipe, passes=tuple(others))
    if same:  # the last one keeps its place and targets, earlier ones go
        usual = vars(type(step)())
        settings = {key: value for key, value in vars(step).items() if value != usual[key] or key == _ASKED}
        changed = dataclasses.replace(same[-1], **settings)  # type: ignore[type-var]
        kept = [old for old in recipe.passes if old is same[-1] or old.name != step.name]
        passes = tuple(changed if old is same[-1] else old for old in kept)
        return dataclasses.replace(recipe, passes=passes)
    position = sum(_ORDER.index(old.name) < _ORDER.index(step.name) for old in others)
    return dataclasses.replace(recipe, passes=(*others[:position], step, *others[position:]))


def _recipe(content: Mapping[str, Any]) -> Recipe:
    keys = [field.name for field in dataclasses.fields(Recipe)]
    for key in content:
        _check_known("key", key, keys)
    steps = content.get("passes", [])
    if not isinstance(steps, list) or not all(isinstance(step, dict) for step in steps):
        raise RecipeError("passes must be a list of tables ([[passes]])")
    settings = {key: _as_tuple(value) for key, value in content.items() if key not in {"passes", TRIM}}
    if not isinstance(settings.get("codecs", ()), tuple):
        raise RecipeError(f"codecs must be a list of names, found {settings['codecs']!r}")
    trim = _trim(content[TRIM]) if TRIM in content else None
    return Recipe(passes=tuple(map(_pass, steps)), trim_vocabulary=trim, **settings)


def _trim(content: object) -> TrimVocabulary:
    if not isinstance(content, dict):
        raise RecipeError(f"{TRIM} must be a table ([{TRIM}])")
    for key in content:
        _check_known(f"key of {TRIM}", key, [field.name for field in dataclasses.fields(TrimVocabulary)])
    return TrimVocabulary(**{key: _as_tuple(value) for key, value in content.items()})


def _settings(of: object) -> dict[str, Any]:
    return {key: list(value) if isinstance(value, tuple) else value for key, value in vars(of).items()}


def _pass(content: Mapping[str, Any]) -> Pass:
    name = content.get("name")
    _check_known("pass", name, PASSES)
    kind: Any = PASSES[str(name)]
    keys = [field.name for field in dataclasses.fields(kind)]
    settings = {key: _as_tuple(value) for key, value in content.items() if key != "name"}
    for key in settings:
        _check_known(f"key of pass {name}", key, keys)
    return kind(**settings)  # type: ignore[no-any-return]


def _check_known(what: str, name: object, known: Mapping[str, object] | list[str]) -> None:
    if not isinstance(name, str) or name not in known:
        raise RecipeError(f"unknown {what} {name!r}; there are {', '.join(known)}")


def _as_tuple(value: object) -> Any:  # noqa: ANN401  TOML values, checked where they are used
    return tuple(value) if isinstance(value, list) else value
