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

HELD = """
import itertools, os, sys
from prensa.pressing import run
from prensa.cli.main import main
press, count = run._press, itertools.count()
def held(*arguments, **settings):
    number = next(count)
    if number == 4:
        os.write(1, b"pressing\\n")
    if number >= 4:
        os.read(0, 1)  # until the test closes stdin: however fast this is, it is not done before
    return press(*arguments, **settings)
run._press = held
sys.argv[0] = "prensa"
main()
"""


def start(*arguments):
    """Start a compression and wait until it has pressed some tensors; it goes on once its stdin is closed."""
    process = subprocess.Popen(
        [sys.executable, "-c", HELD, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "pressing\n"
    return process


@pytest.mark.parametrize(
    ("sent", "in_place"),
    [(signal.SIGINT, False), (signal.SIGTERM, True), (signal.SIGKILL, True), (signal.SIGKILL, False)],
    ids=["Ctrl-C, elsewhere", "terminated, in place", "killed, in place", "killed, elsewhere"],
)
def test_the_original_survives_and_nothing_stays_behind(model, tmp_path, sent, in_place):
    before = directory_bytes(model)
    output = model if in_place else tmp_path / "out"
    process = start("compress", model, "-o", output, "--force")
    assert leftovers(tmp_path)
    os.kill(process.pid, sent)
    _, err = process.communicate(timeout=600)
    assert directory_bytes(model) == before
    assert isinstance(prensa.load(model), transformers.DebertaV2ForSequenceClassification)
    if sent == signal.SIGKILL:
        assert process.returncode == -signal.SIGKILL
    else:
        assert process.returncode == 2
        assert (
            err.splitlines()[-1] == "prensa: error: interrupted; nothing was changed"
        )  # others may say more
        assert "Traceback" not in err
        assert not leftovers(tmp_path)
    prensa.compress(model, output, force=True)
    assert not leftovers(tmp_path)
    assert prensa.load(output).dtype == torch.float16


def test_another_run_at_the_same_time_is_left_alone(model, tmp_path):
    process = start("compress", model, "-o", tmp_path / "slow")
    prensa.compress(model, tmp_path / "quick")
    process.communicate(timeout=600)
    assert process.returncode == 0
    assert directory_bytes(tmp_path / "slow").keys() == directory_bytes(tmp_path / "quick").keys()
    assert not leftovers(tmp_path)
