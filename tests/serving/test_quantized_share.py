"""An export in 8 bits that is in float32 is refused."""

import shutil

import numpy as np
import pytest

import prensa
from prensa.errors import ModelError
from prensa.serving.quantized_share import Share, check_share, share_in_onnx, share_in_openvino

onnx = pytest.importorskip("onnx")


def graph_of(nodes, **constants):
    tensors = [onnx.numpy_helper.from_array(value, name) for name, value in constants.items()]
    return onnx.helper.make_model(onnx.helper.make_graph(nodes, "graph", [], [], tensors))


@pytest.mark.parametrize(("in_8_bits", "in_all"), [(0, 0), (9, 10), (100, 100)])
def test_what_was_asked_is_accepted(in_8_bits, in_all):
    check_share(Share(in_8_bits, in_all), "ONNX Runtime")


def test_too_few_products_are_an_error():
    with pytest.raises(
        ModelError, match=r"put 41\.0 % of the weights in products in 8 bits, expected at least"
    ):
        check_share(Share(41, 100), "ONNX Runtime")


def test_weights_are_counted_and_products_of_activations_are_not():
    node = onnx.helper.make_node
    nodes = [
        node("MatMulInteger", ["a", "whole"], ["b"]),
        node("Transpose", ["real"], ["turned"]),
        node("MatMul", ["b", "turned"], ["c"]),
        node("MatMul", ["b", "c"], ["d"]),
        node("Gather", ["table", "ids"], ["e"]),
    ]
    model = graph_of(
        nodes,
        whole=np.ones((30, 10), np.int8),
        real=np.ones((10, 10), np.float32),
        table=np.ones((99, 10), np.float32),
    )
    assert share_in_onnx(model) == Share(300, 400)


def test_exports_are_in_8_bits_or_not_at_all(exports):
    ov = pytest.importorskip("openvino")
    core = ov.Core()
    shares = {}
    for precision in ("fp32", "int8"):
        place = exports("openvino", precision)
        shares[precision] = share_in_openvino(core.read_model(place / "openvino_model.xml"))
    assert shares["fp32"].in_8_bits == 0
    assert shares["int8"].in_8_bits == shares["int8"].in_all == shares["fp32"].in_all > 0


def test_an_onnx_export_whose_layers_were_left_out_is_refused(original, few_texts, tmp_path, monkeypatch):
    """As a quantizer that does not recognize what an exporter writes now."""
    ort = pytest.importorskip("onnxruntime.quantization")
    monkeypatch.setattr(ort, "quantize_dynamic", lambda source, target, **_: shutil.copy(source, target))
    with pytest.raises(ModelError, match=r"ONNX Runtime put 0\.0 % of the weights in products in 8 bits"):
        prensa.export(original, tmp_path / "out", to="onnx", texts=few_texts)
    assert not (tmp_path / "out").exists()
