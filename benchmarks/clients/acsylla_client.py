"""acsylla: the C++ driver, its callbacks brought into the loop through a socket."""

from array import array
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import Any, ClassVar, Self

import acsylla

from benchmarks.clients.base import Server
from benchmarks.data import Statement

type Request = tuple[Any, list[Any], Callable[[Any], Sequence[Sequence[Any]]]]


class BenchmarkClient:
    """One session of one cluster object; siblings share the cluster.

    It gives and takes ``varint`` and ``vector`` as the bytes of the protocol, so that the
    application has to convert them, as is done here.
    """

    decodes: ClassVar[bool] = True

    async def open(self, server: Server) -> None:
        # Its cluster refuses a request when 8,192 wait; one more has to fit.
        self._cluster = acsylla.create_cluster(
            list(server.contact_points), port=server.port, queue_size_io=2 * 8192
        )
        self._session = await self._cluster.create_session()
        self._prepared: dict[str, Any] = {}

    async def sibling(self) -> Self:
        other = type(self)()
        other._cluster = self._cluster
        other._session = await self._cluster.create_session()
        other._prepared = self._prepared
        return other

    async def prepare(self, statement: Statement) -> None:
        self._prepared[statement.name] = await self._session.create_prepared(statement.cql)

    def request(self, statement: Statement, key: int) -> Request:
        values = [_adapted(value) for value in statement.values(key)]
        return self._prepared[statement.name], values, _reader(statement)

    def batch_request(self, statement: Statement, keys: Sequence[int]) -> list[Request]:
        return [self.request(statement, key) for key in keys]

    async def read(self, request: Request) -> Sequence[Sequence[Any]]:
        prepared, values, rows = request
        return rows(await self._session.execute(prepared.bind(values)))

    write = read

    async def batch(self, request: list[Request]) -> object:
        batch = acsylla.create_batch_unlogged()
        for prepared, values, _ in request:
            batch.add_statement(prepared.bind(values))
        return await self._session.execute_batch(batch)

    async def scan(
        self, statement: Statement, page_rows: int
    ) -> AsyncIterator[Sequence[Sequence[Any]]]:
        prepared = self._prepared[statement.name]
        rows = _reader(statement)
        request = prepared.bind(page_size=page_rows)
        while True:
            result = await self._session.execute(request)
            more = result.has_more_pages()
            if more:
                request = prepared.bind(page_size=page_rows, page_state=result.page_state())
            yield rows(result)
            if not more:
                return

    async def close(self) -> None:
        await self._session.close()


def _adapted(value: Any) -> Any:
    if isinstance(value, array):
        swapped = array("f", value)
        swapped.byteswap()
        return swapped.tobytes()
    return dict(value._asdict()) if hasattr(value, "_asdict") else value


def _reader(statement: Statement) -> Callable[[Any], Sequence[Sequence[Any]]]:
    columns = statement.table.columns.items()
    types = {kind.partition("<")[0] for name, kind in columns if name in statement.columns}
    if "vector" in types:
        return _with_vectors
    if "varint" in types:
        return _with_distances
    return _as_they_are


def _as_they_are(result: Iterable[Any]) -> Sequence[Sequence[Any]]:
    return [row.as_tuple() for row in result]


def _with_vectors(result: Iterable[Any]) -> Sequence[Sequence[Any]]:
    rows = []
    for row in result:
        key, data = row.as_tuple()
        vector = array("f", data)
        vector.byteswap()
        rows.append((key, vector))
    return rows


def _with_distances(result: Iterable[Any]) -> Sequence[Sequence[Any]]:
    rows = []
    for row in result:
        values = row.as_list()
        values[15] = int.from_bytes(values[15], signed=True)
        rows.append(values)
    return rows
