"""Transposed weights are constants, which a quantizer takes for weights."""

import numpy as np
import pytest

from prensa.serving.onnx_turned import turn_weights

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")


def model_with(nodes, **constants):
    """A graph that takes ``input`` ``[rows, 64]`` and gives ``output``."""
    tensors = [onnx.numpy_helper.from_array(value, name) for name, value in constants.items()]
    value = onnx.helper.make_tensor_value_info
    inputs = [value("input", onnx.TensorProto.FLOAT, ["rows", 64])]
    outputs = [value("output", onnx.TensorProto.FLOAT, ["rows", "columns"])]
    graph = onnx.helper.make_graph(nodes, "graph", inputs, outputs, tensors)
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=10)


def answer(model):
    onnx.checker.check_model(model)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"input": np.eye(3, 64, dtype=np.float32)})[0]


@pytest.mark.parametrize("attributes", [{}, {"perm": [1, 0]}])
def test_a_layer_that_is_used_twice(attributes):
    weights = np.random.default_rng(0).normal(size=(64, 64)).astype(np.float32)
    node = onnx.helper.make_node
    nodes = [
        node("Transpose", ["weights"], ["turned"], **attributes),
        node("MatMul", ["input", "turned"], ["once"]),
        node("MatMul", ["once", "turned"], ["output"]),
    ]
    model = model_with(nodes, weights=weights)
    before = answer(model)
    assert turn_weights(model) == 1
    # What nothing reads any more is gone.
    assert [each.name for each in model.graph.initializer] == ["turned"]
    assert answer(model) == pytest.approx(before, rel=1e-5)


def test_weights_that_are_read_as_they_are_as_well_stay():
    weights = np.random.default_rng(0).normal(size=(64, 64)).astype(np.float32)
    node = onnx.helper.make_node
    nodes = [
        node("Transpose", ["weights"], ["turned"]),
        node("MatMul", ["input", "turned"], ["once"]),
        node("MatMul", ["once", "weights"], ["output"]),
    ]
    model = model_with(nodes, weights=weights)
    before = answer(model)
    assert turn_weights(model) == 1
    assert [each.name for each in model.graph.initializer] == ["weights", "turned"]
    assert answer(model) == pytest.approx(before, rel=1e-5)


def test_what_is_no_constant_is_still_turned_by_the_graph():
    node = onnx.helper.make_node
    model = model_with([node("Transpose", ["input"], ["output"])])
    assert turn_weights(model) == 0
    assert len(model.graph.node) == 1
