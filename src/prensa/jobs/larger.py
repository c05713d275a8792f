"""What cannot be done with a model that is larger than memory."""

from __future__ import annotations

from prensa.calibration.plan import CalibrationPlan
from prensa.checkpoint.destination import check_space
from prensa.errors import SettingError
from prensa.evaluation.budget import Budget
from prensa.pressing.pipeline import Plan
from prensa.runtime.processor import memory_limit
from prensa.wording import megabytes


def account_of(plan: CalibrationPlan) -> list[str]:
    """Say that a model is calibrated layer by layer, and why; nothing of any other."""
    if plan.streaming is None:
        return []
    note = (
        f"calibrating layer by layer with {megabytes(plan.streaming.memory)} of memory: the whole model with "
        f"its statistics takes {megabytes(plan.memory)}"
    )
    return [note]


def check_larger(plan: CalibrationPlan, pressing: Plan, budget: Budget, runtime: str | None) -> None:
    """Raise :class:`SettingError` for what needs a whole model, if one does not fit in memory.

    A model may fit without its statistics: then it can be judged and exported, and only training it would
    take more. Raises :class:`~prensa.errors.OutputError` if the disk has no room for temporary files.
    """
    if plan.streaming is None:
        return
    check_space(pressing.output, plan.streaming.disk + pressing.nbytes)
    recipe = pressing.recipe
    for name, setting in (("shrink", recipe.shrink), ("heal", recipe.heal)):
        if setting is not None:
            raise SettingError(
                f"`{name}` needs the whole model in memory, and this one is calibrated layer by layer; leave "
                "it out, or use a larger machine"
            )
    needed = plan.streaming.weights
    available = memory_limit()
    if needed <= available:
        return
    settings = (("runtime", runtime is not None), ("max_drop", budget.is_of_quality))
    for name, is_given in settings:
        if is_given:
            raise SettingError(
                f"`{name}` runs the original and the result as a whole, which takes {needed / 1e9:.1f} GB of "
                f"main memory, and there are {available / 1e9:.1f} GB; give `noise` or `max_size` in its "
                "place, or use a larger machine"
            )
