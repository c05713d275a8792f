import subprocess
import sys

from hypothesis import given
from hypothesis import strategies as st

from prensa.ops.parallel import map_parallel, row_blocks, submit


@given(st.integers(0, 5000), st.integers(0, 100_000))
def test_blocks_cover_all_rows_once(rows, columns):
    blocks = row_blocks(rows, columns)
    assert blocks[0].start == 0
    assert blocks[-1].stop == rows
    assert all(left.stop == right.start for left, right in zip(blocks, blocks[1:], strict=False))


def test_results_are_in_order():
    assert map_parallel(lambda number: number * number, range(100)) == [n * n for n in range(100)]


def test_work_inside_work_does_not_wait_for_itself():
    futures = [submit(lambda: sum(map_parallel(lambda number: number, range(50)))) for _ in range(20)]
    assert [future.result(timeout=600) for future in futures] == [1225] * 20


def test_other_threads_keep_their_number_of_threads():
    script = """
import threading, torch
from prensa.ops.parallel import map_parallel
torch.set_num_threads(2)
assert map_parallel(lambda _: torch.get_num_threads(), range(8)) == [1] * 8
seen = []
thread = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
thread.start(); thread.join()
assert seen == [2], seen
assert torch.get_num_threads() == 2
"""
    subprocess.run([sys.executable, "-c", script], check=True)


def test_a_share_of_the_cores():
    script = """
import threading, torch
from prensa.ops.parallel import map_parallel, take_threads

def threads():
    barrier = threading.Barrier(3, timeout=60)
    return len(set(map_parallel(lambda _: barrier.wait() and None or threading.get_ident(), range(3))))

take_threads(3)
assert torch.get_num_threads() == 3
assert threads() == 3
take_threads(1)
assert torch.get_num_threads() == 1
assert len(set(map_parallel(lambda _: threading.get_ident(), range(9)))) == 1
"""
    subprocess.run([sys.executable, "-c", script], check=True)


def test_a_forked_process_starts_its_own_threads():
    script = """
import os
from prensa.ops.parallel import map_parallel
map_parallel(abs, range(8))
child = os.fork()
if not child:
    os._exit(0 if map_parallel(abs, range(8)) == list(range(8)) else 1)
assert os.waitpid(child, 0)[1] == 0
"""
    subprocess.run([sys.executable, "-W", "ignore", "-c", script], check=True, timeout=600)
