"""The asyncio client for Apache Cassandra 5: every request lives in your own event loop."""

from importlib import import_module as _import_module
from importlib.metadata import metadata as _metadata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from async_cassandra.cluster import AsyncCluster, ClientOptions
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
    from async_cassandra.monitoring import (
        HOST_STATUS_DOWN,
        HOST_STATUS_UNKNOWN,
        HOST_STATUS_UP,
        ClusterMetrics,
        ConnectionMonitor,
        HostMetrics,
        RateLimitedSession,
        create_monitored_session,
    )
    from async_cassandra.observers import SlowQueryLog
    from async_cassandra.profiles import ExecutionProfile
    from async_cassandra.result import AsyncResultSet
    from async_cassandra.retry_policy import AsyncRetryPolicy, DefaultRetryPolicy
    from async_cassandra.session import AsyncCassandraSession, AsyncSession
    from async_cassandra.speculation import PercentileSpeculativeExecutionPolicy
    from async_cassandra.statements import BatchStatement, PreparedStatement
    from async_cassandra.stats import SessionStats
    from async_cassandra.streaming import (
        AsyncStreamingResultSet,
        StreamConfig,
        create_streaming_statement,
    )
    from async_cassandra.tls import TlsOptions

__all__ = [
    "HOST_STATUS_DOWN",
    "HOST_STATUS_UNKNOWN",
    "HOST_STATUS_UP",
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
    "ClusterMetrics",
    "ConfigurationError",
    "ConnectionError",
    "ConnectionMetrics",
    "ConnectionMonitor",
    "DefaultRetryPolicy",
    "ExecutionProfile",
    "HostMetrics",
    "InMemoryMetricsCollector",
    "MetricsCollector",
    "MetricsMiddleware",
    "OverloadedError",
    "PercentileSpeculativeExecutionPolicy",
    "PreparedStatement",
    "PrometheusMetricsCollector",
    "QueryError",
    "QueryMetrics",
    "RateLimitedSession",
    "SessionStats",
    "SlowQueryLog",
    "StreamConfig",
    "TimeoutError",
    "TlsOptions",
    "create_metrics_system",
    "create_monitored_session",
    "create_streaming_statement",
]

_about = _metadata("async-cassandra")
__version__ = _about["Version"]
__author__ = "The async-cassandra developers"
__email__ = "maintainers@users.noreply.github.com"

# Every run of pytest imports this package to find its plugin, in every project that has it
# installed, and so does ``python -m async_cassandra.server``: the compiled core and the driver are
# imported when one of their names is first used.
_NAMES = {
    ".cluster": (
        "AsyncCluster",
        "ClientOptions",
    ),
    ".exceptions": (
        "AsyncCassandraError",
        "AuthenticationError",
        "ConfigurationError",
        "ConnectionError",
        "OverloadedError",
        "QueryError",
        "TimeoutError",
    ),
    ".metrics": (
        "ConnectionMetrics",
        "InMemoryMetricsCollector",
        "MetricsCollector",
        "MetricsMiddleware",
        "PrometheusMetricsCollector",
        "QueryMetrics",
        "create_metrics_system",
    ),
    ".monitoring": (
        "HOST_STATUS_DOWN",
        "HOST_STATUS_UNKNOWN",
        "HOST_STATUS_UP",
        "ClusterMetrics",
        "ConnectionMonitor",
        "HostMetrics",
        "RateLimitedSession",
        "create_monitored_session",
    ),
    ".observers": ("SlowQueryLog",),
    ".profiles": ("ExecutionProfile",),
    ".result": ("AsyncResultSet",),
    ".retry_policy": (
        "AsyncRetryPolicy",
        "DefaultRetryPolicy",
    ),
    ".session": (
        "AsyncCassandraSession",
        "AsyncSession",
    ),
    ".speculation": ("PercentileSpeculativeExecutionPolicy",),
    ".statements": (
        "BatchStatement",
        "PreparedStatement",
    ),
    ".stats": ("SessionStats",),
    ".streaming": (
        "AsyncStreamingResultSet",
        "StreamConfig",
        "create_streaming_statement",
    ),
    ".tls": ("TlsOptions",),
}
_MODULES = {name: module for module, names in _NAMES.items() for name in names}


if not TYPE_CHECKING:  # it would make every name a known one

    def __getattr__(name: str) -> object:
        if name in _MODULES:
            value: object = getattr(_import_module(__name__ + _MODULES[name]), name)
            globals()[name] = value
            return value
        if f".{name}" in _NAMES:
            return _import_module(f"{__name__}.{name}")
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
