"""The result of a request: rows that are decoded when they are read, and what came with them."""

from async_cassandra._results.result_set import AsyncResultSet, Rows
from async_cassandra._results.tracing import TraceHandle

__all__ = ["AsyncResultSet", "Rows", "TraceHandle"]
