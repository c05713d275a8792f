"""What is found out about a cluster before any work is given to it."""

import importlib.util
import os
import socket

import pytest

from prensa.cluster import joined
from prensa.cluster.address import Address
from prensa.cluster.joined import Cluster
from prensa.errors import MissingPackageError, SettingError
from prensa.version import VERSION


@pytest.fixture
def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return listening.getsockname()[1]


@pytest.mark.parametrize("kind", ["cluster", "client"])
def test_an_address_that_nothing_answers_at(kind, free_port):
    pytest.importorskip("ray")
    address = Address(kind, "127.0.0.1", free_port)
    with pytest.raises(
        SettingError, match=rf"`on=ray:{address.name}`: nothing answers there \(Connection refused"
    ):
        joined._connect(address)


def test_a_name_that_no_machine_can_have():
    pytest.importorskip("ray")
    with (
        pytest.raises(SettingError, match=r"`on=ray:head\.\.org:6379`: nothing answers there"),
        joined.joined(Address("cluster", "head..org", 6379)),
    ):
        pass


def test_the_address_in_the_environment_is_tried_as_quickly(free_port, monkeypatch):
    pytest.importorskip("ray")
    monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{free_port}")
    with pytest.raises(SettingError, match="nothing answers there"):
        joined._connect(Address("auto"))


def test_what_ray_says_in_many_lines_is_one(monkeypatch):
    ray = pytest.importorskip("ray")

    def refuse(**_):
        assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"
        raise RuntimeError("Version mismatch: The cluster was started with:\n    Ray: 2.51.0\n")

    monkeypatch.setattr(ray, "init", refuse)
    monkeypatch.delenv("RAY_USAGE_STATS_ENABLED", raising=False)
    with pytest.raises(SettingError) as refused:
        joined._connect(Address("local"))
    assert str(refused.value) == (
        "`on=ray:local`: cannot be joined (Version mismatch: The cluster was started with: Ray: 2.51.0)"
    )
    assert "RAY_USAGE_STATS_ENABLED" not in os.environ


@pytest.mark.parametrize(
    ("found", "message"), [("", "has no Prensa, and"), ("0.0.1", r"has Prensa 0\.0\.1, and")]
)
def test_nodes_without_this_prensa(monkeypatch, found, message):
    monkeypatch.setattr(Cluster, "on_each_node", lambda *_: [("here", VERSION), ("there", found)])
    with pytest.raises(SettingError, match=f"node there of the cluster {message}"):
        joined._check_versions(Cluster(Address("auto"), is_own=False))


def test_without_ray(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    missing = pytest.raises(
        MissingPackageError, match=r"a Ray cluster needs ray, .* pip install 'prensa\[ray\]'"
    )
    with missing, joined.joined(Address("local")):
        raise AssertionError


def test_what_this_process_has_joined_stays_joined(nodes):
    import ray

    with joined.joined(Address("auto")) as cluster:
        assert not cluster.is_own
        assert cluster.room(1) == 2
        assert cluster.room(2) == 1
        assert cluster.count(None, 1) == 2
        with pytest.raises(
            SettingError, match="`workers=3`: the cluster has room for 2 with `worker_cpus=1`"
        ):
            cluster.count(3, 1)
        with pytest.raises(SettingError, match="`worker_cpus=4`: no node"):
            cluster.count(None, 4)
    assert ray.is_initialized()
    other = Address("cluster", "10.0.0.7", 6379)
    with (
        pytest.raises(SettingError, match="this process is connected to the cluster at"),
        joined.joined(other),
    ):
        raise AssertionError
