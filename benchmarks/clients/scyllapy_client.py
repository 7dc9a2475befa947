"""scyllapy: the Rust driver on tokio, rows as dictionaries."""

from array import array
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, ClassVar, Self

import scyllapy
from scyllapy.extra_types import BigInt, Double, ScyllaPyUDT, SmallInt, TinyInt

from benchmarks.clients.base import Server
from benchmarks.data import Address, Statement

type Request = tuple[Any, list[Any], Any]

_WRAPPERS = {"double": Double, "bigint": BigInt, "smallint": SmallInt, "tinyint": TinyInt}


@dataclass
class Home(ScyllaPyUDT):  # type: ignore[misc]
    """The user-defined type as it wants it."""

    street: str
    number: int
    city: str


class BenchmarkClient:
    """One session; a sibling is a whole cluster object.

    It would ask for LOCAL_QUORUM; LOCAL_ONE is what the others ask for.
    """

    decodes: ClassVar[bool] = True

    async def open(self, server: Server) -> None:
        self._server = server
        self._session = scyllapy.Scylla(
            [f"{address}:{server.port}" for address in server.contact_points],
            default_execution_profile=scyllapy.ExecutionProfile(
                consistency=scyllapy.Consistency.LOCAL_ONE
            ),
        )
        await self._session.startup()
        self._prepared: dict[str, Any] = {}

    async def sibling(self) -> Self:
        other = type(self)()
        await other.open(self._server)
        other._prepared = self._prepared
        return other

    async def prepare(self, statement: Statement) -> None:
        self._prepared[statement.name] = await self._session.prepare(statement.cql)

    def request(self, statement: Statement, key: int) -> Request:
        pairs = zip(statement.parameters, statement.values(key), strict=True)
        values = [_adapted(cql_type, value) for cql_type, value in pairs]
        columns = itemgetter(*statement.columns) if statement.columns else None
        return self._prepared[statement.name], values, columns

    def batch_request(self, statement: Statement, keys: Sequence[int]) -> list[Request]:
        return [self.request(statement, key) for key in keys]

    async def read(self, request: Request) -> Sequence[Sequence[Any]]:
        prepared, values, columns = request
        result = await self._session.execute(prepared, values)
        return [] if columns is None else [columns(row) for row in result.all()]

    write = read

    async def batch(self, request: list[Request]) -> object:
        batch = scyllapy.InlineBatch(scyllapy.BatchType.UNLOGGED)
        for prepared, values, _ in request:
            batch.add_query(prepared, values)
        return await self._session.batch(batch)

    async def scan(
        self, statement: Statement, page_rows: int
    ) -> AsyncIterator[Sequence[Sequence[Any]]]:
        """Read rows one by one, as it offers nothing else, in pages of its own size."""
        columns = itemgetter(*statement.columns)
        page: list[Sequence[Any]] = []
        async for row in await self._session.execute(self._prepared[statement.name], paged=True):
            page.append(columns(row))
            if len(page) == 1000:
                yield page
                page = []
        yield page

    async def close(self) -> None:
        await self._session.shutdown()


def _adapted(cql_type: str, value: Any) -> Any:
    if isinstance(value, Address):
        return Home(*value)
    if cql_type == "list<double>":
        return [Double(item) for item in value]
    if isinstance(value, array):
        return value.tolist()
    wrapper = _WRAPPERS.get(cql_type)
    return value if wrapper is None else wrapper(value)
