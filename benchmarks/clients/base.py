"""What a client must be able to do to take part."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, Self

from benchmarks.data import Statement

__all__ = ["Client", "Server"]


@dataclass(frozen=True)
class Server:
    """The Cassandra to talk to.

    :ivar owners: for each key of the point table the index of the contact point that has the row;
        only the floor, which knows no routing, looks there
    """

    contact_points: Sequence[str]
    port: int
    owners: Sequence[int] = ()


class Client(Protocol):
    """One session of one client library.

    ``request`` makes ready what an application would have at hand: the Python values, in the types
    that the library wants. Binding and sending are part of ``read`` and ``write``, and are measured.
    Rows that are returned are sequences of Python values, in the order of ``Statement.columns``.
    """

    #: whether rows hold Python values; the floor's are not decoded
    decodes: ClassVar[bool]

    async def open(self, server: Server) -> None: ...

    async def sibling(self) -> Self:
        """Open another session of the same cluster."""
        ...

    async def prepare(self, statement: Statement) -> None: ...

    def request(self, statement: Statement, key: int) -> Any: ...

    def batch_request(self, statement: Statement, keys: Sequence[int]) -> Any: ...

    async def read(self, request: Any) -> Sequence[Sequence[Any]]: ...

    async def write(self, request: Any) -> Sequence[Sequence[Any]]:
        """Execute a statement; return the rows it answers with, as a conditional one does."""
        ...

    async def batch(self, request: Any) -> object: ...

    def scan(self, statement: Statement, page_rows: int) -> AsyncIterator[Sequence[Sequence[Any]]]:
        """Read the whole result of a statement without values, in pages; yield some rows at a time."""
        ...

    async def close(self) -> None: ...
