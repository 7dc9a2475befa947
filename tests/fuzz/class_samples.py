"""Objects of the compiled core as the library makes them."""

import asyncio
import struct
from collections import deque
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from cassandra.cluster import ExecutionProfile
from cassandra.query import SimpleStatement

from async_cassandra._cql.analysis import analyze
from async_cassandra._driver.lookups import TokenRing
from async_cassandra._driver.types import PYTHON_TYPES
from async_cassandra._net.connection import Connection, NodeConnections
from async_cassandra._request.awaited import Wakeups
from async_cassandra._request.call import CallOptions
from async_cassandra._request.executor import Executor
from async_cassandra._request.plan import Routes
from async_cassandra._request.prepared import PreparedQuery
from async_cassandra._request.request import Request
from async_cassandra._request.waiting import TimerQueue
from async_cassandra._results.result_set import AsyncResultSet, result_of
from async_cassandra._session.request_stats import RequestStats
from async_cassandra._statements.build import RequestBuilder
from async_cassandra._watch.latencies import LatencyTracker, PercentilePlan
from async_cassandra._watch.observer import Observer, Observers
from async_cassandra._wire.binding import BindPlan
from async_cassandra._wire.codecs import CodecRegistry
from async_cassandra._wire.cqltypes import parse_class_name
from async_cassandra._wire.framing import EnvelopeList, FrameReader, FrameWriter
from async_cassandra._wire.requests import Batch, Execute, Options, Query
from async_cassandra._wire.responses import RowPlans, decode
from async_cassandra._wire.row import row_type
from async_cassandra._wire.rows import Column, Page, PageCursor, RowPlan

__all__ = ["SAMPLES"]

TYPES = (
    "Int32Type", "ListType(Int32Type)", "SetType(UTF8Type)", "MapType(Int32Type,UTF8Type)",
    "TupleType(Int32Type,UTF8Type)", "UserType(ks,75,61:Int32Type)", "VectorType(FloatType , 2)",
    "VectorType(UTF8Type , 2)", "DecimalType", "InetAddressType", "SimpleDateType", "TimeType",
    "DurationType", "UUIDType", "BytesType", "CompositeType(Int32Type)",
)  # fmt: skip
STATEMENT: Any = SimpleNamespace()
NOTHING: Any = None
ROWS = struct.pack(">iiiii", 2, 4, 1, 4, 2)


def registry() -> CodecRegistry:
    return CodecRegistry(PYTHON_TYPES)


def columns() -> list[Column]:
    return [Column("ks", "t", "id", parse_class_name("Int32Type"))]


def page() -> Page:
    return Page(ROWS, 0, RowPlan(columns(), registry()))


def rows_response() -> Any:
    body = struct.pack(">iiih2sh1sh2sh", 2, 1, 1, 2, b"ks", 1, b"t", 2, b"id", 9) + ROWS
    return decode(5, 0, 8, body, None, RowPlans(registry()))


def prepared_response() -> Any:
    none = struct.pack(">ii", 4, 0)
    body = struct.pack(">ih2sh2s", 4, 2, b"id", 2, b"me") + struct.pack(">iii", 1, 0, 0)
    return decode(5, 0, 8, body + none)


def executor() -> Executor:
    loop = asyncio.new_event_loop()
    return Executor(loop, TimerQueue(loop), RowPlans(registry()))


def query() -> Request:
    options = CallOptions(ExecutionProfile())
    statement = SimpleStatement("SELECT")
    builder = RequestBuilder(executor(), 5)
    return builder.query(statement, "SELECT", analyze("SELECT"), None, options)


def result() -> AsyncResultSet[Any]:
    return result_of(query(), rows_response(), NOTHING)


def tracker() -> LatencyTracker:
    return LatencyTracker(
        0.9, per_host=True, min_samples=1, window=1, min_delay=0, max_delay=1, warm_up_delay=1
    )


def prepared() -> PreparedQuery:
    plans = RowPlans(registry())
    return PreparedQuery("SELECT", None, prepared_response().prepared, analyze("SELECT"), plans)


SAMPLES: dict[str, Callable[[], object]] = {
    "plan": lambda: BindPlan(columns(), registry(), [0]),
    "bound": lambda: BindPlan(columns(), registry(), [0]).bind([1]),
    "row plan": lambda: RowPlan(columns(), registry()),
    "page": page,
    "cursor": lambda: PageCursor(page()),
    "row": lambda: page()[0],
    "row type": lambda: row_type(("a", "b"))(1, 2),
    "registry": registry,
    "response": rows_response,
    "prepared response": prepared_response,
    "result": result,
    "rows": lambda: result().rows,
    "row iterator": lambda: iter(result()),
    "executor": executor,
    "builder": lambda: RequestBuilder(executor(), 5),
    "request": query,
    "call": lambda: query().call,
    "wakeups": lambda: Wakeups(asyncio.new_event_loop()),
    "connection": lambda: Connection(asyncio.new_event_loop(), "h:1", 5),
    "node": lambda: NodeConnections("h:1"),
    "timers": lambda: TimerQueue(asyncio.new_event_loop()),
    "routes": lambda: Routes((), (), {}, NOTHING),
    "ring": lambda: TokenRing([(1, (7,)), (2, (8,))]),
    "tracker": tracker,
    "percentile plan": lambda: PercentilePlan(tracker(), 1),
    "observers": lambda: Observers([Observer()]),
    "stats": lambda: RequestStats(deque(), str, list),
    "prepared": prepared,
    "reader": lambda: FrameReader(5),
    "writer": lambda: FrameWriter(5),
    "envelopes": EnvelopeList,
    "options": Options,
    "query": lambda: Query("SELECT"),
    "execute": Execute,
    "batch": Batch,
} | {kind: lambda kind=kind: registry().codec(parse_class_name(kind)) for kind in TYPES}
