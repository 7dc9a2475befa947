"""The settings for the connections and requests of a cluster's sessions."""

from dataclasses import dataclass
from math import inf
from typing import Literal

from async_cassandra._driver.cluster_settings import check_one
from async_cassandra._driver.request_settings import is_number
from async_cassandra.exceptions import ConfigurationError, shown

WHOLE = frozenset({"connections_per_node", "max_in_flight", "max_queued", "fetch_size"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientOptions:
    """Limits and defaults for every session of a cluster.

    :ivar connections_per_node: 1 or more; each carries up to 32,767 requests at once
    :ivar max_in_flight: requests that wait for a response on one connection, 1 to 32767
    :ivar max_queued: requests that wait for a connection; further ones get ``OverloadedError`` at
        once; 0 or more
    :ivar fetch_size: rows per page for statements that do not set it, 1 or more
    :ivar infer_idempotence: treat writes as idempotent if their CQL shows it; otherwise they must be
        marked
    :ivar idle_heartbeat_interval: ``None`` for the cluster's setting of that name, which it is
        another place for: give it in one of the two
    :ivar retry_budget: repetitions per request, over the last ten seconds and all sessions of the
        cluster; 0 or more, ``math.inf`` for no limit
    :ivar hedge_budget: the same for attempts on another node while one is still awaited
    :ivar min_retries_per_second: how many of each are always allowed per second; 0 or more
    :ivar throw_on_overload: make an overloaded server answer with an error, which the retry policy
        sees, instead of reading this client's connections more slowly
    :ivar private_statements: prepare under the session's own ids, by adding a comment to each
        statement, so that no other client can make a node accept values whose types have changed;
        each session then has its own entries in the servers' caches of statements
    :ivar vectors: the class of vectors of ``float``, ``double``, ``int`` and ``bigint``: ``"list"``;
        ``"array"``, an ``array.array``; ``"memoryview"``, the server's bytes without a copy,
        big-endian, which keep their page in memory
    """

    __module__ = "async_cassandra.cluster"

    connections_per_node: int = 1
    max_in_flight: int = 2048
    max_queued: int = 100_000
    fetch_size: int = 5000
    infer_idempotence: bool = False
    idle_heartbeat_interval: float | None = None
    retry_budget: float = 0.2
    hedge_budget: float = 0.5
    min_retries_per_second: float = 10.0
    throw_on_overload: bool = False
    private_statements: bool = False
    vectors: Literal["list", "array", "memoryview"] = "list"

    def __post_init__(self) -> None:
        if self.vectors not in ("list", "array", "memoryview"):
            raise ConfigurationError(
                f"vectors takes 'list', 'array' or 'memoryview', not {shown(self.vectors)}"
            )
        for name in ("infer_idempotence", "throw_on_overload", "private_statements"):
            if not isinstance(flag := getattr(self, name), bool):
                raise ConfigurationError(f"{name} takes True or False, not {shown(flag)}")
        if self.idle_heartbeat_interval is not None:
            check_one("idle_heartbeat_interval", self.idle_heartbeat_interval)
        for name, low, high in (
            ("connections_per_node", 1, 1024),
            ("max_in_flight", 1, 32767),
            ("max_queued", 0, 2**31),
            ("fetch_size", 1, 2**31 - 1),
            ("retry_budget", 0, inf),
            ("hedge_budget", 0, inf),
            ("min_retries_per_second", 0, 1e9),
        ):
            value = getattr(self, name)
            if not is_number(value, low, high, whole=name in WHOLE):
                raise ConfigurationError(f"{name} takes {low} to {high}, not {shown(value)}")
