"""Requests of the driver's prepared statements, which its wrappers take too."""

from collections.abc import Sequence
from typing import Any, ClassVar

from cassandra.query import BatchStatement, BatchType, PreparedStatement

from benchmarks.data import Statement

type Request = tuple[PreparedStatement, Sequence[Any]]


class DriverStatements:
    """Prepared statements by name, and the requests made of them."""

    decodes: ClassVar[bool] = True
    _prepared: dict[str, PreparedStatement]

    def request(self, statement: Statement, key: int) -> Request:
        return self._prepared[statement.name], statement.values(key)

    def batch_request(self, statement: Statement, keys: Sequence[int]) -> list[Request]:
        return [self.request(statement, key) for key in keys]


def unlogged_batch(
    requests: list[Request], kind: type[BatchStatement] = BatchStatement
) -> BatchStatement:
    batch = kind(BatchType.UNLOGGED)
    for prepared, values in requests:
        batch.add(prepared, values)
    return batch
