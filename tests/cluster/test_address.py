import pytest

from prensa.cluster.address import Address, Workers, address_from, workers_from
from prensa.errors import SettingError


@pytest.mark.parametrize(
    ("on", "address", "name"),
    [
        ("ray", Address("local"), "local"),
        ("ray:local", Address("local"), "local"),
        ("ray:auto", Address("auto"), "auto"),
        ("ray:10.0.0.7:6379", Address("cluster", "10.0.0.7", 6379), "10.0.0.7:6379"),
        ("ray:ray://head:10001", Address("client", "head", 10001), "ray://head:10001"),
        ("ray:[::1]:6379", Address("cluster", "[::1]", 6379), "[::1]:6379"),
    ],
)
def test_addresses(on, address, name):
    found = address_from(on)
    assert found == address
    assert found.name == name


@pytest.mark.parametrize(
    "on", ["dask", "ray:here", "ray:head", "ray::6379", "ray:head:0", "ray:head:65536", "ray:head:x", ""]
)
def test_what_is_no_address(on):
    with pytest.raises(SettingError, match="expected ray, ray:local, ray:auto, ray:HOST:PORT"):
        address_from(on)


def test_workers():
    pytest.importorskip("ray")
    assert workers_from("ray", None, None) == Workers(Address("local"), None, 1)
    assert workers_from("ray:auto", 2, 3) == Workers(Address("auto"), 2, 3)


def test_without_a_cluster():
    assert workers_from(None, None, None) is None
    with pytest.raises(SettingError, match="`workers`: only for workers of a cluster; give `on=ray`"):
        workers_from(None, 2, None)
    with pytest.raises(SettingError, match="`worker_cpus` must be at least 1, found 0"):
        workers_from("ray", 2, 0)
