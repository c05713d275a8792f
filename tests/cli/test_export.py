"""``prensa export``."""

import json

import pytest

from prensa.runtime.exported import TOLERANCES

pytest.importorskip("onnxruntime")


def test_the_command(command, original, texts, tmp_path, converted, monkeypatch):
    converted("onnxruntime", "int8")
    monkeypatch.setitem(TOLERANCES, "int8", 10)  # random weights suffer more than trained ones
    code, out, err = command("export", original, "-o", tmp_path / "out", "--to", "onnx", "--texts", texts)
    assert code == 0
    assert "int8 for onnxruntime" in out
    assert f"prensa.load('{tmp_path / 'out'}', runtime='onnxruntime')" in out
    code, out, err = command("inspect", tmp_path / "out")
    assert code == 0
    assert out.startswith("int8 for onnxruntime")
    code, out, err = command("export", original, "-o", tmp_path / "out", "--to", "onnx", "--force", "--json")
    assert code == 0
    assert json.loads(out)["precision"] == "int8"
    code, out, err = command("export", original, "-o", tmp_path / "out", "--to", "coreml", "--force")
    assert (code, out) == (2, "")
    assert "expected onnx or openvino" in err


def test_press_export_and_compare_in_one_go(
    command, original, texts, tmp_path, quick, converted, monkeypatch
):
    pytest.importorskip("openvino")
    converted("openvino", "int8")
    monkeypatch.setitem(TOLERANCES, "int8", 10)
    code, out, err = command(
        "compress", original, "-o", tmp_path / "out", "--texts", texts, "--runtime", "openvino"
    )
    assert code == 0, err
    assert (tmp_path / "out" / "model.safetensors").is_file()
    assert (tmp_path / "out-openvino" / "openvino_model.xml").is_file()
    assert "int8, openvino" in out or "out-openvino" in out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--runtime", "tpu"], "expected onnx or openvino"),
        (["--runtime", "onnx", "--json"], "for JSON call compress"),
    ],
)
def test_what_is_wrong_with_a_runtime_is_said_first(
    command, assert_refused, original, tmp_path, options, words
):
    assert_refused(command("compress", original, "-o", tmp_path / "out", *options), words)
    assert not (tmp_path / "out").exists()
