"""The public functions, each one call over the parts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from prensa.calibrate import TextChoice, calibrate, plan_for, vocabulary_for
from prensa.checkpoint.allowed import allowing
from prensa.checkpoint.inspection import describe
from prensa.checkpoint.locate import locate
from prensa.checkpoint.manifest import Manifest
from prensa.errors import EvaluationError, RecipeError
from prensa.evaluation.results import Evaluation, Settings
from prensa.extras import require
from prensa.isolation import as_usual
from prensa.pressing import pipeline
from prensa.pressing.recipe import Recipe, adjusted, load_preset
from prensa.progress import Progress, silent
from prensa.search.budget import NO_NOISE, Budget, Trial
from prensa.texts.names import as_mapping, join_names
from prensa.texts.source import Source
from prensa.vocabulary.settings import TrimVocabulary

if TYPE_CHECKING:
    from prensa.search.search import Found
    from prensa.serving.exported import Record


@as_usual()
def compress(  # noqa: PLR0913  every setting is a parameter, so that each has its name
    model: str | Path,
    output: str | Path,
    *,
    recipe: Recipe | str | None = None,
    trim_vocabulary: TrimVocabulary | None = None,
    texts: str | Path | None = None,
    text_column: str | Sequence[str] | None = None,
    split: str | None = None,
    device: str | None = None,
    drop_unused: bool = False,
    allow_new_head: bool = False,
    trust_remote_code: bool = False,
    unchecked: bool = False,
    force: bool = False,
    progress: Progress | None = None,
    encoding: str | None = None,
) -> Manifest:
    """Press a model directory, or a model of the hub, into ``output``.

    ``recipe`` is a :class:`Recipe` or a preset's name: ``small`` if there are ``texts``, else ``int8``.
    ``texts`` is what the model is calibrated on, a file, a directory or a data set's name; a recipe that
    calibrates takes the built-in texts without it. ``text_column`` and ``split`` say where in ``texts``,
    ``encoding`` how its file is written if not in UTF-8, ``device`` where the model runs while it is
    calibrated. ``trim_vocabulary`` drops pieces that the texts do not use. ``force`` allows replacing a model
    in ``output``.

    A model whose names or class do not fit is refused. ``drop_unused`` leaves out tensors that its class
    does not use, ``allow_new_head`` takes one whose head has no weights, ``trust_remote_code`` runs the
    model's own code, and ``unchecked`` compresses without looking at the class, by passes that need no
    texts.

    Returns what was done, tensor by tensor, with ``notes``. Raises a :class:`~prensa.errors.PrensaError`;
    then ``output`` is as it was.
    """
    told = progress or silent
    preset = ("int8" if texts is None else "small") if recipe is None else recipe
    resolved = _resolved(preset, trim_vocabulary)
    choice = TextChoice(
        None if texts is None else str(texts), join_names(text_column), split, encoding=encoding
    )
    with allowing(remote_code=trust_remote_code, new_head=allow_new_head, unchecked=unchecked):
        source = locate(model)
        planned = _plan(
            source, resolved, Path(output), choice, drop_unused=drop_unused, force=force, progress=told
        )
        statistics = calibrate(planned, choice, device=device, progress=told)
        return pipeline.run(planned, told, statistics)


@as_usual()
def compress_within(  # noqa: PLR0913  every setting is a parameter, so that each has its name
    model: str | Path,
    output: str | Path,
    *,
    max_drop: float | None = None,
    min_agreement: float | None = None,
    max_bytes: int | None = None,
    texts: str | Path | None = None,
    data: str | Path | None = None,
    recipe: Recipe | str = "small",
    trim_vocabulary: TrimVocabulary | None = None,
    text_column: str | Sequence[str] | None = None,
    label_column: str | Sequence[str] | None = None,
    split: str | None = None,
    device: str | None = None,
    drop_unused: bool = False,
    allow_new_head: bool = False,
    trust_remote_code: bool = False,
    force: bool = False,
    tell: Callable[[Trial, bool], None] | None = None,
    progress: Progress | None = None,
    encoding: str | None = None,
    labels: Mapping[str, str] | None = None,
) -> Found:
    """Press a model as small as a budget allows, by real evaluations, and confirm it on other texts.

    ``max_drop`` and ``min_agreement`` are shares, ``max_bytes`` those of the weight files; all that are given
    must hold. ``texts`` is what the model is calibrated on, ``data`` what results are judged by, each the
    other where it is not given; columns, ``encoding`` and ``labels`` are as for :func:`evaluate`. ``tell`` is
    called with each trial and whether it keeps the budget. What a model must be, and what ``drop_unused``,
    ``allow_new_head`` and ``trust_remote_code`` allow, is as for :func:`compress`.

    The result is in ``output`` where ``held`` of what is returned says so; otherwise nothing was written, or,
    after an interruption, the best so far. Where too few texts decide, ``decision`` is ``undecided`` and
    ``texts_needed`` says how many would; ``warnings`` say what a kept budget does not prove. Raises a
    :class:`~prensa.errors.PrensaError` as :func:`compress` and :func:`evaluate` do.
    """
    require("evaluate", "a budget")
    from prensa.search.referee import Judging, referee_for
    from prensa.search.search import search

    told = progress or silent
    budget = Budget(max_drop, min_agreement, max_bytes)
    resolved = _resolved(recipe, trim_vocabulary)
    calibrated_on = texts if texts is not None else data
    columns = join_names(text_column), join_names(label_column)
    choice = TextChoice(
        None if calibrated_on is None else str(calibrated_on), columns[0], split, encoding=encoding
    )
    judged_by = data if data is not None else texts
    judging = Judging(
        None if judged_by is None else str(judged_by), *columns, split, device, encoding, as_mapping(labels)
    )
    with allowing(remote_code=trust_remote_code, new_head=allow_new_head):
        planned = _plan(
            locate(model), resolved, Path(output), choice, drop_unused=drop_unused, force=force, progress=told
        )
        calibration = plan_for(planned, choice, device=device, progress=told)
        if calibration is None:
            raise RecipeError(NO_NOISE)
        referee = referee_for(planned.checkpoint.path, judging) if budget.is_of_quality else None
        return search(
            planned, calibration, budget, referee, tell=tell or (lambda trial, held: None), progress=told
        )


def _resolved(recipe: Recipe | str, trim_vocabulary: TrimVocabulary | None) -> Recipe:
    found = load_preset(recipe) if isinstance(recipe, str) else recipe
    return adjusted(found, trim_vocabulary=trim_vocabulary)


def _plan(  # noqa: PLR0913
    source: Path,
    recipe: Recipe,
    output: Path,
    texts: TextChoice,
    *,
    drop_unused: bool,
    force: bool,
    progress: Progress,
) -> pipeline.Plan:
    vocabulary = vocabulary_for(source, recipe, output, texts, force=force, progress=progress)
    return pipeline.plan(source, recipe, output, force=force, vocabulary=vocabulary, drop_unused=drop_unused)


@as_usual()
def export(  # noqa: PLR0913  every setting is a parameter, so that each has its name
    model: str | Path,
    output: str | Path,
    *,
    to: str,
    precision: str = "int8",
    texts: str | Path | None = None,
    text_column: str | Sequence[str] | None = None,
    split: str | None = None,
    data: str | Path | None = None,
    label_column: str | Sequence[str] | None = None,
    max_drop: float | None = None,
    allow_new_head: bool = False,
    trust_remote_code: bool = False,
    force: bool = False,
    progress: Progress | None = None,
    encoding: str | None = None,
    labels: Mapping[str, str] | None = None,
) -> Record:
    """Write an original or pressed model for another runtime, ``to`` openvino or onnxruntime.

    ``precision`` is int8, bf16 (openvino) or fp32. ``texts`` is what ranges are measured and answers compared
    on, the built-in texts without it. ``max_drop`` is a share of right answers of a classifier: no more may
    be lost on ``data`` (else ``texts``); OpenVINO then keeps layers out of 8 bits that cost more. Columns,
    ``encoding`` and ``labels`` are as for :func:`evaluate`. Returns the export's record, with the measured
    difference. Raises a :class:`~prensa.errors.PrensaError`; then
    ``output`` is as it was.
    """
    from prensa.serving.export import plan_export, run_export

    with allowing(remote_code=trust_remote_code, new_head=allow_new_head):
        plan = plan_export(
            locate(model),
            Path(output),
            to=to,
            precision=precision,
            texts=Source(texts, text_column=join_names(text_column), split=split, encoding=encoding),
            force=force,
        )
        return run_export(plan, progress or silent)


@as_usual()
def inspect(path: str | Path) -> Manifest:
    """Return what is stored in a model directory, tensor by tensor.

    For a result of :func:`compress` this is its manifest, checked against the files; for any other
    model, what the headers say.
    """
    return describe(locate(path))


@as_usual()
def evaluate(  # noqa: PLR0913  every setting is a parameter, so that each has its name
    original: str | Path,
    results: str | Path | Sequence[str | Path],
    *,
    data: str | Path | None = None,
    text_column: str | Sequence[str] | None = None,
    label_column: str | Sequence[str] | None = None,
    split: str | None = None,
    limit: int | None = None,
    batch_size: int | None = None,
    max_length: int | None = None,
    device: str | None = None,
    dtype: str | None = None,
    max_drop: float | None = None,
    allow_new_head: bool = False,
    trust_remote_code: bool = False,
    progress: Progress | None = None,
    encoding: str | None = None,
    labels: Mapping[str, str] | None = None,
) -> Evaluation:
    """Compare pressed models with their original: size, speed, memory and quality.

    ``data`` is a file, a directory or a data set's name (the built-in texts without it); ``text_column``
    may be two names (a list, or with a comma between them), ``label_column`` one for each label of a
    multi-label model; ``labels`` leads from the data's names of labels to the model's, an empty one leaves
    rows out; ``encoding`` is that of a file that is not UTF-8. What was read and left out is said by
    ``data.account`` of the evaluation. ``limit`` takes that many texts at random. ``max_length``
    and the lengths found are in tokens. ``max_drop`` is a share: 0.01 allows a point of accuracy; it
    changes nothing but what ``budget(result)`` and ``within_budget`` of the evaluation say.

    Nothing is written. An interruption while it measures returns what there is, with the rest in ``missing``.
    Raises :class:`~prensa.errors.DataError` for texts or labels that cannot be used,
    :class:`~prensa.errors.EvaluationError` for models that cannot be compared,
    :class:`~prensa.errors.MissingPackageError` without ``prensa[evaluate]``.
    """
    require("evaluate", "evaluating")
    from prensa.evaluation.evaluate import plan, run

    if not results:
        raise EvaluationError("expected at least one result to compare with the original")
    several = [results] if isinstance(results, (str, Path)) else results
    settings = Settings(
        str(original),
        tuple(map(str, several)),
        data=None if data is None else str(data),
        text_column=join_names(text_column),
        label_column=join_names(label_column),
        split=split,
        limit=limit,
        batch_size=batch_size,
        max_length=max_length,
        device=device,
        dtype=dtype,
        max_drop=max_drop,
        encoding=encoding,
        labels=as_mapping(labels),
    )
    told = progress or silent
    with allowing(remote_code=trust_remote_code, new_head=allow_new_head):
        return run(plan(settings, told), told)
