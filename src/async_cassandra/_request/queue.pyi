import asyncio
from collections.abc import Mapping
from typing import Any, Self

from async_cassandra._net.connection import NodeConnections
from async_cassandra._request.timers import TimerQueue

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
