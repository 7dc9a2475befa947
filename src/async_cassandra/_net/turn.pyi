import asyncio
from typing import Self

class Turn:
    def __new__(cls, loop: asyncio.AbstractEventLoop) -> Self: ...
    @property
    def loop(self) -> asyncio.AbstractEventLoop: ...
