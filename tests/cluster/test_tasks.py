"""One function for many items: in order, whatever a node does."""

import time

import pytest

ray = pytest.importorskip("ray")

from prensa.cluster.tasks import IN_TURN, OnCluster, digest_of_files  # noqa: E402
from prensa.errors import DataError, DeviceError  # noqa: E402


def powers(seconds):
    """Return a function that travels as it is: workers cannot import a test."""

    def power(shared, item):
        time.sleep(seconds)
        # Too large to come back without the store of its node.
        return bytes(200_000) + str(item**shared).encode()

    return power


def test_results_are_those_of_one_process_though_a_node_goes(nodes, joined_nodes):
    expected = list(IN_TURN.map(powers(0), 2, range(12)))
    assert [int(one[200_000:]) for one in expected] == [number**2 for number in range(12)]
    second = nodes.add_node(num_cpus=2, object_store_memory=100 << 20)
    found = []
    for one in OnCluster(joined_nodes, 4, 1).map(powers(0.5), 2, range(12)):
        found.append(one)
        if len(found) == 3:
            nodes.remove_node(second, allow_graceful=False)
    assert found == expected


def test_an_error_names_its_node(joined_nodes):
    def fail(shared, item):
        raise DataError(f"{shared} {item}")

    with pytest.raises(DataError, match=r"^node .*: no 7$"):
        list(OnCluster(joined_nodes, 2, 1).map(fail, "no", [7, 8, 9]))


def test_an_item_that_ends_every_worker(joined_nodes):
    def end(shared, item):
        import os

        if item == 3:
            os._exit(1)
        return item

    found = []
    with pytest.raises(DeviceError, match="worker after worker of the cluster ended at its task"):
        found.extend(OnCluster(joined_nodes, 1, 1).map(end, None, [1, 2, 3, 4]))


def test_the_same_files_have_the_same_digest(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text("{}")
        (tmp_path / name / "notes.md").write_text(name)
    assert digest_of_files(tmp_path / "a") == digest_of_files(tmp_path / "b") != ""
    (tmp_path / "b" / "config.json").write_text("{ }")
    assert digest_of_files(tmp_path / "a") != digest_of_files(tmp_path / "b")
    (tmp_path / "b" / "config.json").write_text("{}")
    for inside in ("1_Pooling/config.json", "modeling_own.py"):
        (tmp_path / "b" / inside).parent.mkdir(exist_ok=True)
        (tmp_path / "b" / inside).write_text("{}")
        assert digest_of_files(tmp_path / "a") != digest_of_files(tmp_path / "b")
        (tmp_path / "b" / inside).unlink()
    assert digest_of_files(tmp_path / "none") == ""
