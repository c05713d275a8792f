"""What is left of statistics where rows of matrices go."""

import pytest
import torch

from prensa.calibration.spill import SpilledStatistics
from prensa.ops.moment import Moment
from prensa.ops.statistics import MatrixStatistics, Statistics

LEFT = torch.tensor([0, 2, 5])


def matrix(rows, columns=4):
    return MatrixStatistics(Moment.of(torch.eye(columns)), torch.arange(1.0, 1 + rows))


@pytest.fixture(params=["in memory", "in files"])
def statistics(request, tmp_path):
    """Those of a table of ten rows with two names, and of a layer of six."""
    table, layer = matrix(10), matrix(6)
    if request.param == "in memory":
        matrices = {"table": table, "decoder": table, "layer": layer}
    else:
        matrices = SpilledStatistics(tmp_path)
        matrices.add(["table", "decoder"], table)
        matrices.add(["layer"], layer)
    return Statistics(matrices, weights=10 * 4 + 6 * 4, source="texts", texts=1, counted=1, tokens=1)


def test_rows_that_went_do_not_count(statistics):
    left = statistics.of_rows({"table": LEFT, "unknown": LEFT})
    assert left.weights == 3 * 4 + 6 * 4
    assert left.matrices["table"].importance.tolist() == [1, 3, 6]
    assert left.matrices["layer"].importance.tolist() == [1, 2, 3, 4, 5, 6]
    assert statistics.of_rows({}) is statistics


def test_rows_of_a_tied_matrix_go_once_whatever_it_is_called(statistics):
    left = statistics.of_rows({"table": LEFT, "decoder": LEFT})
    assert left.weights == 3 * 4 + 6 * 4
    for name in ("table", "decoder"):
        assert left.matrices[name].importance.tolist() == [1, 3, 6]


def test_matrices_of_equal_statistics_are_not_taken_for_one(statistics):
    both = {"one": matrix(10), "other": matrix(10)}
    apart = Statistics(both, weights=80, source="texts", texts=1, counted=1, tokens=1)
    assert apart.of_rows({"one": LEFT, "other": LEFT}).weights == 24
