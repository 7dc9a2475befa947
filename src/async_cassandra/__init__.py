"""The asyncio client for Apache Cassandra 5: every request lives in the application's own event loop."""

from importlib.metadata import metadata as _metadata

from async_cassandra._exec.config import ClientOptions
from async_cassandra.cluster import AsyncCluster
from async_cassandra.exceptions import (
    AsyncCassandraError,
    AuthenticationError,
    ConfigurationError,
    ConnectionError,
    OverloadedError,
    QueryError,
    TimeoutError,
)
from async_cassandra.metrics import (
    ConnectionMetrics,
    InMemoryMetricsCollector,
    MetricsCollector,
    MetricsMiddleware,
    PrometheusMetricsCollector,
    QueryMetrics,
    create_metrics_system,
)
from async_cassandra.result import AsyncResultSet
from async_cassandra.retry_policy import AsyncRetryPolicy, DefaultRetryPolicy
from async_cassandra.session import AsyncCassandraSession, AsyncSession
from async_cassandra.statements import BatchStatement, PreparedStatement
from async_cassandra.streaming import (
    AsyncStreamingResultSet,
    StreamConfig,
    create_streaming_statement,
)

__all__ = [
    "AsyncCassandraError",
    "AsyncCassandraSession",
    "AsyncCluster",
    "AsyncResultSet",
    "AsyncRetryPolicy",
    "AsyncSession",
    "AsyncStreamingResultSet",
    "AuthenticationError",
    "BatchStatement",
    "ClientOptions",
    "ConfigurationError",
    "ConnectionError",
    "ConnectionMetrics",
    "DefaultRetryPolicy",
    "InMemoryMetricsCollector",
    "MetricsCollector",
    "MetricsMiddleware",
    "OverloadedError",
    "PreparedStatement",
    "PrometheusMetricsCollector",
    "QueryError",
    "QueryMetrics",
    "StreamConfig",
    "TimeoutError",
    "create_metrics_system",
    "create_streaming_statement",
]

_about = _metadata("async-cassandra")
__version__ = _about["Version"]
__author__ = "The async-cassandra developers"
__email__ = "maintainers@users.noreply.github.com"
