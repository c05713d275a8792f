"""The public functions: each builds a job, plans it and runs it.

Their parameters are the options of the commands, by the same words and with the same defaults.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TypeVar

from torch import nn

from prensa.evaluation.budget import Budget, OfLabels
from prensa.evaluation.frontier import Frontier
from prensa.evaluation.results import Evaluation
from prensa.healing.settings import Heal, heal_from
from prensa.isolation import as_usual
from prensa.jobs.comparison import Comparison
from prensa.jobs.compression import Compression, Result
from prensa.jobs.conversion import Conversion
from prensa.jobs.exploration import Exploration
from prensa.jobs.permissions import Permissions
from prensa.jobs.prediction import Prediction
from prensa.jobs.scale import Scale
from prensa.modules.batches import batches_of
from prensa.modules.compress import compressed
from prensa.modules.seen import Run
from prensa.predicting.run import Predicted
from prensa.pressing.recipe import Changes, Recipe, adjusted, chosen_recipe
from prensa.progress import Progress, silent
from prensa.search.frontier import OnPoint, ignore_point
from prensa.search.search import OnTrial, ignore_trial
from prensa.serving.exported import Record
from prensa.shrink.settings import Shrink, shrink_from
from prensa.texts.source import Source
from prensa.vocabulary.settings import TrimVocabulary, trim_from

M = TypeVar("M", bound=nn.Module)


def compress(  # noqa: PLR0913  every option is a parameter, so that each has its name
    model: str | Path,
    output: str | Path,
    *,
    preset: str | None = None,
    recipe: Recipe | str | Path | None = None,
    format: str | None = None,  # noqa: A002  the recipe's own word
    prune: float | None = None,
    prune_by: str | None = None,
    threshold: float | None = None,
    bits: int | None = None,
    noise: float | None = None,
    texts: Source | str | Path | None = None,
    trim_vocabulary: TrimVocabulary | int | str | None = None,
    shrink: Shrink | bool = False,
    faster: float | str | None = None,
    distill: float | str | None = None,
    heal: Heal | float | str | None = None,
    data: Source | str | Path | None = None,
    max_drop: float | str | None = None,
    min_agreement: float | str | None = None,
    max_size: int | str | None = None,
    metric: str | None = None,
    min_recall: OfLabels | None = None,
    label_threshold: OfLabels | None = None,
    device: str | None = None,
    memory: int | str | None = None,
    runtime: str | None = None,
    drop_unused: bool = False,
    allow_new_head: bool = False,
    trust_remote_code: bool = False,
    unchecked: bool = False,
    on: str | None = None,
    workers: int | None = None,
    worker_cpus: int | None = None,
    trials_at_once: int | None = None,
    calibration_slices: int | None = None,
    force: bool = False,
    progress: Progress = silent,
    on_trial: OnTrial = ignore_trial,
) -> Result:
    """Compress a model directory, or a model of the hub, into ``output``.

    How: ``preset`` is ``small``, ``int8``, ``half`` or ``classic``: without it ``small`` if there are texts,
    a budget or a noise, else ``int8``. ``recipe`` is a :class:`Recipe`, or a recipe file, in its place.
    ``format``, ``prune`` (a share), ``prune_by``, ``threshold``, ``bits`` (8 or 16) and ``noise`` change
    single settings of it. ``trim_vocabulary`` (``"texts"``, ``"99.9%"`` …) removes tokens of little use.

    ``faster`` (2 or ``"2x"``) takes neurons, attention heads and layers away until the model is so many times
    as fast where it will run; ``shrink`` alone as many as the budget allows, and as a :class:`Shrink` it says
    what may go. ``distill`` (seconds, or ``"10min"``) has the smaller model learn the original's answers.
    ``heal`` (the same, or a :class:`Heal`) has scales, biases and norms of the result learn them at the end,
    while its integers stay.

    With which texts: ``texts`` are calibrated on, ``data`` are what results are judged by, each the other's
    default: a path, a data set's name, or a :class:`Source` with columns, split and labels.

    Within which budget: ``max_drop`` and ``min_agreement`` are shares (0.01 or ``"1%"`` is a point),
    ``max_size`` is a number of bytes, ``"20MB"``, or a share of the original as ``"12%"``. The result is then
    as small as the budget allows, by real evaluations, and confirmed on texts that the search has not seen.
    ``held`` of what is returned says whether it is; where it is not, nothing was written.

    In which terms: ``metric`` is what ``max_drop`` is a drop of, such as ``recall:toxic``, ``pr_auc:toxic``,
    ``entity_f1`` or ``ndcg@10``; the task's usual one without it. ``min_recall`` (``{"toxic": 0.99}``) is how
    much of what has a label the result must find, beside any other budget. ``label_threshold``
    (``{"toxic": 0.7}``) gives a label only where it is more likely than that; ``"auto"`` in place of the
    number chooses it.

    ``device`` is where the model runs while it is calibrated and judged. ``memory`` (a number of bytes, or
    ``"8GiB"``) is how much of main memory calibration may take, by default all that there is: a model that
    takes more goes through it layer by layer, to the same bytes. ``runtime`` (``openvino``, ``onnx`` or
    ``auto``: all installed) exports the result, too, and compares. ``force`` replaces a model in ``output``.

    A model whose names or class do not fit is refused. ``drop_unused`` leaves out tensors that its class
    does not use, ``allow_new_head`` takes one whose head has no weights, ``trust_remote_code`` runs the
    model's own code, and ``unchecked`` compresses without looking at the class, by passes that need no
    texts. ``progress`` and ``on_trial`` are called as the work goes on. ``on`` has ``workers`` of a Ray
    cluster calibrate, in ``calibration_slices``, and make ``trials_at_once``: the same numbers of both give
    the same bytes with a cluster and without.

    Raises a :class:`~prensa.errors.PrensaError`; then ``output`` is as it was.
    """
    budget = Budget(max_drop, min_agreement, max_size, data, metric, min_recall, label_threshold)
    job = Compression(
        model,
        output,
        preset=preset,
        recipe=recipe,
        changes=Changes(
            format=format,
            prune=prune,
            prune_by=prune_by,
            threshold=threshold,
            bits=bits,
            noise=noise,
            trim_vocabulary=trim_from(trim_vocabulary),
            shrink=shrink_from(shrink, faster, distill),
            heal=heal_from(heal),
        ),
        texts=texts,
        budget=budget,
        device=device,
        memory=memory,
        runtime=runtime,
        drop_unused=drop_unused,
        force=force,
        permissions=Permissions(allow_new_head, trust_remote_code, unchecked),
        scale=Scale(on, workers, worker_cpus, trials_at_once, calibration_slices),
    )
    return job.plan(progress).run(progress, on_trial)


@as_usual()
def compress_module(  # noqa: PLR0913  every setting is a parameter, so that each has its name
    module: M,
    recipe: Recipe | str | Path | None = None,
    *,
    preset: str | None = None,
    noise: float | None = None,
    texts: Source | str | Path | Iterable[object] | None = None,
    run: Run | None = None,
    prefix: str = "",
    batch_size: int = 16,
    progress: Progress = silent,
) -> M:
    """Return a copy of any module in memory whose linear layers and embeddings are compressed.

    It has the same class and ordinary weights, rounded; norms, biases, buffers and other layers are as they
    were. :func:`prensa.save` stores it packed, :func:`prensa.load_into` reads it into a fresh module.
    ``prefix`` names a part (``"encoder."``), outside of which nothing changes.

    ``recipe`` is a :class:`Recipe` or a recipe file, ``preset`` a preset's name (``small`` with ``run``,
    ``texts`` or ``noise``, else ``int8``), ``noise`` the share by which a calibrated recipe may change the
    answers.

    A calibrated recipe sends ``texts`` through the module, by ``run(module, batch)``, which gets the copy and
    a batch: a list of ``batch_size`` texts or pairs, if ``texts`` are those (a list, a file, a
    :class:`Source`; 256 are drawn; the built-in ones without ``texts``), else each of them as it is, as from
    a data loader. The tensors that it returns are what the weights are rounded for: give those that are your
    answers (logits, vectors). If it returns nothing, or computes without gradients, each layer is rounded for
    what the layer itself puts out.

    Raises :class:`~prensa.errors.DataError` naming a batch that the module does not run on,
    :class:`~prensa.errors.SettingError` and :class:`~prensa.errors.RecipeError` for settings that do not fit,
    and :class:`~prensa.errors.ModelError` for a module that cannot be used. The module is then as it was, as
    it always is.
    """
    is_calibrated = run is not None or texts is not None or noise is not None
    chosen = chosen_recipe(preset, recipe, default="small" if is_calibrated else "int8")
    chosen = adjusted(chosen, Changes(noise=noise))
    batches = None
    if run is not None or texts is not None:
        batches = batches_of(texts, batch_size)
    return compressed(module, chosen, prefix, batches, run, progress)


def evaluate(  # noqa: PLR0913  every option is a parameter, so that each has its name
    original: str | Path,
    results: str | Path | Sequence[str | Path],
    *,
    data: Source | str | Path | None = None,
    batch_size: int | None = None,
    max_length: int | None = None,
    device: str | None = None,
    dtype: str | None = None,
    max_drop: float | str | None = None,
    cascade: float | str | None = None,
    metric: str | None = None,
    min_recall: OfLabels | None = None,
    label_threshold: OfLabels | None = None,
    allow_new_head: bool = False,
    trust_remote_code: bool = False,
    progress: Progress = silent,
) -> Evaluation:
    """Compare results with their original: size, speed, memory and quality.

    ``data`` is a file, a directory, a data set's name (the built-in texts without it), or a :class:`Source`
    with columns, labels, split and limit. ``data.account`` of what is returned says what was read and what
    was left out. ``max_length`` and the lengths in the result are in tokens. ``max_drop`` is a share: 0.01
    or ``"1%"`` allows a point of accuracy; it changes nothing but what ``budget(result)`` and
    ``within_budget`` of the evaluation say. ``cascade`` (0.99 or ``"99%"``) also puts each result, a
    classifier, before the original: it answers where it is sure, so that as many answers are the original's.

    ``metric`` is what the drop is of, such as ``recall:toxic``, ``entity_f1`` or ``ndcg@10``; the task's
    usual one without it. ``min_recall`` (``{"toxic": 0.99}``) is how much of what has a label a result must
    find for ``budget(result)`` to hold. ``label_threshold`` (``{"toxic": 0.7}``) gives a label only where it
    is more likely than that; ``"auto"`` in place of the number chooses it for each model on one half of the
    texts, and everything else is of the other half.

    Nothing is written. An interruption while it measures returns what there is, with the rest in ``missing``.
    Raises a :class:`~prensa.errors.PrensaError` for texts that cannot be used and models that cannot be
    compared, and :class:`~prensa.errors.MissingPackageError` without ``prensa[evaluate]``.
    """
    several: tuple[str | Path, ...]
    several = (results,) if isinstance(results, (str, Path)) else tuple(results)
    job = Comparison(
        original,
        several,
        data=data,
        batch_size=batch_size,
        max_length=max_length,
        device=device,
        dtype=dtype,
        max_drop=max_drop,
        cascade=cascade,
        metric=metric,
        min_recall=min_recall,
        label_threshold=label_threshold,
        permissions=Permissions(allow_new_head, trust_remote_code),
    )
    return job.plan(progress).run(progress)


def export(  # noqa: PLR0913  every option is a parameter, so that each has its name
    model: str | Path,
    output: str | Path,
    *,
    to: str,
    precision: str = "int8",
    layout: str | None = None,
    texts: Source | str | Path | None = None,
    data: Source | str | Path | None = None,
    max_drop: float | str | None = None,
    metric: str | None = None,
    min_recall: OfLabels | None = None,
    label_threshold: OfLabels | None = None,
    allow_new_head: bool = False,
    trust_remote_code: bool = False,
    force: bool = False,
    progress: Progress = silent,
) -> Record:
    """Write an original or compressed model for another runtime, ``to`` openvino or onnx.

    ``precision`` is int8, int4 (onnx: smallest file), fp16 (onnx), bf16 (openvino) or fp32. ``texts`` are
    what ranges are measured and answers compared on, the built-in texts without them. ``layout`` has the
    files named and completed for another program: transformers.js, sentence-transformers, tei or openvino
    (its model server).
    ``max_drop`` is a share: no more may be lost on ``data`` (else ``texts``). Where 8 or 4 bits lose more,
    the layers that cost most go back to more bits, as few as needed; the record's ``back`` names them.
    ``metric``, ``min_recall`` and ``label_threshold`` are those of :func:`evaluate`.

    Returns the export's record, with the measured difference. Raises a :class:`~prensa.errors.PrensaError`;
    then ``output`` is as it was.
    """
    job = Conversion(
        model,
        output,
        to,
        precision=precision,
        layout=layout,
        texts=texts,
        budget=Budget(
            max_drop, on=data, metric=metric, min_recall=min_recall, label_threshold=label_threshold
        ),
        force=force,
        permissions=Permissions(allow_new_head, trust_remote_code),
    )
    return job.plan(progress).run(progress)


def frontier(  # noqa: PLR0913  every option is a parameter, so that each has its name
    model: str | Path,
    output: str | Path,
    *,
    data: Source | str | Path,
    texts: Source | str | Path | None = None,
    metric: str | None = None,
    label_threshold: OfLabels | None = None,
    device: str | None = None,
    allow_new_head: bool = False,
    trust_remote_code: bool = False,
    on: str | None = None,
    workers: int | None = None,
    worker_cpus: int | None = None,
    calibration_slices: int | None = None,
    progress: Progress = silent,
    on_point: OnPoint = ignore_point,
) -> Frontier:
    """Measure what each size costs in quality, and write ``frontier.json`` and a page to ``output``.

    Compresses the model at several noises, and with the presets and bitsandbytes beside them, and judges
    each on ``data`` (2,000 of its texts unless its ``limit`` says otherwise). ``texts`` are calibrated on,
    those of ``data`` without them. ``metric`` and ``label_threshold`` are those of :func:`evaluate`.
    ``on_point`` is called with each point. ``on`` and what belongs to it are those of :func:`compress`.

    Raises a :class:`~prensa.errors.PrensaError` where that cannot be done.
    """
    job = Exploration(
        model,
        output,
        data,
        texts=texts,
        metric=metric,
        label_threshold=label_threshold,
        device=device,
        permissions=Permissions(allow_new_head, trust_remote_code),
        scale=Scale(on, workers, worker_cpus, calibration_slices=calibration_slices),
    )
    return job.plan(progress).run(progress, on_point)


def predict(  # noqa: PLR0913  every option is a parameter, so that each has its name
    model: str | Path,
    output: str | Path,
    *,
    data: Source | str | Path,
    columns: str | Sequence[str] | None = None,
    prefix: str = "",
    all_scores: bool = False,
    runtime: str = "auto",
    precision: str | None = None,
    max_batch_tokens: int = 4096,
    strict: bool = False,
    force: bool = False,
    on: str | None = None,
    workers: int | None = None,
    worker_cpus: int | None = None,
    allow_new_head: bool = False,
    trust_remote_code: bool = False,
    progress: Progress = silent,
) -> Predicted:
    """Answer all texts of ``data`` and write the answers to ``output``, beside the columns that there are.

    ``data`` is a file (Parquet, CSV, TSV, JSON lines), a directory of such files, a pattern, a data set that
    was saved to disk, or a :class:`Source` with the column of the texts, two for pairs. The name of
    ``output`` says what is written; of several files each is written under its own name into a directory.
    Memory does not grow with the input, and the order of rows stays.

    ``columns`` are kept, all without it. ``prefix`` stands before the names of new columns, and with
    ``all_scores`` a classifier writes the probability of each label. ``runtime`` (auto, torch, openvino,
    onnxruntime) and ``precision`` (int8, bf16, fp32) say how the model is run, ``max_batch_tokens`` how much
    at a time.

    ``on`` has the workers of a Ray cluster answer: ``ray`` starts one here, ``ray:auto`` joins the one that
    runs here, ``ray:HOST:PORT`` another one, with as many ``workers`` of ``worker_cpus`` as it has room for.

    A row that cannot be answered has a reason in the column ``problem``; ``strict`` ends there instead. The
    same call goes on with one that was stopped; ``force`` replaces an output that exists.

    Raises a :class:`~prensa.errors.PrensaError`; what is whole by then is kept.
    """
    job = Prediction(
        model,
        output,
        data,
        columns=columns,
        prefix=prefix,
        all_scores=all_scores,
        runtime=runtime,
        precision=precision,
        max_batch_tokens=max_batch_tokens,
        strict=strict,
        force=force,
        on=on,
        workers=workers,
        worker_cpus=worker_cpus,
        permissions=Permissions(allow_new_head, trust_remote_code),
    )
    return job.plan(progress).run(progress)
