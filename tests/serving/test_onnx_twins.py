"""Equal constants are stored once."""

import numpy as np
import pytest

from prensa.serving.onnx_twins import merge_twins

onnx = pytest.importorskip("onnx")
ir = pytest.importorskip("onnx_ir")


def model_with(**constants):
    """A graph that adds up constants ``[2, 3]``."""
    tensors = [onnx.numpy_helper.from_array(value, name) for name, value in constants.items()]
    output = onnx.helper.make_tensor_value_info("output", onnx.TensorProto.FLOAT, [2, 3])
    node = onnx.helper.make_node("Sum", list(constants), ["output"])
    graph = onnx.helper.make_graph([node], "graph", [], [output], tensors)
    opset = onnx.helper.make_opsetid("", 18)
    return ir.from_proto(onnx.helper.make_model(graph, opset_imports=[opset], ir_version=10))


def test_equal_constants_become_one():
    numbers = np.arange(6, dtype=np.float32).reshape(2, 3)
    model = model_with(one=numbers, other=numbers + 1, twin=numbers.copy())
    # As an exporter leaves a matrix that it has turned.
    turned = ir.Tensor(np.asfortranarray(numbers))
    model.graph.initializers["twin"].const_value = turned
    assert merge_twins(model) == 1
    proto = ir.to_proto(model)
    assert [each.name for each in proto.graph.initializer] == ["one", "other"]
    assert list(proto.graph.node[0].input) == ["one", "other", "one"]


@pytest.mark.parametrize("shape", [(2, 3), (3, 2)])
def test_the_same_bytes_of_another_type_or_shape_are_no_twins(shape):
    numbers = np.zeros(shape, np.float32)
    other = np.zeros((2, 3), np.float32 if shape == (3, 2) else np.int32)
    assert merge_twins(model_with(one=numbers, other=other)) == 0
