"""Real processes that are stopped in the middle, also where output and model are the same directory."""

import os
import signal
import subprocess
import sys

import pytest
import torch
import transformers

import prensa
from tests.conftest import directory_bytes, leftovers

SLOW = """
import os, sys, time
from prensa import pipeline
from prensa.cli.main import main
press = pipeline._press
def slowly(*arguments):
    os.write(1, b"pressing\\n")  # one write, since tensors are pressed on several threads
    time.sleep(0.05)
    return press(*arguments)
pipeline._press = slowly
sys.argv[0] = "prensa"
main()
"""


def start(*arguments):
    """Start a compression that takes a few seconds, and wait until it is writing tensors."""
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    for _ in range(5):
        assert process.stdout.readline() == "pressing\n"
    return process


@pytest.mark.parametrize("in_place", [True, False], ids=["in place", "elsewhere"])
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_the_original_survives_and_nothing_stays_behind(model, tmp_path, sent, in_place):
    before = directory_bytes(model)
    output = model if in_place else tmp_path / "out"
    process = start("compress", model, "-o", output, "--force")
    assert leftovers(tmp_path)
    os.kill(process.pid, sent)
    _, err = process.communicate(timeout=60)
    assert directory_bytes(model) == before
    assert isinstance(prensa.load(model), transformers.DebertaV2ForSequenceClassification)
    if sent == signal.SIGKILL:
        assert process.returncode == -signal.SIGKILL
    else:
        assert (process.returncode, err) == (2, "prensa: error: interrupted; nothing was changed\n")
        assert not leftovers(tmp_path)
    prensa.compress(model, output, force=True)
    assert not leftovers(tmp_path)
    assert prensa.load(output).dtype == torch.float16


def test_another_run_at_the_same_time_is_left_alone(model, tmp_path):
    process = start("compress", model, "-o", tmp_path / "slow")
    prensa.compress(model, tmp_path / "quick")
    process.communicate(timeout=120)
    assert process.returncode == 0
    assert directory_bytes(tmp_path / "slow").keys() == directory_bytes(tmp_path / "quick").keys()
    assert not leftovers(tmp_path)
