"""Plan, then run: the one way from a model directory and a recipe to a smaller model directory.

:func:`plan` looks at names, shapes, dtypes, settings and disk, and fails there if it can.
:func:`run` holds the one loop over tensors: read, passes in order, format, write.
"""

from __future__ import annotations

import shutil
from collections import Counter, deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from functools import partial, reduce
from itertools import islice
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from prensa.atomic import at_home
from prensa.checkpoint import companions
from prensa.checkpoint.allowed import allowed
from prensa.checkpoint.card import write_card
from prensa.checkpoint.checksum import sha256
from prensa.checkpoint.destination import check_destination, check_space
from prensa.checkpoint.directory import clean_up, replacing
from prensa.checkpoint.guess import UNCHECKED, guessed_shape
from prensa.checkpoint.manifest import Calibration, FileReport, Manifest, TensorReport, load_manifest
from prensa.checkpoint.names import fitted
from prensa.checkpoint.reader import Checkpoint, open_checkpoint
from prensa.checkpoint.roles import ModelShape, model_shape
from prensa.checkpoint.writer import ShardWriter
from prensa.errors import CalibrationError, RecipeError
from prensa.formats import FORMATS, Stored
from prensa.formats.base import Extent
from prensa.integrations.bitsandbytes import kept_plain, pinned_to_float32
from prensa.ops.parallel import submit
from prensa.ops.statistics import MatrixStatistics, Statistics
from prensa.passes import CALIBRATED, INTEGERS, Bound, Half, Pass
from prensa.passes.base import is_targeted
from prensa.pressing.compatibility import check_recipe_fits
from prensa.pressing.press import Pressed, press
from prensa.pressing.recipe import Recipe
from prensa.progress import Progress, silent
from prensa.runtime.trial import check_answers
from prensa.spec import FLOATS, TensorSpec, dtype_name
from prensa.version import VERSION
from prensa.vocabulary.plan import Vocabulary
from prensa.vocabulary.rows import trimmed

_Done = tuple[Pressed | None, Stored]

_AHEAD = 1 << 27  # bytes of tensors that are pressed while an earlier one is written
_SMALL = 1 << 24  # elements of a tensor that one core presses alone, beside others


@dataclass(frozen=True)
class TensorPlan:
    """What will be done to one tensor.

    ``tied_to`` names the tensor whose values it shares: if that proves true, it is not stored.
    ``note`` says why a pass that targets it is left out.
    """

    spec: TensorSpec
    passes: tuple[Pass, ...]
    extent: Extent
    tied_to: str = ""
    note: str = ""

    @property
    def is_quantized(self) -> bool:
        """Whether it ends as integers."""
        return any(isinstance(step, INTEGERS) for step in self.passes)


@dataclass(frozen=True)
class Plan:
    """Everything that is decided before a weight is read.

    ``nbytes`` bounds the weight files that will be written, ``memory`` the tensors held at a time.
    ``vocabulary`` is the smaller one, where the recipe trims it. With ``force`` a model that another run
    writes to ``output`` meanwhile is replaced, too. ``format_note`` is that one of the checkpoint's notes which
    the recipe's format added.
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
        output = _free_place(self.checkpoint.path, output, force=False)
        return _planned(replace(self, recipe=recipe, output=output, force=False))

    @property
    def nbytes(self) -> int:
        """Upper bound of the weight files."""
        return sum(tensor.extent.nbytes for tensor in self.tensors)

    @property
    def needs_statistics(self) -> bool:
        """Whether a pass does better with calibration."""
        return any(step.needs_statistics for tensor in self.tensors for step in tensor.passes)

    @property
    def memory(self) -> int:
        """Upper bound of the tensors in memory: the largest before, after and packed, and those ahead."""
        largest = max((tensor.spec.nbytes for tensor in self.tensors), default=0)
        return 3 * largest + min(_AHEAD, sum(tensor.spec.nbytes for tensor in self.tensors))


def plan(
    model: Path,
    recipe: Recipe,
    output: Path,
    *,
    force: bool = False,
    vocabulary: Vocabulary | None = None,
    drop_unused: bool = False,
) -> Plan:
    """Decide what happens to each tensor of the directory ``model``. Reads headers only.

    ``vocabulary`` is what the recipe's ``trim_vocabulary`` comes to (see ``prensa.vocabulary.plan``).
    ``drop_unused`` leaves out tensors that the model class does not use. Raises the
    :class:`~prensa.errors.PrensaError` that says what does not fit.
    """
    model = model.resolve()
    output = _free_place(model, output, force=force)
    checkpoint, shape = _opened(model, recipe, drop_unused=drop_unused)
    if (vocabulary is None) != (recipe.trim_vocabulary is None):
        raise RecipeError(
            "trim_vocabulary: give the recipe and the vocabulary that was planned for it, or neither"
        )
    if vocabulary is not None:
        checkpoint, shape = trimmed(checkpoint, shape, vocabulary)
    return _planned(Plan(checkpoint, shape, recipe, output, (), {}, vocabulary, force))


def _free_place(model: Path, output: Path, *, force: bool) -> Path:
    """Return the full path of an output. Raises :class:`OutputError` where nothing may be written there."""
    output = at_home(output).resolve()
    clean_up(output)
    check_destination(model, output, force=force)
    return output


def _planned(draft: Plan) -> Plan:
    """Fill in what follows from the checkpoint, the recipe and the output: what happens to each tensor.

    Raises the :class:`~prensa.errors.PrensaError` that says what does not fit.
    """
    checkpoint, shape, recipe = draft.checkpoint, draft.model, draft.recipe
    model = checkpoint.path
    # The note is of the format: a plan with another one must not inherit it.
    notes = tuple(note for note in checkpoint.notes if note != draft.format_note)
    format_note = ""
    if recipe.format == "bitsandbytes" and (pinned := pinned_to_float32(model)):
        recipe = replace(recipe, passes=tuple(step for step in recipe.passes if not isinstance(step, Half)))
        format_note = (
            f"{shape.class_name} has {pinned} in float32 always: what is not in 8 bits stays in float32"
        )
        notes = (*notes, format_note)
    checkpoint = replace(checkpoint, notes=notes)
    specs = [shape.describe(spec) for spec in checkpoint.specs]
    check_recipe_fits(recipe, specs)
    tensors = _plan_tensors(specs, recipe, checkpoint, shape)
    names = Counter(name for tensor in tensors for name in tensor.extent.names)
    if max(names.values(), default=1) > 1:
        raise RecipeError(
            f"tensor {max(names, key=names.__getitem__)}: the format needs this name for another tensor"
        )
    if recipe.format == "bitsandbytes" and not any(tensor.is_quantized for tensor in tensors):
        raise RecipeError("format bitsandbytes: the recipe quantizes no linear layer; use the format plain")
    files = tuple(file for file in checkpoint.files if any(spec.file == file for spec in specs))
    result = replace(
        draft,
        checkpoint=checkpoint,
        recipe=recipe,
        tensors=tensors,
        files=_output_files(files),
        format_note=format_note,
    )
    copies = 2 if recipe.state_dict else 1
    check_space(result.output, copies * result.nbytes + companions.companion_bytes(model))
    return result


def run(
    plan: Plan,
    progress: Progress = silent,
    statistics: Statistics | None = None,
    *,
    extra: Mapping[str, str] | None = None,
) -> Manifest:
    """Carry out a plan. At every moment ``plan.output`` is as it was before, or whole and new.

    ``statistics`` are those of the plan's model; without them passes that need them round to nearest.
    ``extra`` are texts of files that go into the output, too, by their names.
    """
    if statistics is not None:
        statistics = statistics.of_rows(_own_rows(plan))
    with replacing(plan.output, force=plan.force) as directory:
        reports, files = _write_weights(plan, directory, progress, statistics)
        manifest = Manifest(
            format=plan.recipe.format,
            nbytes_before=plan.checkpoint.nbytes,
            nbytes_float32=sum(
                4 * tensor.spec.numel_before for tensor in plan.tensors if not tensor.spec.is_unused
            ),
            files=files,
            tensors=reports,
            prensa_version=VERSION,
            calibration=_calibration(plan, statistics),
            vocabulary=None if plan.vocabulary is None else plan.vocabulary.report,
            notes=plan.checkpoint.notes,
        )
        manifest.save(directory)
        recipe = plan.recipe.to_toml()
        (directory / companions.RECIPE_FILE).write_text(recipe, encoding="utf-8")
        for name, text in (extra or {}).items():
            (directory / name).write_text(text, encoding="utf-8")
        for name, content in (plan.vocabulary.files if plan.vocabulary else {}).items():
            (directory / name).write_bytes(content)
        write_card(directory, plan.checkpoint.path, manifest, recipe)
        quantization = FORMATS[plan.recipe.format].quantization_config(
            sorted(_dense_layers(plan.tensors, plan.model)), {file.name: file.sha256 for file in files}
        )
        companions.write_config(directory, plan.checkpoint.config, _config_dtype(manifest), quantization)
        companions.copy_companions(plan.checkpoint.path, directory)
        if plan.output.is_dir():
            companions.keep_others(plan.output, directory)
        if plan.recipe.format == "bitsandbytes":
            check_answers(directory)
    return manifest


def publish(pressed: Path, plan: Plan, extra: Mapping[str, str] | None = None) -> Manifest:
    """Make what :func:`run` wrote for ``plan.with_recipe(…)`` the plan's output, without pressing it again.

    ``pressed`` is that directory, beside the output; its files are moved, so it is used up, whatever happens.
    ``extra`` are as for :func:`run`. ``plan.output`` then holds what :func:`run` would have written there, and
    at every moment it is as it was before, or whole and new.
    """
    manifest = load_manifest(pressed)
    with replacing(plan.output, force=plan.force) as directory:
        for path in sorted(pressed.iterdir()):
            shutil.move(path, directory / path.name)
        for name, text in (extra or {}).items():
            (directory / name).write_text(text, encoding="utf-8")
        if plan.output.is_dir():
            companions.keep_others(plan.output, directory)
    return manifest


def _write_weights(
    plan: Plan, directory: Path, progress: Progress, statistics: Statistics | None
) -> tuple[tuple[TensorReport, ...], tuple[FileReport, ...]]:
    """Press every tensor into the weight files, and write their index and their copy as a state dict."""
    reports: list[TensorReport] = []
    weight_map: dict[str, str] = {}
    checksums: list[Future[FileReport]] = []
    done, total = 0, sum(tensor.spec.nbytes for tensor in plan.tensors)
    for file, target in plan.files.items():
        tensors = [tensor for tensor in plan.tensors if tensor.spec.file == file]
        with ShardWriter(directory / target, _expected(tensors)) as writer:
            for tensor, pressed, stored in _in_order(plan, tensors, statistics):
                for name, part in stored.tensors.items():
                    writer.add(name, part)
                    weight_map[name] = target
                if not tensor.spec.is_unused:
                    reports.append(_report(tensor, pressed, stored, target))
                done += tensor.spec.nbytes
                progress(tensor.spec.name, done, total)
        checksums.append(submit(partial(_file_report, directory / target)))
    files = tuple(checksum.result() for checksum in checksums)
    if len(files) > 1:
        companions.write_index(directory, weight_map, sum(report.nbytes for report in reports))
    if plan.recipe.state_dict:
        state_dict = {k: v for file in files for k, v in load_file(directory / file.name).items()}
        torch.save(state_dict, directory / companions.STATE_DICT_FILE)
    return tuple(reports), files


def _opened(model: Path, recipe: Recipe, *, drop_unused: bool) -> tuple[Checkpoint, ModelShape]:
    """Open a checkpoint under the names of its class, or, where it is not checked, under its own."""
    checkpoint = open_checkpoint(model)
    if not allowed().unchecked:
        shape = model_shape(model)
        return fitted(checkpoint, shape, drop_unused=drop_unused), shape
    _check_class_is_known(recipe)
    return replace(checkpoint, notes=(*checkpoint.notes, UNCHECKED)), guessed_shape(checkpoint)


def _check_class_is_known(recipe: Recipe) -> None:
    """Raise :class:`RecipeError` where a recipe needs the model's class and it is not to be looked at."""
    if not allowed().unchecked:
        return
    wants_texts = recipe.trim_vocabulary is not None or any(step.needs_statistics for step in recipe.passes)
    if wants_texts or recipe.format == "bitsandbytes":
        raise RecipeError(
            "--unchecked: takes passes without texts and the formats packed and plain alone, since the "
            "model's class is not known; use --preset int8 or half"
        )


def _plan_tensors(
    specs: Sequence[TensorSpec], recipe: Recipe, checkpoint: Checkpoint, shape: ModelShape
) -> tuple[TensorPlan, ...]:
    ties = _ties(checkpoint, shape)

    def planned(plain: Collection[str] = ()) -> tuple[TensorPlan, ...]:
        return tuple(_plan_tensor(spec, recipe, ties.get(spec.name, ""), shape, plain) for spec in specs)

    tensors = planned()
    if recipe.format != "bitsandbytes":
        return tensors
    # Which layers become 8-bit ones is up to transformers: what it would leave plain must be stored plain.
    return planned(kept_plain(checkpoint.path, _dense_layers(tensors, shape)))


def _ties(checkpoint: Checkpoint, model: ModelShape) -> dict[str, str]:
    """Map each tensor that the model class ties to another one of the checkpoint, to that one."""
    names = {model.own_name(spec.name): spec.name for spec in checkpoint.specs}
    return {
        names[target]: names[source]
        for target, source in model.tied.items()
        if target in names and source in names
    }


def _plan_tensor(
    spec: TensorSpec, recipe: Recipe, tied_to: str, shape: ModelShape, plain: Collection[str]
) -> TensorPlan:
    """Choose the passes of a tensor. ``plain`` are linear layers that must not become integers."""
    if spec.is_unused:
        extent = FORMATS["plain"].extent(spec, spec.dtype, quantized=False)
        return TensorPlan(spec, (), extent)
    steps, notes, dtype = [], [], spec.dtype
    layer = (shape.own_name(spec.name) or "").removesuffix(".weight")
    for step in recipe.passes if spec.is_float else ():
        if not is_targeted(step, spec):
            continue
        reason = step.refuses(spec)
        if not reason and isinstance(step, INTEGERS):
            reason = FORMATS[recipe.format].refuses(spec)
        if not reason and isinstance(step, INTEGERS) and layer in plain:
            reason = "transformers keeps this layer as it is"
        if reason:
            notes.append(f"{step.name}: {reason}")
            continue
        steps.append(step)
        dtype = step.torch_dtype if isinstance(step, Half) else dtype
    quantized = any(isinstance(step, INTEGERS) for step in steps)
    extent = FORMATS[recipe.format].extent(spec, dtype, quantized=quantized)
    if not spec.is_float:
        notes.append(f"{dtype_name(spec.dtype)}, stored as it is")
    return TensorPlan(spec, tuple(steps), extent, tied_to, "; ".join(notes))


def _output_files(files: tuple[str, ...]) -> dict[str, str]:
    """Name one safetensors file for each file of the original."""
    if len(files) == 1:
        return {files[0]: "model.safetensors"}
    return {file: f"model-{i:05d}-of-{len(files):05d}.safetensors" for i, file in enumerate(files, 1)}


def _expected(tensors: list[TensorPlan]) -> list[tuple[str, int]]:
    return [(name, len(tensor.spec.shape) + 1) for tensor in tensors for name in tensor.extent.names]


def _in_order(
    plan: Plan, tensors: list[TensorPlan], statistics: Statistics | None
) -> Iterator[tuple[TensorPlan, Pressed | None, Stored]]:
    """Press and lay out the tensors in order: small ones on one core each, some ahead of their turn."""
    ahead: deque[tuple[TensorPlan, Future[_Done] | None]] = deque()
    try:
        for tensor in tensors:
            is_small = tensor.spec.numel <= _SMALL
            ahead.append((tensor, submit(partial(_press, tensor, plan, statistics)) if is_small else None))
            while sum(waiting.spec.nbytes for waiting, _ in islice(ahead, 1, None)) > _AHEAD:
                yield _next(ahead, plan, statistics)
        while ahead:
            yield _next(ahead, plan, statistics)
    finally:
        for _, future in ahead:
            if future is not None:
                future.cancel()


def _next(
    ahead: deque[tuple[TensorPlan, Future[_Done] | None]], plan: Plan, statistics: Statistics | None
) -> tuple[TensorPlan, Pressed | None, Stored]:
    tensor, future = ahead.popleft()
    return tensor, *(_press(tensor, plan, statistics) if future is None else future.result())


def _press(tensor: TensorPlan, plan: Plan, statistics: Statistics | None) -> _Done:
    """Read one tensor, put it through its passes and lay it out; a tied one is not stored again.

    One that the model does not use is copied: neither its values nor its dtype are looked at.
    """
    source, recipe = plan.checkpoint, plan.recipe
    if tensor.spec.is_unused:
        return None, Stored({tensor.spec.name: source.read(tensor.spec)}, "dense")
    if tensor.tied_to and source.holds_the_same(tensor.spec, tensor.tied_to):
        return None, Stored({}, "tied")
    steps = tuple(_bind(step, tensor, plan, statistics) for step in tensor.passes)
    pressed = press(partial(source.read, tensor.spec), tensor.spec, steps)
    return pressed, FORMATS[recipe.format].store(tensor.spec, pressed.value, recipe.codecs)


def _bind(step: Pass, tensor: TensorPlan, plan: Plan, statistics: Statistics | None) -> Pass | Bound:
    """Give a pass what calibration knows of the tensor, if it asks for it and there is anything."""
    known = _known(tensor, plan, statistics)
    if not isinstance(step, CALIBRATED) or statistics is None or known is None:
        return step
    try:
        return step.bind(known, statistics.weights)
    except ValueError as error:
        raise CalibrationError(
            f"tensor {tensor.spec.name}: {error}; give more texts, or let the pass {step.name} ignore it"
        ) from error


def _known(tensor: TensorPlan, plan: Plan, statistics: Statistics | None) -> MatrixStatistics | None:
    own = plan.model.own_name(tensor.spec.name)
    return None if statistics is None or own is None else statistics.matrices.get(own)


def _own_rows(plan: Plan) -> dict[str, Tensor]:
    """Return the rows that are left of tensors, by the model's own names."""
    own = {plan.model.own_name(name): rows for name, rows in plan.checkpoint.rows.items()}
    return {name: rows for name, rows in own.items() if name is not None}


def _calibration(plan: Plan, statistics: Statistics | None) -> Calibration | None:
    if statistics is None:
        return None
    unreached = [
        tensor.spec.name
        for tensor in plan.tensors
        if any(step.needs_statistics for step in tensor.passes) and not _known(tensor, plan, statistics)
    ]
    return Calibration(
        texts=statistics.source,
        count=statistics.texts,
        tokens=statistics.tokens,
        counted=statistics.counted,
        unreached=tuple(unreached),
    )


def _report(tensor: TensorPlan, pressed: Pressed | None, stored: Stored, file: str) -> TensorReport:
    spec = tensor.spec
    notes = [tensor.note] if pressed else [f"tied to {tensor.tied_to}"]
    notes += [
        f"{report.name}: {report.note}" for report in (pressed.reports if pressed else ()) if report.note
    ]
    return TensorReport(
        name=spec.name,
        role=spec.role,
        shape=spec.shape,
        dtype=dtype_name(spec.dtype),
        stored_dtype=dtype_name(pressed.value.dtype if pressed else spec.dtype),
        file=file,
        codec=stored.codec,
        nbytes_before=spec.nbytes_before,
        nbytes=stored.nbytes,
        zeros=pressed.zeros if pressed else None,
        relative_squared_error=pressed.relative_squared_error if pressed else None,
        passes=pressed.reports if pressed else (),
        note="; ".join(note for note in notes if note),
    )


def _file_report(path: Path) -> FileReport:
    return FileReport(path.name, path.stat().st_size, sha256(path))


def _dense_layers(tensors: Iterable[TensorPlan], model: ModelShape) -> set[str]:
    """Name the modules with a linear weight, tied ones included, that are not quantized."""
    quantized = {model.own_name(tensor.spec.name) for tensor in tensors if tensor.is_quantized}
    linear = [n for n, p in model.parameters.items() if p.role in {"linear", "head"} or n in model.tied]
    return {
        name.removesuffix(".weight") for name in linear if name not in quantized and name.endswith(".weight")
    }


def _config_dtype(manifest: Manifest) -> str | None:
    """Return the dtype that ``from_pretrained`` should load in, None to leave it as it was.

    That is one which holds every tensor: where one had to stay in float32, all are widened on loading.
    """
    if all(report.stored_dtype == report.dtype for report in manifest.tensors):
        return None
    dtypes = {
        getattr(torch, report.stored_dtype)
        for report in manifest.tensors
        if report.codec != "tied" and report.numel
    }
    return dtype_name(reduce(torch.promote_types, dtypes & set(FLOATS)))
