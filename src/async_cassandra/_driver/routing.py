"""Decides to which nodes a request is sent, in which order.

The load balancing policies that applications normally have are turned into :class:`Routing`, outside
the loop, whenever the cluster changes. Any other policy is asked for each request, through the
driver's interface.
"""

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from cassandra.cluster import Cluster, ExecutionProfile
from cassandra.metadata import Metadata, Murmur3Token
from cassandra.policies import (
    DCAwareRoundRobinPolicy,
    DefaultLoadBalancingPolicy,
    HostDistance,
    LoadBalancingPolicy,
    RoundRobinPolicy,
    TokenAwarePolicy,
)
from cassandra.pool import Host

from async_cassandra._driver.bridge import Bridge
from async_cassandra._driver.contract import child_policy, live_hosts, live_hosts_by_datacenter
from async_cassandra._driver.lookups import TokenRing

__all__ = ["Router", "Routing", "TokenRing"]


@dataclass(frozen=True, slots=True)
class Routing:
    """One policy's choice at one moment.

    A request's hosts, each once: the replicas of its token, the other local hosts round robin, the
    remote ones.

    :ivar local: live hosts that get requests round robin, in a fixed order
    :ivar remote: live hosts to try after them, in order
    :ivar rings: live local replicas by keyspace; one that nobody has asked for is missing
    :ivar is_token_aware: whether the policy looks at tokens at all
    :ivar rotates_replicas: start with another replica each time, instead of the first
    """

    local: tuple[Host, ...]
    remote: tuple[Host, ...]
    rings: dict[str, TokenRing]
    is_token_aware: bool = False
    rotates_replicas: bool = False


class Router:
    """The routings of one cluster's profiles.

    Concurrency: routings are read on the loop, and built on the bridge, one at a time.

    :param on_rebuilt: called on a thread of the bridge when there are other routings
    """

    def __init__(self, cluster: Cluster, bridge: Bridge, on_rebuilt: Callable[[], object]) -> None:
        self._cluster = cluster
        self._queue = bridge.call_queue()
        self._on_rebuilt = on_rebuilt
        self._lock = threading.Lock()
        self._is_stale = False
        self._keyspaces: set[str] = set()
        self._routings: dict[LoadBalancingPolicy, Routing] = {}

    def routing(self, profile: ExecutionProfile) -> Routing | None:
        """Return the profile's current routing, ``None`` if its policy has to be asked."""
        return self._routings.get(profile.load_balancing_policy)

    def rebuild_soon(self) -> None:
        """Rebuild soon; many calls in a row cost one or two builds. Any thread."""
        if not self._is_stale:
            self._is_stale = True
            self._queue.put(self.rebuild)

    def want_keyspace(self, keyspace: str) -> None:
        """Have the keyspace's ring built, if there is none yet. Any thread."""
        if keyspace not in self._keyspaces:
            self._keyspaces.add(keyspace)
            self.rebuild_soon()

    def rebuild(self) -> None:
        """Build every routing from what the driver knows now. Blocking; not on the loop."""
        with self._lock:
            self._is_stale = False
            self._routings = self._build()
        self._on_rebuilt()

    def _build(self) -> dict[LoadBalancingPolicy, Routing]:
        profiles = tuple(self._cluster.profile_manager.profiles.values())
        ranges = _ranges(self._cluster.metadata, tuple(self._keyspaces))
        built = {
            policy: _routing(policy, ranges)
            for policy in {profile.load_balancing_policy for profile in profiles}
        }
        return {policy: routing for policy, routing in built.items() if routing is not None}


Ranges = dict[str, list[tuple[int, Iterable[Host]]]]


def _ranges(metadata: Metadata, keyspaces: Iterable[str]) -> Ranges:
    """Return each keyspace's token ranges by their ends, with all replicas, dead and remote ones too."""
    token_map = metadata.token_map
    if token_map is None or token_map.token_class is not Murmur3Token:
        return {}
    ranges: Ranges = {}
    for keyspace in keyspaces:
        token_map.rebuild_keyspace(keyspace, build_if_absent=True)
        owners = token_map.tokens_to_hosts_by_ks.get(keyspace)
        if owners:
            ranges[keyspace] = [(token.value, hosts) for token, hosts in owners.items()]
    return ranges


def _routing(policy: LoadBalancingPolicy, ranges: Ranges) -> Routing | None:
    """By exact class: a subclass may choose otherwise."""
    chain = policy
    if type(chain) is DefaultLoadBalancingPolicy:
        chain = child_policy(chain)
    if type(chain) is not TokenAwarePolicy:
        turns = _turns(chain)
        return None if turns is None else Routing(*turns, rings={})
    child = child_policy(chain)
    turns = _turns(child)
    if turns is None:
        return None
    return Routing(
        *turns,
        rings=_rings(ranges, child),
        is_token_aware=True,
        rotates_replicas=bool(chain.shuffle_replicas),
    )


def _turns(policy: LoadBalancingPolicy) -> tuple[tuple[Host, ...], tuple[Host, ...]] | None:
    """Return the live hosts that the policy picks round robin, and those that it puts after them."""
    if type(policy) is RoundRobinPolicy:
        return _in_order(live_hosts(policy)), ()
    if type(policy) is not DCAwareRoundRobinPolicy:
        return None
    live = live_hosts_by_datacenter(policy)
    local = live.pop(policy.local_dc, ())
    remote = [h for hosts in live.values() for h in hosts[: policy.used_hosts_per_remote_dc]]
    return _in_order(local), tuple(remote)


def _in_order(hosts: Iterable[Host]) -> tuple[Host, ...]:
    return tuple(sorted(hosts, key=lambda host: str(host.endpoint)))


def _rings(ranges: Ranges, policy: LoadBalancingPolicy) -> dict[str, TokenRing]:
    """Return rings of the replicas that are up and that the policy considers local."""
    usable: dict[Host, bool] = {}

    def is_usable(host: Host) -> bool:
        if host not in usable:
            usable[host] = bool(host.is_up) and policy.distance(host) == HostDistance.LOCAL
        return usable[host]

    return {
        keyspace: TokenRing((end, [h for h in hosts if is_usable(h)]) for end, hosts in owners)
        for keyspace, owners in ranges.items()
    }
