"""Texts for a plan: to calibrate on if a pass asks for it, and to count pieces in to trim the vocabulary."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from prensa.atomic import at_home
from prensa.calibration.collect import collect
from prensa.calibration.plan import CalibrationPlan, plan_calibration
from prensa.checkpoint.destination import check_destination
from prensa.errors import SettingError
from prensa.ops.statistics import Statistics
from prensa.pressing.pipeline import Plan
from prensa.pressing.recipe import Recipe
from prensa.progress import Progress, silent
from prensa.texts.library import Library
from prensa.texts.source import Source
from prensa.vocabulary.plan import Vocabulary, plan_vocabulary


@dataclass(frozen=True)
class TextChoice:
    """Which texts: a file, a directory or a data set, None for the built-in ones, and where in it."""

    source: str | None = None
    column: str | None = None
    split: str | None = None
    count: int | None = None
    encoding: str | None = None

    def as_source(self) -> Source:
        """Return where these texts are."""
        return Source(
            self.source,
            text_column=self.column,
            split=self.split,
            limit=self.count,
            encoding=self.encoding,
        )


def vocabulary_for(
    model: Path,
    recipe: Recipe,
    output: Path,
    texts: TextChoice,
    *,
    force: bool,
    progress: Progress = silent,
    library: Library | None = None,
) -> Vocabulary | None:
    """Plan the vocabulary that a recipe asks for, None where it asks for none.

    Raises what :func:`~prensa.vocabulary.plan.plan_vocabulary` raises, and first :class:`OutputError` where
    ``output`` cannot be written: counting pieces takes its time.
    """
    if recipe.trim_vocabulary is None:
        return None
    check_destination(model.resolve(), at_home(output).resolve(), force=force)
    return plan_vocabulary(
        model.resolve(),
        recipe.trim_vocabulary,
        texts.as_source() if texts.source is not None else None,
        library=library or Library(),
        progress=progress,
    )


def plan_for(
    plan: Plan,
    texts: TextChoice,
    *,
    device: str | None = None,
    progress: Progress = silent,
    library: Library | None = None,
) -> CalibrationPlan | None:
    """Plan the calibration that a plan needs, None where it needs none.

    Raises :class:`SettingError` where texts were chosen and nothing asks for them.
    """
    if not plan.needs_statistics:
        if plan.vocabulary is not None and texts.count is None:  # that is what the texts were for
            return None
        for option in ("source", "column", "split", "count", "encoding"):
            if getattr(texts, option) is not None:
                raise SettingError(
                    f"texts ({getattr(texts, option)}) were given, but no pass of the recipe asks for them; "
                    "take the preset small, or leave them out"
                )
        return None
    return plan_calibration(
        plan.checkpoint.path,
        texts.as_source(),
        library=library or Library(),
        device=device,
        progress=progress,
    )


def calibrate(
    plan: Plan, texts: TextChoice, *, device: str | None = None, progress: Progress = silent
) -> Statistics | None:
    """Run the texts through the plan's model and return what the passes need, None where they need nothing.

    Raises what planning and collecting raise.
    """
    planned = plan_for(plan, texts, device=device, progress=progress)
    return None if planned is None else collect(planned, progress)
