import asyncio
from collections.abc import Mapping
from typing import Any, Self

from async_cassandra._net.connection import NodeConnections
from async_cassandra._net.timers import Timer, TimerQueue

class QueueEntry(Timer):
    @property
    def queued_seconds(self) -> float: ...

class WaitQueue:
    def __new__(
        cls,
        loop: asyncio.AbstractEventLoop,
        nodes: Mapping[Any, NodeConnections],
        timers: TimerQueue,
    ) -> Self: ...
    @property
    def size(self) -> int: ...
    def go_on(self) -> None: ...
