"""Evaluations that do not take their time."""

import pytest

from prensa.evaluation.evaluate import plan, run
from prensa.evaluation.results import Settings


@pytest.fixture
def evaluated(quick):
    """Evaluate without waiting. Call it, or its ``run`` to be told of the progress."""

    class Evaluated:
        def __call__(self, original, *results, **settings):
            return self.run(original, *results, **settings)

        def run(self, original, *results, progress=lambda stage, done, total: None, **settings):
            return run(
                plan(Settings(str(original), tuple(map(str, results)), **settings), progress), progress
            )

    return Evaluated()
