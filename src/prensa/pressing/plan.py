"""Everything that is decided before a weight is read. What cannot work fails here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from prensa.checkpoint import companions
from prensa.checkpoint.allowed import allowed
from prensa.checkpoint.destination import check_destination, check_space
from prensa.checkpoint.directory import clean_up
from prensa.checkpoint.guess import UNCHECKED, guessed_shape
from prensa.checkpoint.manifest import ShrinkReport
from prensa.checkpoint.names import fitted
from prensa.checkpoint.reader import Checkpoint, open_checkpoint
from prensa.checkpoint.roles import ModelShape, model_shape
from prensa.checkpoint.structure import structure_of
from prensa.errors import RecipeError
from prensa.files.atomic import at_home
from prensa.ops.spec import TensorSpec
from prensa.pressing.ahead import BYTES_AHEAD
from prensa.pressing.compatibility import check_recipe_fits
from prensa.pressing.recipe import Recipe
from prensa.pressing.tensors import TensorPlan, plan_tensors
from prensa.vocabulary.plan import Vocabulary
from prensa.vocabulary.rows import trimmed


@dataclass(frozen=True)
class Plan:
    """Everything that is decided before a weight is read.

    ``nbytes`` bounds the weight files that will be written, ``memory`` the tensors held at a time.
    ``files`` maps the original's weight files to those of the result. ``vocabulary`` is the smaller one, if
    the recipe trims it. With ``force`` a model that another run writes to ``output`` meanwhile is replaced,
    too. ``format_note`` is that one of the checkpoint's notes which the recipe's format added. ``original``
    is what the result is compared with, if the checkpoint is a smaller model that was made of it; ``shrink``
    says how.
    """

    checkpoint: Checkpoint
    model: ModelShape
    recipe: Recipe
    output: Path
    tensors: tuple[TensorPlan, ...]
    files: Mapping[str, str]
    vocabulary: Vocabulary | None = None
    force: bool = False
    format_note: str = ""
    original: Checkpoint | None = None
    shrink: ShrinkReport | None = None

    @property
    def before(self) -> Checkpoint:
        """What a user gave: the original if the checkpoint was made of one, else the checkpoint."""
        return self.original or self.checkpoint

    def with_recipe(self, recipe: Recipe, output: Path) -> Plan:
        """Plan the same model with another recipe and another output, which must be free.

        No header, config or class is read again. The recipe must trim the vocabulary as this plan's does.
        Raises the :class:`~prensa.errors.PrensaError` that says what does not fit.
        """
        _check_class_is_known(recipe)
        if recipe.trim_vocabulary != self.recipe.trim_vocabulary:
            raise RecipeError(
                "trim_vocabulary: another recipe for a plan must trim the vocabulary as its own"
            )
        output = _free_place(self.before.path, output, force=False)
        return _decided(replace(self, recipe=recipe, output=output, force=False))

    def tensors_of(self, file: str) -> list[TensorPlan]:
        """Return the tensors that are in one of the original's files, in order."""
        tensors = []
        for tensor in self.tensors:
            if tensor.spec.file == file:
                tensors.append(tensor)
        return tensors

    @property
    def nbytes(self) -> int:
        """Upper bound of the weight files."""
        return sum(tensor.extent.nbytes for tensor in self.tensors)

    @property
    def needs_statistics(self) -> bool:
        """Whether a pass does better with calibration."""
        return any(tensor.needs_statistics for tensor in self.tensors)

    @property
    def memory(self) -> int:
        """Upper bound of the tensors in memory: the largest before, after and packed, and those ahead."""
        sizes = [tensor.spec.nbytes for tensor in self.tensors]
        # Of the largest there are the original, what its passes make of it, and its packed bytes.
        largest = max(sizes, default=0)
        ahead = min(BYTES_AHEAD, sum(sizes))
        return 3 * largest + ahead


def plan(
    model: Path,
    recipe: Recipe,
    output: Path,
    *,
    force: bool = False,
    vocabulary: Vocabulary | None = None,
    drop_unused: bool = False,
    original: Path | None = None,
    shrink: ShrinkReport | None = None,
) -> Plan:
    """Decide what happens to each tensor of the directory ``model``. Reads headers only.

    ``vocabulary`` is what the recipe's ``trim_vocabulary`` comes to (see ``prensa.vocabulary.plan``).
    ``drop_unused`` leaves out tensors that the model class does not use. ``original`` is the directory that
    a shrunk ``model`` was made of, and ``shrink`` says how: sizes before and the name in the model card are
    its. Raises the
    :class:`~prensa.errors.PrensaError` that says what does not fit.
    """
    model = model.resolve()
    given = model if original is None else original.resolve()
    output = _free_place(given, output, force=force)
    checkpoint, shape = _opened(model, recipe, drop_unused=drop_unused)
    whole = None
    if given != model:
        # A shrunk model holds what its class uses and nothing else.
        whole, _ = _opened(given, recipe, drop_unused=True)
        notes = dict.fromkeys([*whole.notes, *checkpoint.notes])
        checkpoint = replace(checkpoint, notes=tuple(notes))
    if (vocabulary is None) != (recipe.trim_vocabulary is None):
        raise RecipeError(
            "trim_vocabulary: give the recipe and the vocabulary that was planned for it, or neither"
        )
    # Rows that go are never read: everything below sees the smaller model.
    if vocabulary is not None:
        checkpoint, shape = trimmed(checkpoint, shape, vocabulary)
    draft = Plan(
        checkpoint=checkpoint,
        model=shape,
        recipe=recipe,
        output=output,
        tensors=(),
        files={},
        vocabulary=vocabulary,
        force=force,
        original=whole,
        shrink=shrink,
    )
    return _decided(draft)


def _free_place(model: Path, output: Path, *, force: bool) -> Path:
    """Return the full path of an output.

    Raises :class:`~prensa.errors.OutputError` if nothing may be written there.
    """
    output = at_home(output).resolve()
    # What an interrupted run moved away comes back first: it may be what is to be replaced.
    clean_up(output)
    check_destination(model, output, force=force)
    return output


def _opened(model: Path, recipe: Recipe, *, drop_unused: bool) -> tuple[Checkpoint, ModelShape]:
    """Open a checkpoint under the names of its class, or, if that is not checked, under its own."""
    checkpoint = open_checkpoint(model)
    if not allowed().unchecked:
        shape = model_shape(model)
        return fitted(checkpoint, shape, drop_unused=drop_unused), shape
    _check_class_is_known(recipe)
    checkpoint = replace(checkpoint, notes=(*checkpoint.notes, UNCHECKED))
    # All that is known of such a model is what the names of its tensors suggest.
    return checkpoint, guessed_shape(checkpoint)


def _check_class_is_known(recipe: Recipe) -> None:
    """Raise :class:`RecipeError` if a recipe needs the model's class, and nothing may look at it."""
    if allowed().unchecked and (recipe.needs_texts or recipe.stored_as.needs_class):
        raise RecipeError(
            "`unchecked`: takes passes without texts and the formats packed and plain alone, since the "
            "model's class is not known; use `preset=int8` or `preset=half`"
        )


def _decided(draft: Plan) -> Plan:
    """Fill in what follows from the checkpoint, the recipe and the output: what happens to each tensor.

    Raises the :class:`~prensa.errors.PrensaError` that says what does not fit.
    """
    _check_structure_fits(draft)
    draft = _with_format(draft)
    checkpoint, recipe = draft.checkpoint, draft.recipe
    specs = [draft.model.describe(spec) for spec in checkpoint.specs]
    check_recipe_fits(recipe, specs)
    tensors = plan_tensors(specs, recipe, checkpoint, draft.model)
    _check_names(tensors)
    has_integers = any(tensor.is_quantized for tensor in tensors)
    reason = "" if has_integers else recipe.stored_as.refuses_all_dense()
    if reason:
        raise RecipeError(reason)

    decided = replace(draft, tensors=tensors, files=_output_files(checkpoint.files, specs))
    # A disk that fills up in the end would cost the whole run.
    copies = 2 if recipe.state_dict else 1
    companions_nbytes = companions.companion_bytes(checkpoint.path)
    check_space(decided.output, copies * decided.nbytes + companions_nbytes)
    return decided


def _check_structure_fits(draft: Plan) -> None:
    """Raise :class:`RecipeError` if layers have uneven widths and the recipe's format cannot hold them."""
    stored_as = draft.recipe.stored_as
    if structure_of(draft.checkpoint.config) is not None and not stored_as.holds_structure:
        raise RecipeError(
            f"format {stored_as.name}: cannot hold layers of uneven widths, as {draft.before.path} has them; "
            "they need `format=packed`"
        )


def _with_format(draft: Plan) -> Plan:
    """Leave out passes that the model cannot have in the recipe's format, and note that."""
    checkpoint, recipe = draft.checkpoint, draft.recipe
    passes, format_note = recipe.stored_as.fitted_passes(
        recipe.passes, checkpoint.path, draft.model.class_name
    )
    # The draft may come from a plan with another format, whose note is not true of this one.
    notes = [note for note in checkpoint.notes if note != draft.format_note]
    if format_note:
        notes.append(format_note)
    return replace(
        draft,
        checkpoint=replace(checkpoint, notes=tuple(notes)),
        recipe=replace(recipe, passes=passes),
        format_note=format_note,
    )


def _check_names(tensors: Iterable[TensorPlan]) -> None:
    """Raise :class:`RecipeError` if two tensors would have the same name in the files."""
    names = set()
    for tensor in tensors:
        for name in tensor.extent.names:
            if name in names:
                raise RecipeError(f"tensor {name}: the format needs this name for another tensor")
            names.add(name)


def _output_files(files: Iterable[str], specs: Sequence[TensorSpec]) -> dict[str, str]:
    """Name one safetensors file for each file of the original that has a tensor left."""
    in_use = {spec.file for spec in specs}
    # A file may have held nothing but tensors that are left out.
    kept = [file for file in files if file in in_use]
    if len(kept) == 1:
        return {kept[0]: "model.safetensors"}
    names = {}
    for number, file in enumerate(kept, 1):
        names[file] = f"model-{number:05d}-of-{len(kept):05d}.safetensors"
    return names
