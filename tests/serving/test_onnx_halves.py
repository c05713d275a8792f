"""Constants take half of the bytes, and compute in float32."""

import numpy as np
import pytest

from prensa.serving.onnx_halves import halve

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")


def product_with(matrix):
    """A graph that multiplies ``input`` with a matrix."""
    value = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("MatMul", ["input", "matrix"], ["output"])],
        "graph",
        [value("input", onnx.TensorProto.FLOAT, ["rows", len(matrix)])],
        [value("output", onnx.TensorProto.FLOAT, ["rows", matrix.shape[1]])],
        [onnx.numpy_helper.from_array(matrix, "matrix")],
    )
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=10)


@pytest.fixture
def matrix():
    return np.random.default_rng(0).normal(size=(80, 64)).astype(np.float32)


def test_half_of_the_bytes(matrix):
    model = product_with(matrix)
    before = model.ByteSize()
    assert halve(model) == 1
    assert model.ByteSize() < 0.52 * before
    onnx.checker.check_model(model)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    found = session.run(None, {"input": np.eye(80, dtype=np.float32)})[0]
    assert (found == matrix.astype(np.float16)).all()


def test_what_float16_does_not_reach_stays(matrix):
    matrix[3, 4] = 1e5
    model = product_with(matrix)
    before = model.SerializeToString()
    assert halve(model) == 0
    assert model.SerializeToString() == before


def test_what_is_small_stays(matrix):
    assert halve(product_with(matrix[:10])) == 0
