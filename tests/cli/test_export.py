"""``prensa export``."""

import json

import pytest

pytest.importorskip("onnxruntime")


def test_the_command(command, original, texts, tmp_path):
    code, out, err = command("export", original, "-o", tmp_path / "out", "--to", "onnx", "--texts", texts)
    assert code == 0
    assert "int8 for onnxruntime" in out
    assert f"prensa.load('{tmp_path / 'out'}', runtime='onnxruntime')" in out
    code, out, err = command("export", original, "-o", tmp_path / "out", "--to", "onnx", "--force", "--json")
    assert code == 0
    assert json.loads(out)["precision"] == "int8"
    code, out, err = command("export", original, "-o", tmp_path / "out", "--to", "coreml", "--force")
    assert (code, out) == (2, "")
    assert "expected onnx or openvino" in err
