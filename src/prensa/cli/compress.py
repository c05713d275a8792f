"""``prensa compress``."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from prensa.cli.notes import print_notes
from prensa.cli.options import Encoding, Labels, share, size_in_bytes
from prensa.cli.permissions import NewHead, RemoteCode, allow
from prensa.errors import RecipeError
from prensa.texts.names import as_mapping

if TYPE_CHECKING:
    from prensa.pressing.pipeline import Plan
    from prensa.search.budget import Budget


def compress(  # noqa: PLR0913, PLR0915  one parameter for each option
    context: typer.Context,
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="Model directory, or a name on the Hugging Face hub.")
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="Directory to write.")],
    *,
    preset: Annotated[
        str | None,
        typer.Option(help="classic, half, int8 or small. [default: small with texts or a budget, else int8]"),
    ] = None,
    recipe: Annotated[Path | None, typer.Option(help="Recipe file (TOML) instead of a preset.")] = None,
    format: Annotated[  # noqa: A002
        str | None, typer.Option(help="packed, bitsandbytes or plain. [default: the recipe's]")
    ] = None,
    prune: Annotated[
        float | None, typer.Option(help="Share of each linear layer to set to zero, 0 to 0.9.")
    ] = None,
    prune_by: Annotated[
        str | None, typer.Option(help="magnitude, sparsegpt or wanda. [default: magnitude]")
    ] = None,
    threshold: Annotated[float | None, typer.Option(help="Set weights of smaller magnitude to zero.")] = None,
    bits: Annotated[int | None, typer.Option(help="8: quantize to 8 bits; 16: do not.")] = None,
    texts: Annotated[
        str | None,
        typer.Option(help="Texts to calibrate on: a file or a data set. [default: built-in texts]"),
    ] = None,
    text_column: Annotated[str | None, typer.Option(help="Column of the texts.")] = None,
    split: Annotated[str | None, typer.Option(help="Part of a data set.")] = None,
    calibration_texts: Annotated[
        int | None, typer.Option(help="How many of the texts go through the model. [default: 256]")
    ] = None,
    trim_vocabulary: Annotated[
        str | None,
        typer.Option(
            help="Drop pieces that the texts do not use. N: keep so many; 99.9%: of the texts. [usual: texts]"
        ),
    ] = None,
    keep: Annotated[Path | None, typer.Option(help="File of pieces that stay, one on each line.")] = None,
    languages: Annotated[
        str | None, typer.Option(help="Keep all pieces in the scripts of these, as en,ru.")
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(help="Texts to keep a budget by, with labels if there are any. [default: --texts]"),
    ] = None,
    label_column: Annotated[str | None, typer.Option(help="Column of the right answers in --data.")] = None,
    labels: Labels = None,
    encoding: Encoding = None,
    max_drop: Annotated[
        float | None, typer.Option(parser=share, help="Budget: largest drop, 0.01 or 1% is one point.")
    ] = None,
    min_agreement: Annotated[
        float | None, typer.Option(parser=share, help="Budget: least share of answers that stay, as 99%.")
    ] = None,
    max_size: Annotated[
        str | None, typer.Option(help="Budget: 12% of the original's weight files, or 20MB.")
    ] = None,
    noise: Annotated[
        float | None,
        typer.Option(help="Change of the outputs that calibration aims at, as a share of their variance."),
    ] = None,
    device: Annotated[str | None, typer.Option(help="Where to calibrate: cpu, cuda, …")] = None,
    runtime: Annotated[
        str | None,
        typer.Option(
            help="openvino, onnx or auto (all that are installed): export to OUT-openvino, and compare."
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
    force: Annotated[bool, typer.Option("--force", help="Replace the model in the output.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> None:
    """Press a model: choose new values, store them small, keep it loadable.

    With a budget (--max-drop, --min-agreement, --max-size) it presses as small as the budget allows, by real
    evaluations, and exits with 1 where no result keeps it or too few texts decide.
    """
    from transformers.utils import logging

    from prensa.calibrate import TextChoice, plan_for, vocabulary_for
    from prensa.calibration.collect import collect
    from prensa.checkpoint.locate import locate
    from prensa.cli import tables
    from prensa.cli.progress import progress_bar, stages
    from prensa.cli.serving import Serving
    from prensa.pressing import pipeline
    from prensa.pressing.recipe import adjusted, chosen_recipe
    from prensa.vocabulary.settings import trim_from

    logging.disable_progress_bar()
    is_searched = any(each is not None for each in (max_drop, min_agreement, max_size))
    if is_searched and noise is not None:
        raise RecipeError("--noise is what a budget is searched for; give one or the other")
    calibrated_on = texts if texts is not None else data
    wants_small = calibrated_on is not None or is_searched or noise is not None
    resolved = adjusted(
        chosen_recipe(preset, recipe, default="small" if wants_small else "int8"),
        format=format,
        prune=prune,
        prune_by=prune_by,
        threshold=threshold,
        bits=bits,
        noise=noise,
        trim_vocabulary=trim_from(trim_vocabulary, keep, languages),
    )
    if unchecked and (is_searched or runtime is not None or calibrated_on is not None):
        raise RecipeError("--unchecked compares nothing: leave texts, data, budgets and --runtime out")
    allow(context, remote_code=trust_remote_code, new_head=allow_new_head, unchecked=unchecked)
    source = locate(model)
    choice = TextChoice(calibrated_on, text_column, split, calibration_texts, encoding)
    with stages() as progress:
        vocabulary = vocabulary_for(source, resolved, output, choice, force=force, progress=progress)
    plan = pipeline.plan(
        source, resolved, output, force=force, vocabulary=vocabulary, drop_unused=drop_unused
    )
    print_notes(*plan.checkpoint.notes)
    serving = Serving(
        runtime,
        calibrated_on,
        data,
        text_column,
        label_column,
        split,
        force,
        as_json,
        encoding,
        as_mapping(labels),
    )
    serving.check(plan.checkpoint.path, plan.output)
    budget = None
    if is_searched:
        budget = _budget(plan, max_drop, min_agreement, max_size)
    elif runtime is None and (label_column is not None or labels or (data is not None and texts is not None)):
        raise RecipeError("--data, --label-column and --labels need a budget (--max-drop …) or --runtime")
    with stages() as progress:
        calibration = plan_for(plan, choice, device=device, progress=progress)
        print_notes(*(each.account for each in (vocabulary, calibration) if each is not None))
        run_now = not (dry_run or is_searched or calibration is None)
        statistics = collect(calibration, progress) if run_now and calibration is not None else None
    if dry_run:
        summary = tables.plan_summary(plan, calibration)
        typer.echo(json.dumps(summary, indent=1)) if as_json else tables.print_plan(plan, calibration)
        return
    if budget is not None:
        from prensa.cli.search import keep_budget
        from prensa.search.referee import Judging

        judged_by = Judging(
            data if data is not None else texts,
            text_column,
            label_column,
            split,
            device,
            encoding,
            as_mapping(labels),
        )
        keep_budget(plan, calibration, budget, judged_by, as_json=as_json)
        serving.run(plan.checkpoint.path, plan.output)
        return
    with progress_bar("pressing") as progress:
        manifest = pipeline.run(plan, progress, statistics)
    if as_json:
        typer.echo(json.dumps({"output": str(plan.output), **dataclasses.asdict(manifest)}, indent=1))
    else:
        tables.print_result(manifest, plan.output)
    serving.run(plan.checkpoint.path, plan.output)


def _budget(plan: Plan, max_drop: float | None, min_agreement: float | None, max_size: str | None) -> Budget:
    """Return the budget, once it is known that it can be searched for."""
    from prensa.extras import require

    require("evaluate", "a budget")
    from prensa.search.budget import Budget
    from prensa.search.search import check_recipe

    check_recipe(plan.recipe)
    return Budget(
        max_drop, min_agreement, None if max_size is None else size_in_bytes(max_size, plan.checkpoint.nbytes)
    )
