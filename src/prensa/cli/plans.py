"""What ``prensa compress --dry-run`` prints: the plan, with upper bounds in place of results."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from prensa.calibration.plan import CalibrationPlan
from prensa.checkpoint.manifest import VocabularyReport
from prensa.cli.tables import console, new_table, vocabulary_in_words
from prensa.distilling.plan import DistillPlan
from prensa.healing.plan import HealPlan
from prensa.ops.spec import ROLES
from prensa.pressing.pipeline import Plan
from prensa.shrink.plan import ShrinkPlan
from prensa.wording import megabytes, number, printable


@dataclass(frozen=True)
class KindPlan:
    """What is planned for all tensors of one kind."""

    kind: str
    tensors: int
    nbytes_before: int
    nbytes_at_most: int
    passes: tuple[str, ...]


def by_kind(plan: Plan) -> list[KindPlan]:
    """Add up what is planned, kind by kind, without those that a model has none of."""
    kinds: list[KindPlan] = []
    for role in ROLES:
        tensors = [tensor for tensor in plan.tensors if tensor.spec.role == role]
        if not tensors:
            continue
        before = 0
        at_most = 0
        # A dict keeps the order of the passes, and each of them once.
        passes: dict[str, None] = {}
        for tensor in tensors:
            before += tensor.spec.nbytes_before
            at_most += tensor.extent.nbytes
            for step in tensor.passes:
                passes[step.name] = None
        kinds.append(KindPlan(role, len(tensors), before, at_most, tuple(passes)))
    return kinds


def print_plan(
    plan: Plan,
    calibration: CalibrationPlan | None,
    shrinking: ShrinkPlan | None = None,
    healing: HealPlan | None = None,
) -> None:
    """Print what a run would do."""
    out = console()
    table = new_table("kind", "tensors", "before", "after, at most", "passes")
    for kind in by_kind(plan):
        table.add_row(
            kind.kind,
            str(kind.tensors),
            megabytes(kind.nbytes_before),
            megabytes(kind.nbytes_at_most),
            ", ".join(kind.passes) or "–",
        )
    out.print(table)
    for tensor in plan.tensors:
        if tensor.note and tensor.spec.is_float:
            out.print(printable(f"{tensor.spec.name}: {tensor.note}"))
    if shrinking is not None:
        for line in shrinking_in_words(shrinking):
            out.print(printable(line), soft_wrap=True)
    if plan.vocabulary is not None:
        out.print(printable(vocabulary_in_words(plan.vocabulary.report)), soft_wrap=True)
    if calibration is not None:
        out.print(_calibration_in_words(calibration), soft_wrap=True)
    if healing is not None:
        out.print(printable(_healing_in_words(healing)), soft_wrap=True)
    out.print(
        f"Format {plan.recipe.format}; at most {megabytes(plan.nbytes)} of weights, and "
        f"{megabytes(plan.memory)} of memory for tensors. Nothing was written to {plan.output}.",
        soft_wrap=True,
    )


def _calibration_in_words(plan: CalibrationPlan) -> str:
    where = plan.device
    takes = f"{megabytes(plan.memory)} of memory and what one batch takes"
    if plan.by_blocks:
        where = f"{plan.device}, block by block"
    if plan.streaming is not None:
        where = f"{plan.device}, layer by layer"
        takes = (
            f"{megabytes(plan.streaming.memory)} of memory and what one batch takes (the whole model takes "
            f"{megabytes(plan.memory)}), and at most {megabytes(plan.streaming.disk)} of disk beside the "
            "output until it is done"
        )
    return (
        f"Calibration: {len(plan.encoded.rows):,} texts of {plan.source} on {where}, with tokens counted in "
        f"{plan.counted:,}; {takes}."
    )


def _healing_in_words(plan: HealPlan) -> str:
    time = f"{plan.settings.seconds:,.0f} seconds"
    if plan.settings.steps is not None:
        time = f"{plan.settings.steps:,} steps"
    lessons = plan.lessons
    return f"Healing: {time} on {_learnt(lessons)} of {lessons.source}, on {plan.device}."


def _learnt(plan: DistillPlan) -> str:
    """Say how many texts are learnt from, and how many are not since they are judged by."""
    learnt = f"{len(plan.encoded.rows):,} texts"
    if plan.left_out:
        learnt += f" (without {plan.left_out:,} that the budget is judged by)"
    return learnt


def shrinking_in_words(plan: ShrinkPlan) -> list[str]:
    """Say how much smaller a model's structure is to become, what may go, and on which texts."""
    aim = "as many as the budget allows"
    if plan.settings.faster:
        aim = f"until it is {number(plan.settings.faster)} times as fast"
    widths = widths_of(plan)
    may_go: list[str] = []
    if plan.settings.layers:
        may_go.append(f"layers (of {plan.anatomy.count})")
    for kind, units in widths.items():
        may_go.append(f"{kind} (of {units:,} in a layer)")
    lines = [f"Shrinking: {', '.join(may_go)} go, {aim}. Sizes above are those without it."]
    if plan.even:
        lines.append(
            "Widths: one for all layers, which is what `config.json` can say, and heads stay; --format "
            "packed holds uneven ones."
        )
    elif widths:
        lines.append("Widths: each layer's own, which the format packed holds.")
    lines.append(
        f"Fitted on {len(plan.fitted.rows):,} texts of {plan.source}, compared on {len(plan.apart.rows):,} "
        "others."
    )
    if plan.distillation is not None:
        lines.append(
            f"Distillation: {plan.distillation.seconds:,.0f} seconds on {_learnt(plan.distillation)}."
        )
    return lines


def widths_of(plan: ShrinkPlan) -> dict[str, int]:
    """Return how many heads and neurons a layer has, of those kinds that may go."""
    widths: dict[str, int] = {}
    for kind in plan.kinds:
        # All layers are alike. One may have several parts of a kind.
        widths[kind] = sum(part.units for part in plan.anatomy.parts if part.layer == 0 and part.kind == kind)
    return widths


def plan_summary(
    plan: Plan,
    calibration: CalibrationPlan | None,
    shrinking: ShrinkPlan | None = None,
    healing: HealPlan | None = None,
) -> dict[str, object]:
    """Return the plan as plain data, for JSON."""
    calibrated: dict[str, object] | None = None
    if calibration is not None:
        calibrated = _calibration(calibration)
    vocabulary: dict[str, object] | None = None
    if plan.vocabulary is not None:
        vocabulary = _vocabulary(plan.vocabulary.report)
    shrink: dict[str, object] | None = None
    if shrinking is not None:
        shrink = _shrinking(shrinking)
    heal: dict[str, object] | None = None
    if healing is not None:
        heal = _healing(healing)
    return {
        "output": str(plan.output),
        "format": plan.recipe.format,
        "nbytes_at_most": plan.nbytes,
        "memory_at_most": plan.memory,
        "calibration": calibrated,
        "vocabulary": vocabulary,
        "shrink": shrink,
        "heal": heal,
        "kinds": [dataclasses.asdict(kind) for kind in by_kind(plan)],
    }


def _healing(plan: HealPlan) -> dict[str, object]:
    return {
        "seconds": plan.settings.seconds,
        "steps": plan.settings.steps,
        "texts": plan.lessons.source,
        "count": len(plan.lessons.encoded.rows),
        "device": plan.device,
    }


def _vocabulary(report: VocabularyReport) -> dict[str, object]:
    """Return the report with the number of tokens that stay in place of their ids: there are thousands."""
    content: dict[str, object] = dataclasses.asdict(report)
    content["kept"] = len(report.kept)
    return content


def _calibration(plan: CalibrationPlan) -> dict[str, object]:
    streaming: dict[str, object] | None = None
    if plan.streaming is not None:
        streaming = {"memory": plan.streaming.memory, "disk": plan.streaming.disk}
    return {
        "texts": plan.source,
        "count": len(plan.encoded.rows),
        "counted": plan.counted,
        "device": plan.device,
        "memory": plan.memory,
        "streaming": streaming,
    }


def _shrinking(plan: ShrinkPlan) -> dict[str, object]:
    distillation: dict[str, object] | None = None
    if plan.distillation is not None:
        distillation = {
            "seconds": plan.distillation.seconds,
            "count": len(plan.distillation.encoded.rows),
        }
    return {
        # None, as everywhere, for what was not given.
        "faster": plan.settings.faster or None,
        "layers": plan.anatomy.count if plan.settings.layers else None,
        "widths": widths_of(plan),
        "even": plan.even,
        "texts": plan.source,
        "fitted": len(plan.fitted.rows),
        "apart": len(plan.apart.rows),
        "distillation": distillation,
    }
