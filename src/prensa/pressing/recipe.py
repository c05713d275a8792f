"""A recipe: which passes with which settings, then which format. TOML in, TOML out.

This is the only place where words from a file or a command line become objects. Presets are recipe
files in ``presets/``.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import tomli_w

from prensa.codecs import CODECS, WRITTEN
from prensa.errors import RecipeError, SettingError
from prensa.files.atomic import at_home
from prensa.formats import FORMATS, Format
from prensa.healing.settings import NAME as HEAL
from prensa.healing.settings import Heal, heal_from
from prensa.passes import PASSES, Gptq, Pass, Prune, Quantize, Threshold
from prensa.shrink.settings import NAME as SHRINK
from prensa.shrink.settings import Shrink
from prensa.vocabulary.settings import NAME as TRIM
from prensa.vocabulary.settings import TrimVocabulary

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

BITS = (8, 16)
"""What ``bits`` of :func:`adjusted` may be."""

_USUAL_AMOUNT = 0.5
"""The share that a way of pruning takes if none was given and none was there before."""


@dataclass(frozen=True)
class Recipe:
    """What to do to a checkpoint.

    ``codecs`` are the ones that the packed format may choose from; ``state_dict`` adds a second copy of
    the weights as a ``torch.save`` file, for code that does not read safetensors. ``trim_vocabulary`` and
    ``shrink`` come before all passes, ``heal`` after them.
    """

    passes: tuple[Pass, ...]
    format: str = "packed"
    codecs: tuple[str, ...] = WRITTEN
    state_dict: bool = False
    trim_vocabulary: TrimVocabulary | None = None
    shrink: Shrink | None = None
    heal: Heal | None = None

    def __post_init__(self) -> None:
        """Check names, types, and that nothing that needs real weights follows quantization."""
        _check_known("format", self.format, FORMATS)
        for codec in self.codecs:
            _check_known("codec", codec, CODECS)
        if not isinstance(self.state_dict, bool):
            raise RecipeError(f"state_dict must be true or false, found {self.state_dict!r}")
        self._check_order()

    def _check_order(self) -> None:
        quantizer = ""
        for step in self.passes:
            # The same quantizer again is for other tensors, with other settings.
            if quantizer and step.name != quantizer and not step.may_follow_integers:
                names = [other.name for other in self.passes]
                raise RecipeError(f"passes {names}: {quantizer} leaves only integers, so it must come last")
            if step.makes_integers and not quantizer:
                quantizer = step.name

    @property
    def stored_as(self) -> Format:
        """The format, as the object that knows how to write it."""
        return FORMATS[self.format]

    @property
    def noise(self) -> float | None:
        """The noise of the last pass that has one, None if no pass has."""
        for step in reversed(self.passes):
            if step.noise is not None:
                return step.noise
        return None

    @property
    def needs_texts(self) -> bool:
        """Whether a pass does better with calibration, or texts choose or teach something."""
        if self.trim_vocabulary is not None or self.shrink is not None or self.heal is not None:
            return True
        for step in self.passes:
            if step.needs_statistics:
                return True
        return False

    def with_noise(self, noise: float) -> Recipe:
        """Scale the noise of every pass that has one, so that the last has this one.

        If no pass has a noise, calibrated quantization takes the place of any other.
        """
        last = self.noise
        if last is None:
            return self.without_integers().with_settings(Gptq.name, noise=noise)
        # All of them in proportion: what one pass may cost beside another is the recipe's choice.
        passes = [step.with_noise(noise, relative_to=last) for step in self.passes]
        return dataclasses.replace(self, passes=tuple(passes))

    def with_settings(self, name: str, **settings: object) -> Recipe:
        """Change settings of the pass ``name``, or put one with these settings in its usual place.

        Of several with this name the last keeps its place and its other settings; the earlier ones go.
        """
        same = [step for step in self.passes if step.name == name]
        if not same:
            return self._with_inserted(PASSES[name]().with_settings(**settings))
        last = same[-1]
        passes = []
        for step in self.passes:
            # By identity: an earlier pass with the same settings is equal to the last, and goes all the same.
            if step is last:
                passes.append(step.with_settings(**settings))
            elif step.name != name:
                passes.append(step)
        return dataclasses.replace(self, passes=tuple(passes))

    def _with_inserted(self, added: Pass) -> Recipe:
        # The table of passes is in the order that recipes have by default.
        order = list(PASSES)
        place = 0
        for step in self.passes:
            if order.index(step.name) < order.index(added.name):
                place += 1
        passes = (*self.passes[:place], added, *self.passes[place:])
        return dataclasses.replace(self, passes=passes)

    def without(self, name: str) -> Recipe:
        """Take every pass with this name out."""
        return self._filtered(lambda step: step.name != name)

    def without_integers(self, *, but: str = "") -> Recipe:
        """Take every pass that makes integers out, except those with the name ``but``."""
        return self._filtered(lambda step: step.name == but or not step.makes_integers)

    def without_pruning(self, *, but: str = "") -> Recipe:
        """Take every pass that prunes out, except those that prune by ``but``."""
        return self._filtered(lambda step: step.prunes_by in {"", but})

    def _filtered(self, is_kept: Callable[[Pass], bool]) -> Recipe:
        passes = tuple(filter(is_kept, self.passes))
        return dataclasses.replace(self, passes=passes)

    def to_toml(self) -> str:
        """Write out every setting, defaults too."""
        passes: list[dict[str, object]] = []
        for step in self.passes:
            passes.append({"name": step.name, **_settings(step)})
        content: dict[str, object] = {
            "format": self.format,
            "codecs": list(self.codecs),
            "state_dict": self.state_dict,
            "passes": passes,
        }
        if self.trim_vocabulary is not None:
            content[TRIM] = _settings(self.trim_vocabulary)
        if self.shrink is not None:
            content[SHRINK] = _settings(self.shrink)
        if self.heal is not None:
            content[HEAL] = _settings(self.heal)
        return tomli_w.dumps(content)


@dataclass(frozen=True)
class Changes:
    """Single settings of a recipe to change, as :func:`adjusted` does; None leaves one as it is."""

    format: str | None = None
    prune: float | None = None
    prune_by: str | None = None
    threshold: float | None = None
    bits: int | None = None
    noise: float | None = None
    trim_vocabulary: TrimVocabulary | None = None
    shrink: Shrink | None = None
    heal: Heal | None = None


def preset_names() -> list[str]:
    """List the presets that come with the package."""
    names = []
    for file in resources.files("prensa").joinpath("presets").iterdir():
        if file.name.endswith(".toml"):
            names.append(file.name.removesuffix(".toml"))
    return sorted(names)


def load_preset(name: str) -> Recipe:
    """Read a preset. Raises :class:`RecipeError` for an unknown name."""
    if name not in preset_names():
        raise RecipeError(f"unknown preset {name!r}; there are {', '.join(preset_names())}")
    file = resources.files("prensa").joinpath("presets").joinpath(f"{name}.toml")
    text = file.read_text(encoding="utf-8")
    return parse_recipe(text, f"preset {name}")


def chosen_recipe(preset: str | None, recipe: Recipe | str | Path | None, *, default: str) -> Recipe:
    """Return the preset or the recipe (or its file), whichever was given, or the default preset."""
    if preset is not None and recipe is not None:
        raise RecipeError("give `preset` or `recipe`, not both")
    if isinstance(recipe, Recipe):
        return recipe
    if recipe is not None:
        return load_recipe(recipe)
    return load_preset(preset or default)


def load_recipe(path: str | Path) -> Recipe:
    """Read a recipe file. Raises :class:`RecipeError` naming the file and what is wrong in it."""
    try:
        text = at_home(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        advice = ""
        if str(path) in preset_names():
            advice = f"; for the preset of that name give `preset={path}`"
        raise RecipeError(f"{path}: cannot be read ({error}){advice}") from error
    return parse_recipe(text, str(path))


def parse_recipe(text: str, source: str) -> Recipe:
    """Turn TOML into a recipe. ``source`` names it in messages."""
    try:
        return _recipe(tomllib.loads(text))
    # Deep nesting, which exhausts the stack, is no TOML that anybody wrote by hand.
    except (ValueError, RecursionError) as error:
        raise RecipeError(f"{source}: not valid TOML ({error})") from error
    except RecipeError as error:
        raise RecipeError(f"{source}: {error}") from error


def adjusted(recipe: Recipe, changes: Changes) -> Recipe:
    """Change single settings of a recipe.

    A pass that is given and missing is put in its usual place; ``prune=0``, ``threshold=0`` and
    ``bits=16`` take the pass out.
    """
    if changes.bits is not None and changes.bits not in BITS:
        raise RecipeError(f"`bits` must be 8 or 16, found {changes.bits!r}")
    if changes.bits is not None and changes.noise is not None:
        raise RecipeError(
            f"`bits` and `noise`: expected one of them, found {changes.bits} and {changes.noise}; "
            "a noise chooses the steps of calibrated rounding, which has no fixed number of bits"
        )
    recipe = _with_replaced(recipe, changes)
    if changes.prune is not None or changes.prune_by is not None:
        recipe = _pruned(recipe, changes.prune, changes.prune_by)
    if changes.threshold == 0:
        recipe = recipe.without(Threshold.name)
    elif changes.threshold is not None:
        recipe = recipe.with_settings(Threshold.name, threshold=changes.threshold)
    if changes.noise is not None:
        recipe = recipe.with_noise(changes.noise)
    if changes.bits is not None:
        recipe = _with_bits(recipe, changes.bits)
    return recipe


def _with_replaced(recipe: Recipe, changes: Changes) -> Recipe:
    """Replace what stands beside the passes, where something else is given."""
    given: dict[str, Any] = {}
    for name in ("trim_vocabulary", "shrink", "heal", "format"):
        value = getattr(changes, name)
        if value is not None:
            given[name] = value
    return dataclasses.replace(recipe, **given)


def _with_bits(recipe: Recipe, bits: int) -> Recipe:
    """Round linear layers and embeddings to 8 bits, by no other pass; with 16 bits round nothing."""
    if bits == Quantize().bits:
        return recipe.without_integers(but=Quantize.name).with_settings(Quantize.name)
    return recipe.without_integers()


def _pruned(recipe: Recipe, amount: float | None, way: str | None) -> Recipe:
    """Put one way of pruning in place of any other; by default the one that is there, or by magnitude."""
    # The words are those of the passes themselves, so that a new way of pruning is found here by being one.
    names: dict[str, str] = {}
    for kind in PASSES.values():
        if kind.prunes_by:
            names[kind.prunes_by] = kind.name
    last: Pass | None = None
    for step in recipe.passes:
        if step.prunes_by:
            last = step
    if way is None:
        way = Prune.prunes_by if last is None else last.prunes_by
    _check_known("way of pruning", way, names)
    if amount is None and last is not None:
        amount = last.amount
    if amount is None:
        amount = _USUAL_AMOUNT

    recipe = recipe.without_pruning(but=way)
    if amount == 0:
        return recipe.without(names[way])
    return recipe.with_settings(names[way], amount=amount)


def _recipe(content: Mapping[str, object]) -> Recipe:
    keys = _fields(Recipe)
    settings: dict[str, object] = {}
    for key, value in content.items():
        _check_known("key", key, keys)
        settings[key] = _as_tuple(value)
    settings["passes"] = _passes(content.get("passes", []))
    if not isinstance(settings.get("codecs", ()), tuple):
        raise RecipeError(f"codecs must be a list of names, found {settings['codecs']!r}")
    if TRIM in content:
        settings[TRIM] = TrimVocabulary(**_of_table(content[TRIM], TRIM, TrimVocabulary))  # type: ignore[arg-type]
    if SHRINK in content:
        settings[SHRINK] = Shrink(**_of_table(content[SHRINK], SHRINK, Shrink))  # type: ignore[arg-type]
    if HEAL in content:
        settings[HEAL] = _heal(content[HEAL])
    # The types of the others are checked where they are used: by the recipe itself.
    return Recipe(**settings)  # type: ignore[arg-type]


def _passes(tables: object) -> tuple[Pass, ...]:
    if not isinstance(tables, list):
        raise RecipeError("passes must be a list of tables ([[passes]])")
    for table in tables:
        if not isinstance(table, dict):
            raise RecipeError("passes must be a list of tables ([[passes]])")
    return tuple(map(_pass, tables))


def _pass(table: Mapping[str, object]) -> Pass:
    name = table.get("name")
    _check_known("pass", name, PASSES)
    usual = PASSES[str(name)]()
    keys = list(_settings(usual))
    settings: dict[str, object] = {}
    for key, value in table.items():
        if key != "name":
            _check_known(f"key of pass {name}", key, keys)
            settings[key] = _as_tuple(value)
    return usual.with_settings(**settings)


def _heal(value: object) -> Heal | None:
    """Read a time (`heal = "10min"`) or a table of settings."""
    if isinstance(value, (str, float, int)) and not isinstance(value, bool):
        try:
            return heal_from(value)
        except SettingError as error:
            raise RecipeError(str(error)) from error
    return Heal(**_of_table(value, HEAL, Heal))  # type: ignore[arg-type]


def _of_table(table: object, name: str, kind: type[TrimVocabulary | Shrink | Heal]) -> dict[str, object]:
    """Return the settings in a table of TOML that is no pass."""
    if not isinstance(table, dict):
        raise RecipeError(f"{name} must be a table ([{name}])")
    keys = _fields(kind)
    settings: dict[str, object] = {}
    for key, value in table.items():
        _check_known(f"key of {name}", key, keys)
        settings[key] = _as_tuple(value)
    return settings


def _fields(kind: type[Recipe | TrimVocabulary | Shrink | Heal]) -> list[str]:
    return [field.name for field in dataclasses.fields(kind)]


def _settings(of: Pass | TrimVocabulary | Shrink | Heal) -> dict[str, object]:
    """Return settings by name, in the order of the fields, as TOML can hold them."""
    settings: dict[str, object] = {}
    for key, value in vars(of).items():
        # TOML has no word for what is not given.
        if value is not None:
            settings[key] = list(value) if isinstance(value, tuple) else value
    return settings


def _check_known(what: str, name: object, known: Iterable[str]) -> None:
    if not isinstance(name, str) or name not in known:
        raise RecipeError(f"unknown {what} {name!r}; there are {', '.join(known)}")


def _as_tuple(value: object) -> object:
    """Return a list of TOML as settings have it, since those must not change."""
    if isinstance(value, list):
        return tuple(value)
    return value
