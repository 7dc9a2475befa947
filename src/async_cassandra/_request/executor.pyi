import asyncio
from collections.abc import Callable
from typing import Self

from cassandra.policies import LoadBalancingPolicy
from cassandra.pool import Host

from async_cassandra._net.pool import NodePool
from async_cassandra._request.awaited import Wakeups
from async_cassandra._request.budget import Budget
from async_cassandra._request.flights import PrepareFlights
from async_cassandra._request.plan import Routes
from async_cassandra._request.waiting import TimerQueue
from async_cassandra._watch.observer import Observer
from async_cassandra._wire.responses import RowPlans

class Executor:
    keyspace: str | None
    statement_mark: str
    max_queued: int
    attempt_fraction: float
    observer: Observer | None
    on_idle: Callable[[], object] | None
    on_none_relying: Callable[[], object] | None
    refuse: Callable[[], object]
    def __new__(
        cls,
        loop: asyncio.AbstractEventLoop,
        timers: TimerQueue,
        plans: RowPlans,
        *,
        max_queued: int = 100_000,
        attempt_fraction: float = 0.3,
        budget: Budget | None = None,
        can_name_keyspaces: bool = True,
    ) -> Self: ...
    @property
    def can_name_keyspaces(self) -> bool: ...
    @property
    def has_relying(self) -> bool: ...
    @property
    def flights(self) -> PrepareFlights: ...
    @property
    def wakeups(self) -> Wakeups: ...
    @property
    def loop(self) -> asyncio.AbstractEventLoop: ...
    @property
    def budget(self) -> Budget: ...
    @property
    def timers(self) -> TimerQueue: ...
    @property
    def nodes(self) -> dict[Host, NodePool]: ...
    @property
    def routes(self) -> dict[LoadBalancingPolicy, Routes]: ...
    @property
    def plans(self) -> RowPlans: ...
    @property
    def queued(self) -> int: ...
    @property
    def running(self) -> int: ...
    @property
    def closed(self) -> bool: ...
    @property
    def requests(self) -> int: ...
    @property
    def retries(self) -> int: ...
    @property
    def hedges(self) -> int: ...
    @property
    def superseded(self) -> int: ...
    def on_available(self) -> None: ...
    def close(self) -> None: ...
    def fail_waiting(self, error: BaseException) -> None: ...
