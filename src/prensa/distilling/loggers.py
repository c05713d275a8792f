"""Who is told of each step while a model learns: the loggers that ``transformers`` knows.

They are named in the environment and not in a recipe, since they change nothing about the result:
``PRENSA_LOG_TO=tensorboard`` or, for several, ``PRENSA_LOG_TO=tensorboard,wandb``.
"""

from __future__ import annotations

import os

from prensa.errors import SettingError

VARIABLE = "PRENSA_LOG_TO"

# Where TensorBoard's logger writes. Its own default is beside the checkpoints, which go when training ends.
_OF_TENSORBOARD = "TENSORBOARD_LOGGING_DIR"


def loggers() -> list[str]:
    """Return the loggers that are asked for, none if the variable is empty or missing.

    Raises :class:`SettingError` for one whose package is not installed, or that has nowhere to write.
    """
    asked = os.environ.get(VARIABLE, "")
    names = [name.strip() for name in asked.split(",") if name.strip()]
    if not names:
        return []
    # A second's import, needed by few.
    from transformers.integrations import get_available_reporting_integrations

    installed = get_available_reporting_integrations()
    for name in names:
        if name not in installed:
            found = ", ".join(sorted(installed)) or "none"
            raise SettingError(
                f"{VARIABLE}={asked}: {name} is no logger that is installed here (installed: {found}); "
                "install its package, or name another"
            )
    if "tensorboard" in names and not os.environ.get(_OF_TENSORBOARD):
        raise SettingError(
            f"{VARIABLE}={asked}: TensorBoard needs a directory to write to; set {_OF_TENSORBOARD}=runs"
        )
    return names
