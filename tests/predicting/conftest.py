"""Tiny models of each task."""

import pytest
from tests.server.conftest import build
from tests.server.running import load


@pytest.fixture(scope="session")
def path_of(tmp_path_factory):
    """Return the directory of a model of a task, made once. Not to be changed."""
    place = tmp_path_factory.mktemp("predicting")
    paths = {}

    def path_of(task):
        if task not in paths:
            paths[task] = build(place, task)
        return paths[task]

    return path_of


@pytest.fixture(scope="session")
def served_for(path_of):
    """Load the model of a task, once."""
    loaded = {}

    def served_for(task):
        if task not in loaded:
            loaded[task] = load(path_of(task))
        return loaded[task]

    return served_for
