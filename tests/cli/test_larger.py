"""``prensa compress --memory``: what is planned, and sizes that are none."""

import json

import pytest
from tests.conftest import add_tokenizer, build_model


@pytest.fixture
def arguments(texts, tmp_path):
    model = add_tokenizer(build_model("llama", tmp_path / "model"))
    return ["compress", model, "-o", tmp_path / "out", "--texts", texts, "--dry-run"]


def test_the_plan_says_memory_and_disk(command, arguments):
    code, out, err = command(*arguments, "--memory", "400kB")
    assert code == 0
    assert "on cpu, layer by layer" in out
    assert "of disk beside the output until it is done" in " ".join(out.split())
    assert "calibrating layer by layer with 0." in err
    code, out, _ = command(*arguments, "--memory", "400kB", "--json")
    streaming = json.loads(out)["calibration"]["streaming"]
    assert 0 < streaming["memory"] <= 400_000
    assert streaming["disk"] > 0


def test_what_fits_stays_whole(command, arguments):
    _, out, _ = command(*arguments, "--json", "--memory", "1GB")
    assert json.loads(out)["calibration"]["streaming"] is None


@pytest.mark.parametrize("size", ["much", "9" * 400])
def test_a_size_that_is_none(command, arguments, assert_refused, size):
    assert_refused(
        command(*arguments, "--memory", size),
        f"--memory: expected a size such as 8GiB, 8GB or bytes, found {size!r}",
    )
