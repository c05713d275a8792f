"""A cluster on this machine, started once: nodes of it may come and go."""

import warnings

import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Mark what needs the cluster: it is started once, so such tests run in one process."""
    for item in items:
        if "nodes" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.cluster)


@pytest.fixture(scope="session")
def nodes():
    """A cluster of one node with two CPUs that this process has joined."""
    ray = pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    with warnings.catch_warnings(), pytest.MonkeyPatch.context() as patch:
        warnings.simplefilter("ignore")
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_worker_niceness", "0")
        # A node that is lost is known to be after a second, and not after half a minute.
        patch.setenv("RAY_health_check_initial_delay_ms", "500")
        patch.setenv("RAY_health_check_period_ms", "500")
        patch.setenv("RAY_health_check_failure_threshold", "4")
        own = _started(Cluster)
        ray.init(address=own.address, log_to_driver=False, logging_level="critical")
        try:
            yield own
        finally:
            ray.shutdown()
            own.shutdown()


def _started(make):
    """Start the first node. Ray gives it half a minute, which a machine with much else to do may not keep."""
    for is_last in (False, False, True):
        own = make()
        try:
            own.add_node(
                num_cpus=2,
                object_store_memory=200 << 20,
                include_dashboard=False,
                include_log_monitor=False,
            )
        except Exception as error:  # noqa: BLE001  whatever Ray says, there is nothing to test on
            own.shutdown()
            if is_last:
                pytest.skip(
                    f"three times, Ray's node did not start in the time that Ray has for it ({error})"
                )
        else:
            break
    return own


@pytest.fixture
def joined_nodes(nodes):
    """The same as :class:`prensa.cluster.joined.Cluster`."""
    from prensa.cluster.address import Address
    from prensa.cluster.joined import Cluster

    return Cluster(Address("auto"), is_own=False)
