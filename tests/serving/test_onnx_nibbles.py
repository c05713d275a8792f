"""Integers of 8 bits are stored in 4, and the graph makes of them what Python does."""

import numpy as np
import pytest

from prensa.serving.onnx_nibbles import GROUP, pack, pack_nibbles, unpack
from prensa.serving.onnx_tables import quantize_rows

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

ROWS, WIDTH = 100, 64


def integers_of(shape, seed=0):
    numbers = np.random.default_rng(seed).normal(size=shape).astype(np.float32)
    return quantize_rows(numbers)[0]


@pytest.fixture
def integers():
    return integers_of((ROWS, WIDTH))


def graph_of(nodes, tensors, output, element_type):
    """A graph that takes ``ids`` and gives ``output``."""
    initializers = [onnx.numpy_helper.from_array(tensor, name) for name, tensor in tensors.items()]
    ids = onnx.helper.make_tensor_value_info("ids", onnx.TensorProto.INT64, ["batch", "length"])
    result = onnx.helper.make_tensor_value_info("output", element_type, output)
    graph = onnx.helper.make_graph(nodes, "graph", [ids], [result], initializers)
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=10)


def lookup_in(integers, **attributes):
    node = onnx.helper.make_node("Gather", ["table", "ids"], ["output"], **attributes)
    shape = ["batch", "length", integers.shape[-1]]
    return graph_of([node], {"table": integers}, shape, onnx.TensorProto.INT8)


def answers(model, ids):
    onnx.checker.check_model(model)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"ids": ids})[0]


def test_four_bits_and_a_multiplier_for_each_group(integers):
    nibbles, multipliers = pack(integers)
    assert nibbles.dtype == np.uint8
    assert nibbles.shape == (ROWS, WIDTH // 2)
    assert multipliers.dtype == np.int8
    assert multipliers.shape == (ROWS, WIDTH // GROUP)
    assert np.abs(multipliers).max() <= 15
    error = unpack(nibbles, multipliers).astype(int) - integers
    assert np.linalg.norm(error) < 0.09 * np.linalg.norm(integers.astype(int))


def test_what_has_four_bits_stays_as_it_is():
    """Also where the largest of a group is positive, and where a group is all zeros."""
    rng = np.random.default_rng(1)
    levels = rng.integers(-8, 8, size=(9, GROUP, 3))
    # Each group reaches as far as 4 bits do: else a smaller step would be as good.
    levels[:, 0] = -8
    integers = (levels * rng.choice([-15, -7, 1, 3, 15], size=(9, 1, 3))).reshape(9, -1).astype(np.int8)
    integers[4] = 0
    assert (unpack(*pack(integers)) == integers).all()


@pytest.mark.parametrize("extreme", [127, -128, 64, -64])
def test_the_largest_integers_do_not_turn_over(extreme):
    integers = np.zeros((1, GROUP), np.int8)
    integers[0, 5] = extreme
    found = unpack(*pack(integers))
    assert abs(int(found[0, 5]) - extreme) <= 8
    assert (np.delete(found, 5) == 0).all()


def test_weights_of_seven_bits_stay_within_them():
    """For processors on which sums of products of 8 bits overflow."""
    integers = integers_of((ROWS, WIDTH)) // 2
    assert np.abs(unpack(*pack(integers)).astype(int)).max() <= 64


def test_many_rows_are_packed_as_few_are(integers, monkeypatch):
    together = pack(integers)
    monkeypatch.setattr("prensa.serving.onnx_nibbles._ROWS", 7)
    for part, again in zip(together, pack(integers), strict=True):
        assert (part == again).all()


def test_rows_that_are_looked_up(integers):
    model = lookup_in(integers)
    before = model.ByteSize()
    assert pack_nibbles(model, tables_alone=True) == 1
    # A table this small has as many bytes in its steps.
    assert model.ByteSize() < before - ROWS * WIDTH // 2 + ROWS * WIDTH // GROUP + 1500
    ids = np.array([[0, 5], [99, 50]])
    assert (answers(model, ids) == unpack(*pack(integers))[ids]).all()


def test_matrices_that_are_multiplied():
    """With three dimensions as well, and unpacked as a whole."""
    integers = integers_of((4, 32, WIDTH))
    nodes = [
        onnx.helper.make_node("Cast", ["table"], ["numbers"], to=onnx.TensorProto.FLOAT),
        onnx.helper.make_node("Gather", ["numbers", "ids"], ["output"]),
    ]
    shape = ["batch", "length", 32, WIDTH]
    model = graph_of(nodes, {"table": integers}, shape, onnx.TensorProto.FLOAT)
    alone = onnx.ModelProto()
    alone.CopyFrom(model)
    assert pack_nibbles(alone, tables_alone=True) == 0
    assert alone == model
    assert pack_nibbles(model, tables_alone=False) == 1
    ids = np.array([[3, 0]])
    assert (answers(model, ids) == unpack(*pack(integers))[ids]).all()


def test_rows_that_are_no_whole_number_of_groups_stay():
    model = lookup_in(integers_of((200, 48)))
    assert pack_nibbles(model, tables_alone=False) == 0


def test_rows_with_a_few_large_numbers_stay():
    """Of which 4 bits would keep little more than those."""
    numbers = np.random.default_rng(0).normal(size=(ROWS, WIDTH)).astype(np.float32)
    numbers[:, :2] *= 30
    model = lookup_in(quantize_rows(numbers)[0])
    assert pack_nibbles(model, tables_alone=True) == 0
