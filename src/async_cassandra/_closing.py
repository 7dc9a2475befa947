"""The base class of what ``async with`` closes."""

from types import TracebackType
from typing import Self


class AsyncClosing:
    """A base class for what is closed when its ``async with`` block is left, however it is left."""

    async def close(self) -> None:
        raise NotImplementedError

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()
