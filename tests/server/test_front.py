"""What is refused before a model reads it, also where two models answer as one."""

import pytest
from tests.server.conftest import NAMES
from tests.server.running import load, running
from tests.serving.test_cascade import classifier

from prensa.serving.cascade import Cascade

LONG = "a " * 60


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """A small model that reads more than its original, to which it passes on whatever it gets."""
    place = tmp_path_factory.mktemp("front")
    small = load(classifier(place / "small", names=NAMES, positions=96))
    return small, load(classifier(place / "original", names=NAMES, positions=32))


def test_a_text_that_is_too_long_for_the_original_alone_is_refused(two):
    cascade = Cascade(*two, threshold=1.0)
    assert not cascade.reads_once
    with running(cascade) as server, running(cascade.original) as alone:
        for inputs in (LONG, [["a"], [LONG]], [["a", LONG]]):
            refused = server.post("/predict", {"inputs": inputs, "truncate": False})
            assert refused.status == alone.post("/predict", {"inputs": inputs}).status == 413
        assert "62 tokens, the original reads 32" in server.post("/", {"inputs": LONG}).content["error"]
        truncated, right = (
            each.post("/predict", {"inputs": LONG, "truncate": True}) for each in (server, alone)
        )
        assert truncated.status == 200
        assert [label["score"] for label in truncated.content] == pytest.approx(
            [label["score"] for label in right.content], abs=1e-5
        )
        assert server.get("/info").content["max_input_length"] == 32


def test_a_text_that_is_too_long_for_the_small_model_alone_is_refused(two):
    original, small = two
    with running(Cascade(small, original, threshold=1.0)) as server:
        refused = server.post("/predict", {"inputs": LONG})
        assert refused.status == 413
        assert "62 tokens, the model reads 32" in refused.content["error"]
        assert server.get("/info").content["max_input_length"] == 32
