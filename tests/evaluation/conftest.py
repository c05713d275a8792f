"""Evaluations that do not take their time."""

import pytest

from prensa.jobs.comparison import Comparison
from prensa.texts.source import Source

OF_DATA = ("text_column", "label_column", "split", "limit", "encoding", "labels")


@pytest.fixture
def evaluated(quick):
    """Evaluate without waiting. Call it, or its ``run`` to be told of the progress."""

    class Evaluated:
        def __call__(self, original, *results, **settings):
            return self.run(original, *results, **settings)

        def run(self, original, *results, progress=lambda stage, done, total: None, **settings):
            return comparison(original, *results, **settings).plan(progress).run(progress)

    return Evaluated()


def comparison(original, *results, data=None, **settings):
    """Return the job; columns, split and the like are those of ``data``."""
    of_data = {name: settings.pop(name) for name in OF_DATA if name in settings}
    return Comparison(original, results, data=Source(data, **of_data), **settings)
