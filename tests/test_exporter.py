"""Tiny models in every runtime give PyTorch's answers, or are refused with a reason."""

import copy
import json

import numpy as np
import pytest
import torch
import transformers

import prensa
from prensa import exporter
from prensa.errors import AccelerationError, CheckpointError, FormatError, MissingPackageError, OutputError
from prensa.exporter import RUNTIMES
from prensa.runtime import exported, openvino, processor
from prensa.runtime.exported import read_record
from tests.calibration.test_collect import ARCHITECTURES
from tests.conftest import add_tokenizer, build_model, directory_bytes, leftovers

pytest.importorskip("openvino")
pytest.importorskip("onnxruntime")

EXPORTS = [
    (name, precision) for name, runtime in sorted(RUNTIMES.items()) for precision in runtime.PRECISIONS
]
IN_OPENVINO = ("albert", "deberta-v1", "electra-discriminator", "gpt2")
IN_ONNX = ("t5-encoder", "xlm-r")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("PRENSA_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize(("to", "precision"), EXPORTS)
def test_answers_are_those_of_pytorch(original, texts, tmp_path, monkeypatch, to, precision):
    """Random weights suffer more from 8 bits than trained ones, whose answers are far apart."""
    monkeypatch.setitem(exported.TOLERANCES, "int8", 0.7)
    record = prensa.export(original, tmp_path / "out", to=to, precision=precision, texts=texts)
    assert 0 <= record.difference <= exported.TOLERANCES[precision]
    assert record.texts == "texts.csv"
    served = prensa.load(tmp_path / "out", runtime=to)
    truth = prensa.load(original, dtype=torch.float32).eval()
    bound = {"fp32": 1e-4, "bf16": 0.05, "int8": 2.0}[precision]
    for batch, length in ((1, 1), (1, 16), (3, 7), (2, 32)):
        ids = torch.randint(5, 90, (batch, length), generator=torch.Generator().manual_seed(0))
        mask = torch.ones_like(ids)
        mask[0, max(1, length // 2) :] = 0
        with torch.inference_mode():
            exact = truth(ids, mask).logits
        found = served(input_ids=ids, attention_mask=mask).logits
        assert found.shape == exact.shape
        assert float((found - exact).norm() / exact.norm()) < bound, (batch, length)


@pytest.mark.parametrize(
    ("name", "to"),
    [(name, "openvino") for name in IN_OPENVINO] + [(name, "onnxruntime") for name in IN_ONNX],
)
def test_every_architecture(name, to, tmp_path):
    torch.manual_seed(0)
    ARCHITECTURES[name]().eval().save_pretrained(tmp_path / "model")
    model = add_tokenizer(tmp_path / "model")
    record = prensa.export(model, tmp_path / "out", to=to, precision="fp32")
    assert record.difference < 1e-3
    inputs = prensa.load(tmp_path / "out", runtime=to).tokenizer("a b c", return_tensors="pt")
    output = prensa.load(tmp_path / "out", runtime=to)(**inputs)
    assert all(torch.isfinite(each).all() for each in output.to_tuple())


@pytest.mark.parametrize(
    ("name", "words"),
    [("bart", "BartForConditionalGeneration writes texts of its own")],
)
def test_what_cannot_be_exported_is_named(tmp_path, name, words):
    torch.manual_seed(0)
    ARCHITECTURES[name]().eval().save_pretrained(tmp_path / "model")
    model = add_tokenizer(tmp_path / "model")
    with pytest.raises(AccelerationError, match=words):
        prensa.export(model, tmp_path / "out", to="openvino", precision="fp32")
    assert not (tmp_path / "out").exists()


def test_a_pressed_model(pressed, tmp_path):
    record = prensa.export(pressed, tmp_path / "out", to="openvino", precision="bf16")
    assert record.texts == "built-in texts"
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert "quantization_config" not in config
    with pytest.raises(OSError, match="no file named"):  # never random weights
        transformers.AutoModelForSequenceClassification.from_pretrained(tmp_path / "out")


def test_files_lie_where_others_look(original, tmp_path):
    prensa.export(original, tmp_path / "a", to="openvino", precision="fp32")
    prensa.export(original, tmp_path / "b", to="onnxruntime", precision="fp32")
    assert {"openvino_model.xml", "openvino_model.bin", "config.json", "tokenizer.json"} <= set(
        directory_bytes(tmp_path / "a")
    )
    assert (tmp_path / "b" / "onnx" / "model.onnx").is_file()
    assert not leftovers(tmp_path)


@pytest.mark.parametrize(
    ("settings", "error", "words"),
    [
        ({"to": "tensorrt"}, AccelerationError, "expected onnx or openvino"),
        ({"to": "onnxruntime", "precision": "bf16"}, AccelerationError, "onnxruntime has fp32, int8"),
        ({"to": "openvino", "precision": "int3"}, AccelerationError, "openvino has fp32, bf16, int8"),
    ],
)
def test_settings(original, tmp_path, settings, error, words):
    with pytest.raises(error, match=words):
        prensa.export(original, tmp_path / "out", **settings)
    assert not (tmp_path / "out").exists()


def test_an_output_that_is_not_empty(original, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("x")
    with pytest.raises(OutputError, match="holds files that are not a model"):
        prensa.export(original, tmp_path / "out", to="openvino", force=True)


def test_an_export_cannot_be_exported(original, tmp_path):
    prensa.export(original, tmp_path / "a", to="openvino", precision="fp32")
    with pytest.raises(CheckpointError, match="no weights found"):
        prensa.export(tmp_path / "a", tmp_path / "b", to="openvino")


def test_a_missing_package(original, tmp_path, monkeypatch):
    monkeypatch.setattr("prensa.extras.is_installed", lambda module: module != "nncf")
    with pytest.raises(
        MissingPackageError, match=r"nncf, not installed here; run pip install 'prensa\[openvino\]'"
    ):
        prensa.export(original, tmp_path / "out", to="openvino")


@pytest.mark.parametrize(
    ("broken", "where"),
    [
        ("layer.0", "from layer 0 on"),
        ("embeddings", "from the embeddings on"),
        ("classifier", "in the head alone"),
    ],
)
def test_answers_that_differ_name_the_first_layer(original, tmp_path, monkeypatch, broken, where):
    """Here a part of the model is changed between PyTorch's answers and the export."""
    trace = exporter.trace

    def trace_another(model, *arguments, **settings):
        other = copy.deepcopy(model)
        for name, parameter in other.named_parameters():
            if broken in name:
                parameter.data += 1
        return trace(other, *arguments, **settings)

    monkeypatch.setattr(exporter, "trace", trace_another)
    with pytest.raises(AccelerationError, match=where):
        prensa.export(original, tmp_path / "out", to="onnxruntime", precision="fp32")
    assert not (tmp_path / "out").exists()


def test_a_processor_that_saturates_gets_weights_of_7_bits(original, tmp_path, monkeypatch):
    """Of an 8-bit ONNX matrix all integers are then within −64 … 64."""
    import onnx

    largest = {}
    for flags in (["avx2"], ["avx2", "avx512_vnni"]):
        monkeypatch.setattr(processor, "cpu_flags", lambda flags=flags: flags)
        prensa.export(original, tmp_path / "out", to="onnxruntime", precision="int8", force=True)
        graph = onnx.load(tmp_path / "out" / "onnx" / "model.onnx").graph
        matrices = [onnx.numpy_helper.to_array(each) for each in graph.initializer]
        sizes = [
            np.abs(each.astype(int)).max() for each in matrices if each.dtype == np.int8 and each.ndim == 2
        ]
        largest[len(flags)] = max(sizes)
    assert largest[1] <= 64 < largest[2]


class TestLoading:
    @pytest.fixture
    def out(self, original, tmp_path):
        prensa.export(original, tmp_path / "out", to="openvino", precision="fp32")
        return tmp_path / "out"

    def test_the_check_runs_where_it_is_served(self, out):
        content = json.loads((out / exported.FILE).read_text())
        content["answers"] = [[number + 1 for number in answer[::-1]] for answer in content["answers"]]
        (out / exported.FILE).write_text(json.dumps(content))
        with pytest.raises(AccelerationError, match="answers otherwise than PyTorch on this machine"):
            prensa.load(out, runtime="openvino")

    @pytest.mark.parametrize("content", ["", "[]", "{}", '{"version": 2}', '{"version": 1, "rows": 3}'])
    def test_a_damaged_record(self, out, content):
        (out / exported.FILE).write_text(content)
        with pytest.raises(FormatError, match="export the model again"):
            prensa.load(out, runtime="openvino")

    def test_a_truncated_graph(self, out):
        weights = (out / "openvino_model.bin").read_bytes()
        (out / "openvino_model.bin").write_bytes(weights[: len(weights) // 2])
        with pytest.raises(AccelerationError, match="OpenVINO cannot load it"):
            prensa.load(out, runtime="openvino")

    def test_another_runtime_than_it_was_made_for(self, out):
        with pytest.raises(AccelerationError, match="exported for openvino, not for onnxruntime"):
            prensa.load(out, runtime="onnxruntime")
        with pytest.raises(AccelerationError, match="for PyTorch load the model it came from"):
            prensa.load(out, runtime="torch")

    def test_auto_takes_what_it_was_made_for(self, out):
        assert prensa.load(out, runtime="auto").record == read_record(out)
        assert prensa.load(out).record == read_record(out)


@pytest.mark.parametrize("labels", [True, False])
def test_a_budget_is_judged_by_labels_or_by_the_answers_of_the_original(original, tmp_path, labels):
    rows = [
        "text,label" if labels else "text",
        *(f"{'a b c'[: i % 5 + 1]}{',LABEL_1' * labels}" for i in range(20)),
    ]
    (tmp_path / "judge.csv").write_text("\n".join(rows))
    record = prensa.export(
        original, tmp_path / "out", to="openvino", max_drop=0.5, data=tmp_path / "judge.csv", precision="fp32"
    )
    assert record.drop == 0
    assert read_record(tmp_path / "out").drop == 0


def test_layers_that_cost_more_than_the_budget_stay_out_of_8_bits(original, texts, tmp_path, monkeypatch):
    """NNCF is told that the model with all layers in 8 bits answers nothing right, and all others everything."""
    monkeypatch.setitem(exported.TOLERANCES, "int8", 10)
    shares = iter([1.0, 1.0, 0.0])  # one text to try, the original, all in 8 bits

    def validation(_, items):
        share = next(shares, 1.0)
        return share, [share for _ in items]

    prensa.export(original, tmp_path / "all", to="openvino", texts=texts)
    monkeypatch.setattr(openvino, "_validation", validation)
    prensa.export(original, tmp_path / "some", to="openvino", max_drop=0.5, texts=texts)
    in_8_bits = [
        (tmp_path / name / "openvino_model.xml").read_text().count('element_type="i8"')
        for name in ("all", "some")
    ]
    assert in_8_bits[1] < in_8_bits[0]


def test_a_budget_that_is_not_kept(original, texts, tmp_path, monkeypatch):
    monkeypatch.setitem(exported.TOLERANCES, "int8", 10)
    shares = iter([0.9, 0.8])
    monkeypatch.setattr(exported.Gate, "share", lambda gate, engine: next(shares))
    with pytest.raises(AccelerationError, match=r"loses 10\.00 points on .* allowed are 1"):
        prensa.export(original, tmp_path / "out", to="onnxruntime", max_drop=0.01, texts=texts)
    assert not (tmp_path / "out").exists()


def test_budgets_that_cannot_be_judged(original, texts, tmp_path):
    for wrong, words in (
        ({"max_drop": 0.1}, "needs texts to judge by"),
        ({"data": "x.csv"}, "give --max-drop"),
        ({"max_drop": 5, "texts": str(texts)}, "must be a share from 0 to 1"),
        ({"max_drop": float("nan"), "texts": str(texts)}, "must be a share from 0 to 1"),
        ({"label_column": "x"}, "give --max-drop"),
    ):
        with pytest.raises(AccelerationError, match=words):
            prensa.export(original, tmp_path / "out", to="openvino", **wrong)
    model = add_tokenizer(build_model("bert", tmp_path / "bert"))
    with pytest.raises(AccelerationError, match="right answers of a classifier"):
        prensa.export(model, tmp_path / "out", to="openvino", max_drop=0.1, texts=texts)
