"""Plan, then run: the one way from a model directory and a recipe to a smaller model directory.

:func:`plan` looks at names, shapes, dtypes, settings and disk, and fails there if it can.
:func:`run` holds the one loop over tensors: read, passes in order, format, write. :func:`publish` makes a
result that was written already the output of a plan, and :func:`describe` says anew what was done to it.
"""

from __future__ import annotations

from prensa.pressing.plan import Plan, plan
from prensa.pressing.run import describe, publish, run
from prensa.pressing.tensors import TensorPlan

__all__ = ["Plan", "TensorPlan", "describe", "plan", "publish", "run"]
