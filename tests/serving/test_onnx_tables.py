"""Tables in 8 bits answer nearly as in float32, in ONNX Runtime as well as on paper."""

import numpy as np
import pytest

from prensa.serving.onnx_tables import quantize_rows, shrink_tables, strip_remarks

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

ROWS, WIDTH = 100, 64


@pytest.fixture
def table():
    """Its rows differ in size a thousandfold, as those of frequent and rare tokens do in part."""
    rows = np.random.default_rng(0).normal(size=(ROWS, WIDTH))
    return (rows * np.logspace(-2, 1, ROWS)[:, None]).astype(np.float32)


def graph_of(nodes, tables, output_shape):
    """A graph that takes ``ids`` and gives ``output``."""
    initializers = [onnx.numpy_helper.from_array(table, name) for name, table in tables.items()]
    ids = onnx.helper.make_tensor_value_info("ids", onnx.TensorProto.INT64, ["batch", "length"])
    output = onnx.helper.make_tensor_value_info("output", onnx.TensorProto.FLOAT, output_shape)
    graph = onnx.helper.make_graph(nodes, "graph", [ids], [output], initializers)
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=10)


def answers(model, ids):
    onnx.checker.check_model(model)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"ids": ids})[0]


def test_each_row_has_its_scale(table):
    table[3] = 0
    integers, scales = quantize_rows(table)
    assert integers.dtype == np.int8
    assert scales.shape == (ROWS, 1)
    apart = np.abs(integers * scales - table)
    # Half a step of the row itself, also where others are a thousand times as large.
    assert (apart <= 0.501 * scales).all()
    assert (integers[3] == 0).all()


def test_rows_that_are_looked_up(table):
    nodes = [onnx.helper.make_node("Gather", ["table", "ids"], ["output"])]
    model = graph_of(nodes, {"table": table}, ["batch", "length", WIDTH])
    before = model.ByteSize()
    assert shrink_tables(model) == 1
    assert model.ByteSize() < 0.3 * before
    ids = np.array([[0, 5], [99, 50]])
    found = answers(model, ids)
    for row, number in zip(found.reshape(-1, WIDTH), ids.reshape(-1), strict=True):
        assert np.linalg.norm(row - table[number]) < 0.01 * np.linalg.norm(table[number])


def test_a_table_that_is_multiplied_as_well_is_there_as_a_whole(table):
    """As one that a language model has in its output layer, too."""
    nodes = [
        onnx.helper.make_node("Gather", ["table", "ids"], ["rows"]),
        onnx.helper.make_node("Transpose", ["table"], ["turned"]),
        onnx.helper.make_node("MatMul", ["rows", "turned"], ["output"]),
    ]
    model = graph_of(nodes, {"table": table}, ["batch", "length", ROWS])
    assert shrink_tables(model) == 1
    ids = np.array([[7, 80]])
    exact = table[ids] @ table.T
    assert np.linalg.norm(answers(model, ids) - exact) < 0.01 * np.linalg.norm(exact)


def test_columns_that_are_looked_up(table):
    """As the positions of a folded DeBERTa: heads first."""
    by_head = table.reshape(2, ROWS // 2, WIDTH)
    nodes = [onnx.helper.make_node("Gather", ["table", "ids"], ["output"], axis=1)]
    model = graph_of(nodes, {"table": by_head}, [2, "batch", "length", WIDTH])
    assert shrink_tables(model) == 1
    ids = np.array([[1, 40]])
    assert answers(model, ids) == pytest.approx(by_head[:, ids], rel=0.02, abs=0.1)


def test_what_is_small_or_no_matrix_stays(table):
    tables = {"table": table[:10], "vector": np.ones(9999, np.float32)}
    nodes = [onnx.helper.make_node("Gather", ["table", "ids"], ["output"])]
    model = graph_of(nodes, tables, ["batch", "length", WIDTH])
    before = model.SerializeToString()
    assert shrink_tables(model) == 0
    assert model.SerializeToString() == before


def test_infinity_has_no_scale(table):
    """As in a mask that is added to scores: in 8 bits its row would be no numbers at all."""
    table[4, 7] = -np.inf
    nodes = [onnx.helper.make_node("Gather", ["table", "ids"], ["output"])]
    model = graph_of(nodes, {"table": table}, ["batch", "length", WIDTH])
    assert shrink_tables(model) == 0
    assert (answers(model, np.array([[4]]))[0, 0] == table[4]).all()


def test_a_table_that_is_read_in_the_body_of_a_condition_too(table):
    """It must be there as a whole, under its name, although rows are looked up outside."""
    looked_up = onnx.helper.make_node("Gather", ["table", "ids"], ["rows"])
    inside = onnx.helper.make_tensor_value_info("inside", onnx.TensorProto.FLOAT, None)
    bodies = {}
    for branch, operator in (("then_branch", "Identity"), ("else_branch", "Neg")):
        node = onnx.helper.make_node(operator, ["table"], ["inside"])
        bodies[branch] = onnx.helper.make_graph([node], branch, [], [inside])
    either = onnx.helper.make_node("If", ["is_so"], ["whole"], **bodies)
    added = onnx.helper.make_node("Add", ["rows", "whole"], ["output"])
    tables = {"table": table, "is_so": np.array(True)}
    model = graph_of([looked_up, either, added], tables, ["batch", ROWS, WIDTH])
    assert shrink_tables(model) == 1
    ids = np.arange(ROWS)[None]
    exact = 2 * table[None]
    assert np.linalg.norm(answers(model, ids) - exact) < 0.01 * np.linalg.norm(exact)


def test_remarks_are_dropped(table):
    node = onnx.helper.make_node("Gather", ["table", "ids"], ["output"], doc_string="File model.py, line 7")
    node.metadata_props.add(key="stack_trace", value="File model.py, line 7")
    model = graph_of([node], {"table": table}, ["batch", "length", WIDTH])
    strip_remarks(model)
    assert b"model.py" not in model.SerializeToString()
    assert (answers(model, np.array([[4]]))[0, 0] == table[4]).all()
