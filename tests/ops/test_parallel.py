from hypothesis import given
from hypothesis import strategies as st

from prensa.ops.parallel import map_parallel, pieces, submit


@given(st.integers(0, 5000), st.integers(0, 100_000))
def test_pieces_cover_all_rows_once(rows, columns):
    cuts = pieces(rows, columns)
    assert cuts[0].start == 0
    assert cuts[-1].stop == rows
    assert all(left.stop == right.start for left, right in zip(cuts, cuts[1:], strict=False))


def test_results_are_in_order():
    assert map_parallel(lambda number: number * number, range(100)) == [n * n for n in range(100)]


def test_work_inside_work_does_not_wait_for_itself():
    futures = [submit(lambda: sum(map_parallel(lambda number: number, range(50)))) for _ in range(20)]
    assert [future.result(timeout=30) for future in futures] == [1225] * 20
