"""Rings and plans, with the driver's token map and policies as the oracle."""

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
from async_cassandra._driver.ring import TokenRing
from async_cassandra._driver.routing import Router

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
def test_router_replicas_are_the_drivers(token: int) -> None:
    assert ROUTER.replicas("ks", token) == tuple(TOPOLOGY.oracle("ks", token))


@given(TOKENS)
def test_plan_begins_with_the_replicas_and_has_every_local_host_once(token: int) -> None:
    plan = list(ROUTER.plan("ks", token, None, TOPOLOGY.profile))
    replicas = TOPOLOGY.oracle("ks", token)
    assert plan[: len(replicas)] == replicas
    assert sorted(plan) == sorted(host for host in TOPOLOGY.hosts if host.datacenter == "east")


@pytest.mark.parametrize(("keyspace", "token"), [(None, 5), ("ks", None), ("unknown", 5)])
def test_plan_without_replicas_takes_local_hosts_in_turn(
    keyspace: str | None, token: int | None
) -> None:
    topology = Topology(local_policy(), two_datacenters())
    router = make_router(topology)
    router._keyspaces.add("unknown")
    router.rebuild()
    plans = [list(router.plan(keyspace, token, None, topology.profile)) for _ in range(5)]
    assert len({plan[0].address for plan in plans}) == 5
    assert all(len(plan) == 5 for plan in plans)


def test_plan_ends_with_remote_hosts_if_the_policy_uses_them() -> None:
    policy = TokenAwarePolicy(DCAwareRoundRobinPolicy("east", used_hosts_per_remote_dc=1))
    topology = Topology(policy, two_datacenters())
    router = make_router(topology)
    router.rebuild()
    plan = list(router.plan(None, None, None, topology.profile))
    assert [host.datacenter for host in plan] == ["east"] * 5 + ["west"]


def test_plan_of_a_shuffling_policy_starts_with_each_replica() -> None:
    topology = Topology(local_policy(shuffle_replicas=True), [make_host(n) for n in range(1, 5)])
    topology.add_keyspace("ks", east="3")
    router = make_router(topology)
    router.load_keyspace("ks")
    first = {next(router.plan("ks", 7, None, topology.profile)) for _ in range(9)}
    assert first == set(topology.oracle("ks", 7))


def test_rebuild_leaves_out_hosts_that_are_down() -> None:
    topology = Topology(local_policy(), [make_host(n) for n in range(1, 4)])
    topology.add_keyspace("ks", east="3")
    router = make_router(topology)
    router.load_keyspace("ks")
    down = topology.oracle("ks", 7)[0]
    down.set_down()
    topology.profile.load_balancing_policy.on_down(down)
    router.rebuild()
    assert down not in router.replicas("ks", 7)
    assert down not in list(router.plan("ks", 7, None, topology.profile))


def test_rebuild_sees_changed_replication() -> None:
    topology = Topology(local_policy(), [make_host(n) for n in range(1, 4)])
    topology.add_keyspace("ks", east="1")
    router = make_router(topology)
    router.load_keyspace("ks")
    assert len(router.replicas("ks", 7)) == 1
    topology.add_keyspace("ks", east="2")
    token_map = topology.metadata.token_map
    assert token_map is not None
    token_map.rebuild_keyspace("ks")
    router.rebuild()
    assert len(router.replicas("ks", 7)) == 2


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
    router = make_router(topology)
    router.rebuild()
    routing = router.routing(topology.profile)
    assert routing is not None
    assert sorted(routing.local) == topology.hosts


class Favourite(RoundRobinPolicy):
    """A policy of an application's own."""

    def make_query_plan(
        self, working_keyspace: str | None = None, query: Any = None
    ) -> Iterable[Host]:
        return [query.favourite]


@pytest.mark.parametrize("policy", [Favourite(), TokenAwarePolicy(Favourite())])
def test_other_policies_are_asked(policy: LoadBalancingPolicy) -> None:
    topology = Topology(policy, [make_host(n) for n in range(1, 4)])
    router = make_router(topology)
    router.rebuild()
    favourite = topology.hosts[1]
    statement = SimpleNamespace(favourite=favourite, keyspace=None, routing_key=None)
    assert router.routing(topology.profile) is None
    assert list(router.plan("ks", 5, statement, topology.profile)) == [favourite]


def test_white_list_is_asked_and_kept() -> None:
    topology = Topology(WhiteListRoundRobinPolicy(["10.0.0.2"]), [make_host(1), make_host(2)])
    router = make_router(topology)
    router.rebuild()
    plan = list(router.plan(None, None, None, topology.profile))
    assert [host.address for host in plan] == ["10.0.0.2"]


@pytest.mark.anyio
async def test_plan_has_a_new_keyspaces_ring_built_in_the_background() -> None:
    topology = Topology(local_policy(), [make_host(n) for n in range(1, 4)])
    topology.add_keyspace("ks", east="2")
    bridge = Bridge(asyncio.get_running_loop())
    built = asyncio.Event()
    router = Router(topology, bridge, lambda: bridge.post(built.set))  # type: ignore[arg-type]
    await bridge.run(router.rebuild)
    await built.wait()
    built.clear()
    list(router.plan("ks", 7, None, topology.profile))
    await built.wait()
    assert router.replicas("ks", 7) == tuple(topology.oracle("ks", 7))
    await bridge.stop()


TOPOLOGY = Topology(local_policy(), two_datacenters())
TOPOLOGY.add_keyspace("ks", east="2", west="1")
ROUTER = make_router(TOPOLOGY)
ROUTER.load_keyspace("ks")
