"""A smaller model learns from its original, and its report says so."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from prensa.checkpoint.manifest import DistillReport
from prensa.distilling.distill import distill
from prensa.distilling.plan import DistillPlan
from prensa.progress import Progress, silent
from prensa.runtime.text_vector import read_text_vector
from prensa.shrink.plan import ShrinkPlan
from prensa.shrink.quality import Yardstick
from prensa.shrink.run import Shrunk

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def learn(
    small: Shrunk,
    original: PreTrainedModel,
    plan: ShrinkPlan,
    lessons: DistillPlan,
    progress: Progress = silent,
    place: Path | None = None,
) -> Shrunk:
    """Return a smaller model of ``original`` that has learnt from it; neither changes.

    In ``place`` checkpoints are kept, and gone on from. Raises what
    :func:`~prensa.distilling.distill.distill` raises.
    """
    # Some of its weights are the original's, too.
    student = copy.deepcopy(small.model)
    # What comes out of a layer that stays is to be what came out of it before.
    pairs = list(enumerate(small.report.layers))
    found = distill(student, original, lessons, progress, pairs, place)
    learnt = DistillReport(
        found.texts, found.steps, found.seconds, found.loss_before, found.loss_after, found.stopped
    )
    kind = plan.calibration.kind
    yardstick = Yardstick.of(original, plan.apart, kind, read_text_vector(plan.path, kind))
    report = replace(small.report, distilled=learnt, change=yardstick.change(student))
    return replace(small, model=student, report=report)
