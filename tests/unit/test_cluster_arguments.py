"""Arguments and attributes of ``AsyncCluster`` that need no server: what contradicts, what is missing."""

import inspect
from typing import Any

import pytest
from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster
from cassandra.policies import RetryPolicy, RoundRobinPolicy

from async_cassandra import AsyncCluster, ClientOptions, ConfigurationError, ExecutionProfile
from async_cassandra._driver.counterparts import CLUSTER

SETTINGS = sorted(set(inspect.signature(Cluster.__init__).parameters) - {"self"})


def given(**settings: Any) -> AsyncCluster:
    """A cluster with settings that need not be of their types."""
    return AsyncCluster(**settings)


@pytest.mark.parametrize("name", sorted({*SETTINGS, "connect_to_remote_hosts"}))
def test_setting_that_is_assigned_later_is_refused(name: str) -> None:
    cluster: Any = AsyncCluster()
    with pytest.raises(ConfigurationError, match=f"{name} cannot be set: "):
        setattr(cluster, name, object())


@pytest.mark.parametrize("name", [name for name in dir(Cluster) if not name.startswith("_")])
def test_member_of_the_drivers_cluster_is_here_or_says_what_to_do(name: str) -> None:
    if hasattr(AsyncCluster, name):
        return
    with pytest.raises(AttributeError, match=name) as caught:
        getattr(AsyncCluster(), name)
    assert CLUSTER[name] in str(caught.value)


def test_subclass_keeps_attributes_of_its_own() -> None:
    class Mine(AsyncCluster):
        metrics: Any = None

        def __init__(self, port: int) -> None:
            self.port = port
            super().__init__(port=port)
            self.port = port
            self.label = "mine"
            self.metrics = 5

    mine = Mine(9043)
    assert (mine.port, mine.label, mine.metrics) == (9043, "mine", 5)


def test_heartbeat_of_cluster_and_options_must_agree() -> None:
    options = ClientOptions(idle_heartbeat_interval=5)
    AsyncCluster(client_options=options)
    AsyncCluster(client_options=options, idle_heartbeat_interval=5)
    AsyncCluster(idle_heartbeat_interval=5, client_options=ClientOptions(fetch_size=10))
    assert AsyncCluster()._control.idle_heartbeat_interval == 30
    assert AsyncCluster(client_options=options)._control.idle_heartbeat_interval == 5
    for other in (30.0, 0, None):
        with pytest.raises(ConfigurationError, match=r"idle_heartbeat_interval.*ClientOptions"):
            AsyncCluster(client_options=options, idle_heartbeat_interval=other)


def test_default_profile_and_what_it_has_contradict_each_other() -> None:
    profiles = {EXEC_PROFILE_DEFAULT: ExecutionProfile()}
    for name, policy in (
        ("retry_policy", RetryPolicy()),
        ("default_retry_policy", RetryPolicy()),
        ("load_balancing_policy", RoundRobinPolicy()),
    ):
        with pytest.raises(ConfigurationError, match="contradict"):
            given(execution_profiles=profiles, **{name: policy})


@pytest.mark.parametrize("name", SETTINGS)
def test_none_says_nothing(name: str) -> None:
    given(**{name: None})
