"""Rings and routings, with the driver's token map and policies as the oracle."""

import asyncio
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import pytest
from cassandra.cluster import EXEC_PROFILE_DEFAULT, ExecutionProfile, ProfileManager
from cassandra.connection import DefaultEndPoint
from cassandra.metadata import KeyspaceMetadata, Metadata, Murmur3Token
from cassandra.policies import (
    DCAwareRoundRobinPolicy,
    DefaultLoadBalancingPolicy,
    LoadBalancingPolicy,
    RoundRobinPolicy,
    SimpleConvictionPolicy,
    TokenAwarePolicy,
    WhiteListRoundRobinPolicy,
)
from cassandra.pool import Host
from hypothesis import given
from hypothesis import strategies as st

from async_cassandra._driver.bridge import Bridge
from async_cassandra._driver.lookups import TokenRing
from async_cassandra._driver.routing import Router, Routing

TOKENS = st.integers(min_value=-(2**63), max_value=2**63 - 1)
NETWORK = "NetworkTopologyStrategy"


def make_host(number: int, datacenter: str = "east") -> Host:
    host = Host(DefaultEndPoint(f"10.0.0.{number}"), SimpleConvictionPolicy, datacenter, "rack")
    host.set_up()
    return host


class Topology:
    """What the router reads of a cluster: the driver's own metadata and profiles, not connected."""

    def __init__(self, policy: LoadBalancingPolicy, hosts: Iterable[Host], tokens: int = 8) -> None:
        self.hosts = list(hosts)
        self.metadata = Metadata()
        self.endpoints_resolved = [self.hosts[0].endpoint]
        self.profile_manager = ProfileManager()
        self.profile = ExecutionProfile(load_balancing_policy=policy)
        self.profile_manager.profiles[EXEC_PROFILE_DEFAULT] = self.profile
        owned: dict[Host, list[str]] = {host: [] for host in self.hosts}
        count = tokens * len(self.hosts)
        for index in range(count):
            owned[self.hosts[index % len(self.hosts)]].append(str(index * 2**64 // count - 2**63))
        self.metadata.rebuild_token_map("org.apache.cassandra.dht.Murmur3Partitioner", owned)
        policy.populate(self, [])
        for host in self.hosts:
            policy.on_add(host)

    def add_keyspace(self, name: str, **replication: str) -> None:
        self.metadata.keyspaces[name] = KeyspaceMetadata(name, True, NETWORK, replication)

    def oracle(self, keyspace: str, token: int) -> list[Host]:
        """The driver's replicas that the default policies would use."""
        token_map = self.metadata.token_map
        assert token_map is not None
        replicas = token_map.get_replicas(keyspace, Murmur3Token(token))
        return [host for host in replicas if host.is_up and host.datacenter == "east"]


def make_router(topology: Topology) -> Router:
    # No thread starts before the loop or a caller asks for one.
    return Router(topology, Bridge(SimpleNamespace()), lambda: None)  # type: ignore[arg-type]


def load(router: Router, keyspace: str) -> None:
    """Build a keyspace's ring here and now; ``want_keyspace`` has it done on another thread."""
    router._keyspaces.add(keyspace)
    router.rebuild()


def routing_of(router: Router, topology: Topology) -> Routing:
    """The routing that the topology has now."""
    router.rebuild()
    routing = router.routing(topology.profile)
    assert routing is not None
    return routing


def replicas_of(router: Router, topology: Topology, token: int) -> tuple[Host, ...]:
    """The replicas that requests for ``token`` in the keyspace go to, as built last."""
    routing = router.routing(topology.profile)
    assert routing is not None
    return routing.rings["ks"].replicas(token)


def local_policy(**options: Any) -> TokenAwarePolicy:
    return TokenAwarePolicy(DCAwareRoundRobinPolicy("east"), **options)


def two_datacenters() -> list[Host]:
    return [make_host(n, "east" if n % 3 else "west") for n in range(1, 8)]


@given(st.lists(TOKENS, unique=True), TOKENS)
def test_ring_finds_the_range_that_holds_a_token(ends: list[int], token: int) -> None:
    ring = TokenRing([(end, (end,)) for end in ends])
    expected = min((end for end in ends if end >= token), default=min(ends, default=None))
    assert ring.replicas(token) == (() if expected is None else (expected,))
    assert len(ring) == len(ends)


@given(st.lists(TOKENS, min_size=1, unique=True))
def test_ring_ranges_include_their_end(ends: list[int]) -> None:
    ring = TokenRing([(end, (end,)) for end in ends])
    assert all(ring.replicas(end) == (end,) for end in ends)


def test_ring_shares_equal_replicas() -> None:
    host = make_host(1)
    ring = TokenRing([(1, [host]), (2, [host])])
    assert ring.replicas(1) is ring.replicas(2)


@pytest.mark.parametrize("token", [2**63, -(2**63) - 1])
def test_ring_refuses_a_number_that_is_no_token(token: int) -> None:
    with pytest.raises(OverflowError):
        TokenRing([(0, ())]).replicas(token)
    with pytest.raises(OverflowError):
        TokenRing([(token, ())])


def test_ring_is_mapped_to_other_objects_in_the_same_order() -> None:
    first, second, third = make_host(1), make_host(2), make_host(3)
    ring = TokenRing([(5, [first, second, third]), (9, [third])])
    mapped = ring.mapped({first: "a", third: "c"})
    assert mapped.replicas(5) == ("a", "c")
    assert mapped.replicas(9) == ("c",)


@given(TOKENS)
def test_replicas_are_the_drivers(token: int) -> None:
    assert replicas_of(ROUTER, TOPOLOGY, token) == tuple(TOPOLOGY.oracle("ks", token))


def test_keyspace_that_does_not_exist_has_no_ring() -> None:
    topology = Topology(local_policy(), two_datacenters())
    router = make_router(topology)
    load(router, "unknown")
    assert routing_of(router, topology).rings == {}


def test_remote_hosts_are_those_that_the_policy_uses() -> None:
    policy = TokenAwarePolicy(DCAwareRoundRobinPolicy("east", used_hosts_per_remote_dc=1))
    topology = Topology(policy, two_datacenters())
    routing = routing_of(make_router(topology), topology)
    assert [host.datacenter for host in routing.local] == ["east"] * 5
    assert [host.datacenter for host in routing.remote] == ["west"]


@pytest.mark.parametrize("shuffles", [False, True])
def test_shuffling_policy_rotates_replicas(shuffles: bool) -> None:
    topology = Topology(local_policy(shuffle_replicas=shuffles), [make_host(1)])
    assert routing_of(make_router(topology), topology).rotates_replicas is shuffles


def test_rebuild_leaves_out_hosts_that_are_down() -> None:
    topology = Topology(local_policy(), [make_host(n) for n in range(1, 4)])
    topology.add_keyspace("ks", east="3")
    router = make_router(topology)
    load(router, "ks")
    down = topology.oracle("ks", 7)[0]
    down.set_down()
    topology.profile.load_balancing_policy.on_down(down)
    router.rebuild()
    assert down not in replicas_of(router, topology, 7)
    assert down not in routing_of(router, topology).local


def test_rebuild_sees_changed_replication() -> None:
    topology = Topology(local_policy(), [make_host(n) for n in range(1, 4)])
    topology.add_keyspace("ks", east="1")
    router = make_router(topology)
    load(router, "ks")
    assert len(replicas_of(router, topology, 7)) == 1
    topology.add_keyspace("ks", east="2")
    token_map = topology.metadata.token_map
    assert token_map is not None
    token_map.rebuild_keyspace("ks")
    router.rebuild()
    assert len(replicas_of(router, topology, 7)) == 2


@pytest.mark.parametrize(
    "policy",
    [
        DefaultLoadBalancingPolicy(local_policy()),
        DCAwareRoundRobinPolicy("east"),
        RoundRobinPolicy(),
        TokenAwarePolicy(RoundRobinPolicy()),
    ],
)
def test_driver_policies_are_known(policy: LoadBalancingPolicy) -> None:
    topology = Topology(policy, [make_host(n) for n in range(1, 4)])
    assert sorted(routing_of(make_router(topology), topology).local) == topology.hosts


class Favourite(RoundRobinPolicy):
    """A policy of an application's own."""


@pytest.mark.parametrize(
    "policy",
    [Favourite(), TokenAwarePolicy(Favourite()), WhiteListRoundRobinPolicy(["10.0.0.2"])],
)
def test_other_policies_have_no_routing(policy: LoadBalancingPolicy) -> None:
    topology = Topology(policy, [make_host(n) for n in range(1, 4)])
    router = make_router(topology)
    router.rebuild()
    assert router.routing(topology.profile) is None


@pytest.mark.anyio
async def test_wanted_keyspaces_ring_is_built_in_the_background() -> None:
    topology = Topology(local_policy(), [make_host(n) for n in range(1, 4)])
    topology.add_keyspace("ks", east="2")
    bridge = Bridge(asyncio.get_running_loop())
    built = asyncio.Event()
    router = Router(topology, bridge, lambda: bridge.post(built.set))  # type: ignore[arg-type]
    await bridge.run(router.rebuild)
    await built.wait()
    built.clear()
    router.want_keyspace("ks")
    await built.wait()
    assert replicas_of(router, topology, 7) == tuple(topology.oracle("ks", 7))
    await bridge.stop()


TOPOLOGY = Topology(local_policy(), two_datacenters())
TOPOLOGY.add_keyspace("ks", east="2", west="1")
ROUTER = make_router(TOPOLOGY)
load(ROUTER, "ks")
