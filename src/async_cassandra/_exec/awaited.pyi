import asyncio
from collections.abc import Generator
from typing import Any

from async_cassandra._exec.routes import Routed
from async_cassandra._wire.responses import Response

class Awaited(Routed):
    @property
    def future(self) -> asyncio.Future[Response | None]: ...
    def __await__(self) -> Generator[Any]: ...
    def __next__(self) -> Any: ...
