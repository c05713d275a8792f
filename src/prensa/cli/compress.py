"""``prensa compress``."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from prensa.cli.notes import print_notes
from prensa.cli.options import (
    NOT_HELD,
    AsJson,
    CalibrationSlices,
    Data,
    DataColumn,
    DataSplit,
    Device,
    Encoding,
    Force,
    LabelColumn,
    Labels,
    LabelThreshold,
    MaxDrop,
    Metric,
    MinRecall,
    Model,
    NewHead,
    On,
    Output,
    RemoteCode,
    Split,
    TextColumn,
    Texts,
    WorkerCpus,
    Workers,
)
from prensa.errors import SettingError

if TYPE_CHECKING:
    from prensa.jobs.compression import Compression, CompressionPlan, Result


def compress(  # noqa: PLR0913  one parameter for each option
    model: Model,
    output: Output,
    *,
    preset: Annotated[
        str | None,
        typer.Option(
            help="classic, half, int8 or small. [default: small with texts, a budget or a noise, else int8]"
        ),
    ] = None,
    recipe: Annotated[Path | None, typer.Option(help="Recipe file (TOML) instead of a preset.")] = None,
    format: Annotated[  # noqa: A002
        str | None, typer.Option(help="packed, bitsandbytes or plain. [default: the recipe's]")
    ] = None,
    prune: Annotated[
        float | None, typer.Option(help="Share of each linear layer to set to zero, 0 to 0.9.")
    ] = None,
    prune_by: Annotated[str | None, typer.Option(help="magnitude or sparsegpt. [default: magnitude]")] = None,
    threshold: Annotated[float | None, typer.Option(help="Set weights of smaller magnitude to zero.")] = None,
    bits: Annotated[int | None, typer.Option(help="8: quantize to 8 bits; 16: do not.")] = None,
    texts: Texts = None,
    text_column: TextColumn = None,
    split: Split = None,
    calibration_texts: Annotated[
        int | None, typer.Option(help="How many of the texts go through the model. [default: 256]")
    ] = None,
    trim_vocabulary: Annotated[
        str | None,
        typer.Option(
            help="Remove tokens the texts never use. Give a count (32000), a coverage (99.9%) or nothing for "
            "all used tokens."
        ),
    ] = None,
    keep: Annotated[Path | None, typer.Option(help="File of tokens to keep, one on each line.")] = None,
    languages: Annotated[
        str | None, typer.Option(help="Keep all tokens in the scripts of these languages, such as en,ru.")
    ] = None,
    shrink: Annotated[
        bool,
        typer.Option(
            "--shrink", help="Take neurons, heads and layers away, as many as the budget (--max-drop) allows."
        ),
    ] = False,
    faster: Annotated[
        str | None,
        typer.Option(help="Take them away until the model is so many times as fast, such as 2x."),
    ] = None,
    distill: Annotated[
        str | None,
        typer.Option(help="Have the smaller model learn the original's answers for a while, such as 10min."),
    ] = None,
    heal: Annotated[
        str | None,
        typer.Option(
            help="Have scales, biases and norms learn the original's answers at the end, such as 10min."
        ),
    ] = None,
    data: Data = None,
    data_column: DataColumn = None,
    label_column: LabelColumn = None,
    data_split: DataSplit = None,
    labels: Labels = None,
    encoding: Encoding = None,
    max_drop: MaxDrop = None,
    min_agreement: Annotated[
        str | None, typer.Option(help="Budget: smallest share of answers that stay the same, such as 99%.")
    ] = None,
    max_size: Annotated[
        str | None, typer.Option(help="Budget: 12% of the original's weight files, or 20MB.")
    ] = None,
    metric: Metric = None,
    min_recall: MinRecall = None,
    label_threshold: LabelThreshold = None,
    noise: Annotated[
        float | None,
        typer.Option(
            help="Allowed output change as a share of output variance; larger means smaller files. "
            "[default: 0.002]"
        ),
    ] = None,
    device: Device = None,
    memory: Annotated[
        str | None,
        typer.Option(
            help="Main memory that calibration may take, such as 8GiB; a larger model goes layer by layer. "
            "[default: all]"
        ),
    ] = None,
    runtime: Annotated[
        str | None,
        typer.Option(
            help="openvino, onnx or auto (all that are installed): also export to OUT-openvino, and compare."
        ),
    ] = None,
    drop_unused: Annotated[
        bool, typer.Option("--drop-unused", help="Leave out tensors that the model does not use.")
    ] = False,
    allow_new_head: NewHead = False,
    trust_remote_code: RemoteCode = False,
    unchecked: Annotated[
        bool,
        typer.Option("--unchecked", help="Take a model of an unknown class: no texts, no comparison."),
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan, write nothing.")] = False,
    on: On = None,
    workers: Workers = None,
    worker_cpus: WorkerCpus = None,
    trials_at_once: Annotated[
        int | None,
        typer.Option(help="Noises that are tried in one round. [default: 1, with --on one for each worker]"),
    ] = None,
    calibration_slices: CalibrationSlices = None,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Compress a model: choose new values, store them small, keep it loadable.

    With a budget (--max-drop, --min-agreement, --min-recall, --max-size) the result is as small as the budget
    allows, found by real evaluations. The exit code is 1 if no result keeps it or too few texts decide.
    """
    from prensa.cli.sources import judged_source, texts_source
    from prensa.evaluation.budget import Budget
    from prensa.healing.settings import heal_from
    from prensa.jobs.compression import Compression
    from prensa.jobs.permissions import Permissions
    from prensa.jobs.scale import Scale
    from prensa.pressing.recipe import Changes
    from prensa.shrink.settings import shrink_from
    from prensa.vocabulary.settings import trim_from

    if runtime is not None and as_json:
        raise SettingError("`runtime` prints three results; for `json` run compress, export and evaluate")
    budget = Budget(
        max_drop,
        min_agreement,
        max_size,
        on=judged_source(data, data_column, label_column, data_split, labels, encoding, texts=texts),
        metric=metric,
        min_recall=min_recall,
        label_threshold=label_threshold,
    )
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
            trim_vocabulary=trim_from(trim_vocabulary, keep, languages),
            shrink=shrink_from(shrink, faster, distill),
            heal=heal_from(heal),
        ),
        texts=texts_source(texts, text_column, split, encoding, calibration_texts, data=data),
        budget=budget,
        device=device,
        memory=memory,
        runtime=runtime,
        drop_unused=drop_unused,
        force=force,
        permissions=Permissions(allow_new_head, trust_remote_code, unchecked),
        scale=Scale(on, workers, worker_cpus, trials_at_once, calibration_slices),
    )
    plan = _plan(job)
    if dry_run:
        _print_plan(plan, as_json=as_json)
        return
    result = _run(plan)
    _print_result(result, as_json=as_json)
    if not result.held:
        raise typer.Exit(NOT_HELD)


def _plan(job: Compression) -> CompressionPlan:
    from prensa.cli.progress import stages

    with stages() as progress:
        plan = job.plan(progress)
    print_notes(*plan.notes)
    return plan


def _print_plan(plan: CompressionPlan, *, as_json: bool) -> None:
    from prensa.cli import plans

    healing = None if plan.healing is None else plan.healing.plan
    if as_json:
        summary = plans.plan_summary(plan.pressing, plan.calibration, plan.shrinking, healing)
        typer.echo(json.dumps(summary, indent=1))
        return
    plans.print_plan(plan.pressing, plan.calibration, plan.shrinking, healing)


def _run(plan: CompressionPlan) -> Result:
    """Compress with a bar on stderr, and a line there for each trial of a search."""
    from rich.console import Console

    from prensa.cli.outcome import trial_printer
    from prensa.cli.progress import progress_bar, stages

    stages_of_it = (plan.calibration, plan.runtimes, plan.shrinking, plan.healing)
    takes_stages = any(stage is not None for stage in stages_of_it)
    if plan.job.budget.is_given or takes_stages:
        console = Console(stderr=True, markup=False, highlight=False, emoji=False)
        with stages(console) as progress:
            return plan.run(progress, trial_printer(console, plan.pressing.checkpoint.nbytes))
    with progress_bar("compressing") as progress:
        return plan.run(progress)


def _print_result(result: Result, *, as_json: bool) -> None:
    from prensa.cli.outcome import describe
    from prensa.cli.tables import print_result

    if as_json:
        typer.echo(json.dumps(_content(result), indent=1))
        return
    if result.manifest is not None:
        print_result(result.manifest, result.output)
    if result.outcome is not None:
        typer.echo(describe(result.outcome, result.output))
    if result.unreached:
        typer.echo(result.unreached)
    _print_exports(result)


def _content(result: Result) -> dict[str, object]:
    """Return a result as plain data: how the search ended, or without one what was written."""
    content: dict[str, object] = {"output": str(result.output)}
    if result.outcome is not None:
        content.update(json.loads(result.outcome.to_json()))
        # An outcome knows of the trials alone: those are of the smaller model, and not healed.
        if result.manifest is not None and result.manifest.shrink is not None:
            content["shrink"] = dataclasses.asdict(result.manifest.shrink)
        if result.manifest is not None and result.manifest.heal is not None:
            content["heal"] = dataclasses.asdict(result.manifest.heal)
    elif result.manifest is not None:
        content.update(dataclasses.asdict(result.manifest))
    if result.unreached:
        content["unreached"] = result.unreached
    return content


def _print_exports(result: Result) -> None:
    from prensa.cli.comparison import print_evaluation
    from prensa.cli.export import print_record
    from prensa.jobs.runtimes import fastest

    print_notes(*result.problems)
    for export in result.exports:
        typer.echo(f"Written to {export.path}")
        print_record(export.record, export.path, as_json=False)
    if result.evaluation is None:
        return
    print_evaluation(result.evaluation)
    best = fastest(result.evaluation)
    if len(result.evaluation.results) > 1 and best is not None:
        typer.echo(f"\nThe fastest here: prensa.load('{best}')")
