"""``prensa export``."""

import dataclasses
import json

import pytest
from tests.sample import EVALUATION

from prensa.errors import DifferentAnswersError, MissingPackageError
from prensa.evaluation.results import Timing
from prensa.jobs import runtimes
from prensa.serving import export as exporter
from prensa.serving.exported import TOLERANCES

pytest.importorskip("onnxruntime")


def test_the_command(command, original, texts, tmp_path, converted, monkeypatch):
    converted("onnxruntime", "int8")
    monkeypatch.setitem(TOLERANCES, "int8", 10)  # random weights suffer more than trained ones
    code, out, err = command("export", original, "-o", tmp_path / "out", "--to", "onnx", "--texts", texts)
    assert code == 0
    assert "int8 for onnxruntime" in out
    assert err == "texts.csv: 90 rows read; texts in 'text'\n"
    assert f"prensa.load('{tmp_path / 'out'}', runtime='onnxruntime')" in out
    code, out, err = command("inspect", tmp_path / "out")
    assert code == 0
    assert out.startswith("int8 for onnxruntime")
    code, out, err = command("export", original, "-o", tmp_path / "out", "--to", "onnx", "--force", "--json")
    assert code == 0
    assert json.loads(out)["precision"] == "int8"
    code, out, err = command("export", original, "-o", tmp_path / "out", "--to", "coreml", "--force")
    assert (code, out) == (2, "")
    assert "--to coreml: expected" in err


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
    assert "int8 for openvino" in out
    assert f"Written to {tmp_path / 'out-openvino'}" in out


def test_a_precision_that_gives_other_answers_is_not_the_end(
    command, original, texts, tmp_path, quick, monkeypatch
):
    """As 8 bits may, on a processor without VNNI."""
    monkeypatch.setenv("PRENSA_CACHE", str(tmp_path / "cache"))

    def run_export(plan, progress, approve=None):
        if plan.precision == "int8":
            raise DifferentAnswersError("other answers in int8")
        return exporter.run_export(plan, progress)

    monkeypatch.setattr(runtimes, "run_export", run_export)
    code, out, err = command(
        "compress", original, "-o", tmp_path / "out", "--texts", texts, "--runtime", "onnx"
    )
    assert code == 0, err
    assert "other answers in int8; the next one was taken" in err
    assert "fp16 for onnxruntime" in out


def test_a_precision_that_breaks_the_budget_is_not_taken(
    command, original, texts, tmp_path, quick, monkeypatch
):
    monkeypatch.setenv("PRENSA_CACHE", str(tmp_path / "cache"))

    class Strict(runtimes.Approval):
        def __call__(self, directory, record):
            super().__call__(directory, record)
            raise DifferentAnswersError(f"{self.export.precision} loses too much")

    monkeypatch.setattr(runtimes, "Approval", Strict)
    budget = ("--texts", texts, "--max-drop", "99%")
    code, out, err = command("compress", original, "-o", tmp_path / "out", *budget, "--runtime", "onnx")
    assert code == 0, err
    # Of the first, layers go back to more bits before it is given up.
    assert "int8 loses too much" in err
    assert "back to more bits does not help; the next one was taken" in err
    assert "fp16 loses too much; the next one was taken" in err
    # It answers as the result does.
    assert "fp32 for onnxruntime" in out


def test_auto_is_every_runtime_that_is_installed(monkeypatch):
    for missing, found in (({"nncf"}, ("onnx",)), (set(), ("openvino", "onnx"))):
        monkeypatch.setattr(
            "prensa.extras.is_installed", lambda module, missing=missing: module not in missing
        )
        assert runtimes.runtime_names("auto") == found
    monkeypatch.setattr("prensa.extras.is_installed", lambda module: False)
    with pytest.raises(MissingPackageError, match=r"`runtime=auto` needs openvino"):
        runtimes.runtime_names("auto")


def test_the_fastest_result_is_named():
    timings = [Timing(9, 1, (0.3, 0.2, 0.4)), Timing(9, 32, (9.0,))], [Timing(9, 1, (0.1,))]
    results = [
        dataclasses.replace(EVALUATION.results[0], path=f"out-{number}", timings=tuple(own))
        for number, own in enumerate(timings)
    ]
    assert runtimes.fastest(dataclasses.replace(EVALUATION, results=tuple(results))) == "out-1"
    # An interrupted comparison has no times.
    results[0] = dataclasses.replace(results[0], timings=())
    assert runtimes.fastest(dataclasses.replace(EVALUATION, results=tuple(results))) is None


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--runtime", "tpu"], "--runtime tpu: expected one of openvino, onnx, auto"),
        (["--runtime", "onnx", "--json"], "--runtime prints three results; for --json run compress"),
    ],
)
def test_what_is_wrong_with_a_runtime_is_said_first(
    command, assert_refused, original, tmp_path, options, words
):
    assert_refused(command("compress", original, "-o", tmp_path / "out", *options), words)
    assert not (tmp_path / "out").exists()


def test_columns_of_data_may_be_given_without_texts(command, original, texts, tmp_path, assert_refused):
    export = (
        "export",
        original,
        "-o",
        tmp_path / "out",
        "--to",
        "onnx",
        "--max-drop",
        "50%",
        "--data",
        texts,
    )
    assert_refused(command(*export, "--text-column", "other"), "no column 'other' for the texts")
    assert_refused(command(*export, "--split", "test"), "--split describes --texts, which are missing")
