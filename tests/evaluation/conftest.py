"""A tiny model with a tokenizer, its pressed copy, and evaluations that do not take their time."""

import pytest
from tests.conftest import add_tokenizer, build_model

import prensa
from prensa.evaluation import bootstrap, memory, speed
from prensa.evaluation.evaluate import plan, run
from prensa.evaluation.results import Memory, Settings


@pytest.fixture
def quick(monkeypatch):
    """Measure seldom, and memory not at all."""
    monkeypatch.setattr(speed, "_SECONDS", 0.0)
    monkeypatch.setattr(speed, "_FEWEST", 3)
    monkeypatch.setattr(speed, "_FEWEST_OF_BATCHES", 2)
    monkeypatch.setattr(bootstrap, "RESAMPLES", 50)
    monkeypatch.setattr(memory, "measure_memory", lambda job: Memory((0.1, 0.2, 0.3), 100, 200, None))


@pytest.fixture
def original(tmp_path):
    return add_tokenizer(build_model("deberta", tmp_path / "original"))


@pytest.fixture
def pressed(original, tmp_path):
    prensa.compress(original, tmp_path / "pressed", recipe="classic")
    return tmp_path / "pressed"


@pytest.fixture
def evaluated(quick):
    """Evaluate without waiting. Call it, or its ``run`` to be told of the progress."""

    class Evaluated:
        def __call__(self, original, *results, **settings):
            return self.run(original, *results, **settings)

        def run(self, original, *results, progress=lambda stage, done, total: None, **settings):
            return run(plan(Settings(str(original), tuple(map(str, results)), **settings)), progress)

    return Evaluated()
