"""What is asked of every client: one entry a workload."""

from dataclasses import dataclass
from typing import Final, Literal

from benchmarks import data

__all__ = ["QUICK", "WORKLOADS", "Workload"]

type Operation = Literal["read", "write", "batch", "scan"]

IN_FLIGHT: Final = (16, 128, 1024, 8192)
SCAN_PAGE_ROWS: Final = 5000
# Rows of a scan that are read before the loop has its turn.
READ_ROWS: Final = 500


@dataclass(frozen=True)
class Workload:
    """One thing to measure.

    :ivar operation: what the client does with each request
    :ivar statement: a name in :data:`~benchmarks.data.STATEMENTS`
    :ivar keys: how many different keys are asked for, again and again
    :ivar in_flight: requests that one session has in flight all the time
    :ivar sessions: how many sessions do so at once
    :ivar nodes: of the Cassandra that it runs on
    """

    name: str
    title: str
    operation: Operation
    statement: str
    keys: int
    in_flight: int = 1
    sessions: int = 1
    nodes: int = 1

    @property
    def unit(self) -> str:
        """What is counted."""
        return "row" if self.operation == "scan" else "request"

    @property
    def writes(self) -> bool:
        """Whether rows are written, unconditionally."""
        return self.statement.startswith("write")

    @property
    def is_lone(self) -> bool:
        return self.in_flight == 1 and self.operation != "scan"


def _points(operation: Operation, in_flight: int) -> Workload:
    title = f"point {operation}s, {in_flight:,} in flight"
    statement = f"{operation} point"
    return Workload(
        f"{operation}-{in_flight}", title, operation, statement, data.POINT.rows, in_flight
    )


_ALL: Final = (
    Workload("lone-read", "lone read", "read", "read point", data.POINT.rows),
    *(_points("read", in_flight) for in_flight in IN_FLIGHT),
    *(_points("write", in_flight) for in_flight in IN_FLIGHT),
    Workload("partition", "100 rows of a partition", "read", "read clustered", data.PARTITIONS, 16),
    Workload("batch", "unlogged batch of 50", "batch", "write clustered", data.PARTITIONS, 16),
    Workload("lwt", "insert if not exists", "write", "insert if not exists", data.POINT.rows, 16),
    Workload("scan", f"scan of {data.FLIGHTS:,} flights", "scan", "scan flights", 1),
    Workload("rich-read", "collections and UDT, read", "read", "read rich", data.RICH.rows, 128),
    Workload(
        "rich-write", "collections and UDT, write", "write", "write rich", data.RICH.rows, 128
    ),
    Workload("blob-read", "1 MiB blob, read", "read", "read large", data.BLOB.rows, 4),
    Workload("blob-write", "1 MiB blob, write", "write", "write large", data.BLOB.rows, 4),
    Workload(
        "vector-read", "vector<float, 1536>, read", "read", "read vectors", data.VECTOR.rows, 16
    ),
    Workload(
        "vector-write", "vector<float, 1536>, write", "write", "write vectors", data.VECTOR.rows, 16
    ),
    Workload(
        "sessions",
        "64 sessions, 4 reads each",
        "read",
        "read point",
        data.POINT.rows,
        4,
        sessions=64,
    ),
    Workload(
        "three-nodes", "point reads, 3 nodes", "read", "read point", data.POINT.rows, 128, nodes=3
    ),
)
WORKLOADS: Final = {workload.name: workload for workload in _ALL}
QUICK: Final = ("lone-read", "read-128", "write-128", "scan")
