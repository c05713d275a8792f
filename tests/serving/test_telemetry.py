import os
import subprocess
import sys

import pytest

from prensa.serving.telemetry import without_telemetry


def test_nothing_is_sent_and_nothing_is_written(monkeypatch, tmp_path):
    telemetry = pytest.importorskip("openvino_telemetry")
    sender = pytest.importorskip("openvino_telemetry.utils.sender").TelemetrySender
    sent = []
    monkeypatch.setattr(sender, "send", lambda *message: sent.append(message))
    monkeypatch.setenv("HOME", str(tmp_path))
    own = object.__new__(telemetry.Telemetry)  # there is one for each process, which others may have made
    with without_telemetry():
        own.init("name", "version", "id", "ga4", enable_opt_in_dialog=False)
        own.send_event("category", "action", "label", force_send=True)
        own.start_session("category")
    assert not sent
    assert not own.consent
    assert not list(tmp_path.iterdir())
    own.send_event("category", "action", "label", force_send=True)
    assert len(sent) == 1


def test_without_the_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino_telemetry", None)
    monkeypatch.setitem(sys.modules, "openvino_telemetry.utils.sender", None)
    monkeypatch.setitem(sys.modules, "openvino_telemetry.utils.opt_in_checker", None)
    with without_telemetry():
        pass


def test_exports_send_nothing(original, tmp_path):
    """In a process of its own: OpenVINO sends something when it is imported, and NNCF nothing under pytest."""
    pytest.importorskip("openvino_telemetry")
    script = """
import sys
from openvino_telemetry.utils.sender import TelemetrySender
TelemetrySender.send = lambda *message: sys.exit("sent")
import prensa
from prensa.serving import exported
exported.TOLERANCES["int8"] = 2.0  # random weights suffer more from 8 bits than trained ones
prensa.export(sys.argv[1], sys.argv[2], to="openvino", precision="int8")
prensa.load(sys.argv[2])
"""
    home = {**os.environ, "HOME": str(tmp_path / "home"), "PRENSA_CACHE": str(tmp_path / "cache")}
    command = [sys.executable, "-W", "ignore", "-c", script, original, tmp_path / "out"]
    subprocess.run(command, check=True, env={name: home[name] for name in home if name != "CI"})
    assert not (tmp_path / "home").exists()
