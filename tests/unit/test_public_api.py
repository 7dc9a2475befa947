"""The names and signatures that programs written for this name import and call."""

from __future__ import annotations

import inspect
import pkgutil
import pydoc
import re
from importlib import import_module
from typing import Any

import pytest

import async_cassandra

NAMES = [
    "AsyncCassandraSession",
    "AsyncSession",
    "AsyncCluster",
    "AsyncCassandraError",
    "ConnectionError",
    "QueryError",
    "AsyncResultSet",
    "AsyncRetryPolicy",
    "ConnectionMonitor",
    "RateLimitedSession",
    "create_monitored_session",
    "HOST_STATUS_UP",
    "HOST_STATUS_DOWN",
    "HOST_STATUS_UNKNOWN",
    "HostMetrics",
    "ClusterMetrics",
    "AsyncStreamingResultSet",
    "StreamConfig",
    "create_streaming_statement",
    "MetricsMiddleware",
    "MetricsCollector",
    "InMemoryMetricsCollector",
    "PrometheusMetricsCollector",
    "QueryMetrics",
    "ConnectionMetrics",
    "create_metrics_system",
]
MODULES = {
    "cluster": ["AsyncCluster"],
    "exceptions": [
        "AsyncCassandraError",
        "AuthenticationError",
        "ConfigurationError",
        "ConnectionError",
        "QueryError",
        "TimeoutError",
    ],
    "metrics": [
        "ConnectionMetrics",
        "InMemoryMetricsCollector",
        "MetricsCollector",
        "MetricsMiddleware",
        "PrometheusMetricsCollector",
        "QueryMetrics",
        "create_metrics_system",
    ],
    "monitoring": [
        "HOST_STATUS_DOWN",
        "HOST_STATUS_UNKNOWN",
        "HOST_STATUS_UP",
        "ClusterMetrics",
        "ConnectionMonitor",
        "HostMetrics",
        "RateLimitedSession",
        "create_monitored_session",
    ],
    "result": ["AsyncResultSet"],
    "retry_policy": ["AsyncRetryPolicy"],
    "session": ["AsyncCassandraSession"],
    "streaming": ["AsyncStreamingResultSet", "StreamConfig", "create_streaming_statement"],
}
REQUIRED = inspect.Parameter.empty
PROFILE = "the default profile"
EXECUTE: dict[str, Any] = {
    "trace": False,
    "custom_payload": None,
    "timeout": None,
    "execution_profile": PROFILE,
    "paging_state": None,
    "host": None,
    "execute_as": None,
}
# By module and dotted name: the positional parameters and their defaults, in order.
SIGNATURES: dict[str, dict[str, Any]] = {
    "cluster.AsyncCluster": {
        "contact_points": None,
        "port": 9042,
        "auth_provider": None,
        "load_balancing_policy": None,
        "reconnection_policy": None,
        "retry_policy": None,
        "ssl_context": None,
        "protocol_version": None,
        "executor_threads": 2,
        "max_schema_agreement_wait": 10,
        "control_connection_timeout": 2.0,
        "idle_heartbeat_interval": 30.0,
        "schema_event_refresh_window": 2.0,
        "topology_event_refresh_window": 10.0,
        "status_event_refresh_window": 2.0,
    },
    "cluster.AsyncCluster.create_with_auth": {
        "contact_points": REQUIRED,
        "username": REQUIRED,
        "password": REQUIRED,
    },
    "cluster.AsyncCluster.connect": {"keyspace": None, "timeout": None},
    "cluster.AsyncCluster.close": {},
    "cluster.AsyncCluster.shutdown": {},
    "cluster.AsyncCluster.register_user_type": {
        "keyspace": REQUIRED,
        "user_type": REQUIRED,
        "klass": REQUIRED,
    },
    "session.AsyncCassandraSession.create": {"cluster": REQUIRED, "keyspace": None},
    "session.AsyncCassandraSession.execute": {"query": REQUIRED, "parameters": None, **EXECUTE},
    "session.AsyncCassandraSession.execute_stream": {
        "query": REQUIRED,
        "parameters": None,
        "stream_config": None,
        **EXECUTE,
    },
    "session.AsyncCassandraSession.execute_batch": {
        "batch_statement": REQUIRED,
        "trace": False,
        "custom_payload": None,
        "timeout": None,
        "execution_profile": PROFILE,
    },
    "session.AsyncCassandraSession.prepare": {
        "query": REQUIRED,
        "custom_payload": None,
        "timeout": None,
    },
    "session.AsyncCassandraSession.set_keyspace": {"keyspace": REQUIRED},
    "session.AsyncCassandraSession.close": {},
    "result.AsyncResultSet.one": {},
    "result.AsyncResultSet.all": {},
    "streaming.StreamConfig": {
        "fetch_size": 1000,
        "max_pages": None,
        "page_callback": None,
        "timeout_seconds": None,
    },
    "streaming.AsyncStreamingResultSet.pages": {},
    "streaming.AsyncStreamingResultSet.cancel": {},
    "streaming.AsyncStreamingResultSet.close": {},
    "streaming.create_streaming_statement": {
        "query": REQUIRED,
        "fetch_size": 1000,
        "consistency_level": None,
    },
    "retry_policy.AsyncRetryPolicy": {"max_retries": 3},
    "exceptions.AsyncCassandraError": {"message": "", "cause": None},
    "metrics.InMemoryMetricsCollector": {"max_entries": 10000},
    "metrics.PrometheusMetricsCollector": {"registry": None, "labels": None},
    "metrics.MetricsMiddleware": {"collectors": REQUIRED},
    "metrics.MetricsMiddleware.enable": {},
    "metrics.MetricsMiddleware.disable": {},
    "metrics.MetricsMiddleware.record_query_metrics": {
        "query": REQUIRED,
        "duration": REQUIRED,
        "success": REQUIRED,
        "error_type": None,
        "parameters_count": 0,
        "result_size": 0,
    },
    "metrics.MetricsMiddleware.record_connection_metrics": {
        "host": REQUIRED,
        "is_healthy": REQUIRED,
        "response_time": REQUIRED,
        "error_count": 0,
        "total_queries": 0,
    },
    "metrics.create_metrics_system": {"backend": "memory", "prometheus_enabled": False},
    "monitoring.ConnectionMonitor": {"session": REQUIRED},
    "monitoring.ConnectionMonitor.add_callback": {"callback": REQUIRED},
    "monitoring.ConnectionMonitor.check_host_health": {"host": REQUIRED},
    "monitoring.ConnectionMonitor.get_cluster_metrics": {},
    "monitoring.ConnectionMonitor.warmup_connections": {},
    "monitoring.ConnectionMonitor.start_monitoring": {"interval": 60},
    "monitoring.ConnectionMonitor.stop_monitoring": {},
    "monitoring.ConnectionMonitor.get_connection_summary": {},
    "monitoring.RateLimitedSession": {"session": REQUIRED, "max_concurrent": 1000},
    "monitoring.RateLimitedSession.get_metrics": {},
    "monitoring.create_monitored_session": {
        "contact_points": REQUIRED,
        "keyspace": None,
        "max_concurrent": None,
        "warmup": True,
    },
}
COROUTINES = [
    "cluster.AsyncCluster.close",
    "cluster.AsyncCluster.shutdown",
    "session.AsyncCassandraSession.create",
    "session.AsyncCassandraSession.execute",
    "session.AsyncCassandraSession.execute_stream",
    "session.AsyncCassandraSession.execute_batch",
    "session.AsyncCassandraSession.prepare",
    "session.AsyncCassandraSession.set_keyspace",
    "session.AsyncCassandraSession.close",
    "streaming.AsyncStreamingResultSet.cancel",
    "streaming.AsyncStreamingResultSet.close",
    "metrics.MetricsCollector.record_query",
    "metrics.MetricsCollector.record_connection_health",
    "metrics.MetricsCollector.get_stats",
    "metrics.MetricsMiddleware.record_query_metrics",
    "metrics.MetricsMiddleware.record_connection_metrics",
    "monitoring.ConnectionMonitor.check_host_health",
    "monitoring.ConnectionMonitor.get_cluster_metrics",
    "monitoring.ConnectionMonitor.warmup_connections",
    "monitoring.ConnectionMonitor.start_monitoring",
    "monitoring.ConnectionMonitor.stop_monitoring",
    "monitoring.RateLimitedSession.execute",
    "monitoring.RateLimitedSession.execute_stream",
    "monitoring.RateLimitedSession.execute_batch",
    "monitoring.RateLimitedSession.prepare",
    "monitoring.RateLimitedSession.close",
    "monitoring.create_monitored_session",
]
ATTRIBUTES = {
    "cluster.AsyncCluster": ["is_closed", "metadata", "_cluster"],
    "session.AsyncCassandraSession": ["keyspace", "is_closed", "cluster"],
    "result.AsyncResultSet": [
        "rows",
        "get_query_trace",
        "was_applied",
        "column_names",
        "column_types",
        "paging_state",
        "has_more_pages",
        "warnings",
        "custom_payload",
        "coordinator",
        "__len__",
        "__getitem__",
        "__iter__",
        "__aiter__",
    ],
    "streaming.AsyncStreamingResultSet": ["__aiter__", "__anext__", "__aenter__", "__aexit__"],
}


def find(path: str) -> Any:
    """What a module of the package has under a dotted name."""
    module, *names = path.split(".")
    found = import_module(f"async_cassandra.{module}")
    for name in names:
        found = getattr(found, name)
    return found


@pytest.mark.parametrize("name", NAMES)
def test_package_has_name(name: str) -> None:
    assert name in async_cassandra.__all__
    assert getattr(async_cassandra, name) is not None


def test_package_lists_its_names_in_order() -> None:
    def order(name: str) -> tuple[bool, bool, str]:
        return (not name.isupper(), name[0].islower(), name)

    assert list(async_cassandra.__all__) == sorted(async_cassandra.__all__, key=order)
    assert set(async_cassandra.__all__) <= set(dir(async_cassandra))


def test_package_describes_itself() -> None:
    for name in ("__version__", "__author__", "__email__"):
        assert getattr(async_cassandra, name)
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = async_cassandra.no_such_name  # type: ignore[attr-defined]


@pytest.mark.parametrize("module", MODULES)
def test_module_has_names(module: str) -> None:
    imported = import_module(f"async_cassandra.{module}")
    for name in MODULES[module]:
        assert name in imported.__all__
        if hasattr(async_cassandra, name):
            assert getattr(imported, name) is getattr(async_cassandra, name)


def test_session_has_two_names() -> None:
    assert async_cassandra.AsyncSession is async_cassandra.AsyncCassandraSession


@pytest.mark.parametrize("path", SIGNATURES)
def test_signature_takes_what_programs_pass(path: str) -> None:
    from cassandra.cluster import EXEC_PROFILE_DEFAULT

    expected = {
        name: EXEC_PROFILE_DEFAULT if default is PROFILE else default
        for name, default in SIGNATURES[path].items()
    }
    parameters = list(inspect.signature(find(path)).parameters.values())
    if parameters and parameters[0].name == "self":
        del parameters[0]
    positional = {
        parameter.name: parameter.default
        for parameter in parameters
        if parameter.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD
    }
    assert list(positional)[: len(expected)] == list(expected)
    for name, default in expected.items():
        assert positional[name] == default or positional[name] is default, name
    # What came later has a default, so that a program need not know of it.
    later = [each for each in parameters if each.name not in expected]
    for parameter in later:
        variable = parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL)
        assert variable or parameter.default is not REQUIRED, parameter.name


@pytest.mark.parametrize("path", COROUTINES)
def test_function_is_awaited(path: str) -> None:
    assert inspect.iscoroutinefunction(find(path))


@pytest.mark.parametrize("path", ATTRIBUTES)
def test_class_has_attributes(path: str) -> None:
    for name in ATTRIBUTES[path]:
        assert hasattr(find(path), name), name


def test_cluster_takes_the_drivers_settings() -> None:
    cluster = async_cassandra.AsyncCluster(
        ["127.0.0.1"], protocol_version=5, connect_timeout=3.0, metrics_enabled=False
    )
    assert not cluster.is_closed
    assert cluster.metadata is None
    parameters = inspect.signature(async_cassandra.AsyncCluster).parameters.values()
    assert any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)


def test_cluster_is_built_with_password() -> None:
    cluster = async_cassandra.AsyncCluster.create_with_auth(
        ["127.0.0.1"], "user", "password", port=9043
    )
    assert "9043" in repr(cluster)
    assert "password" not in repr(cluster)


def test_metrics_are_built_by_position() -> None:
    from datetime import UTC, datetime

    query = async_cassandra.QueryMetrics("hash", 0.5, True, None, datetime.now(UTC), 2, 10)
    assert (query.query_hash, query.duration, query.success) == ("hash", 0.5, True)
    assert (query.error_type, query.parameters_count, query.result_size) == (None, 2, 10)
    assert async_cassandra.QueryMetrics("hash", 0.5, False, "E").result_size == 0
    now = datetime.now(UTC)
    connection = async_cassandra.ConnectionMetrics("host", True, now, 0.1)
    assert (connection.error_count, connection.total_queries) == (0, 0)
    host = async_cassandra.HostMetrics("address", "dc", "rack", "up", "5.0", 1)
    assert (host.latency_ms, host.last_error, host.last_check) == (None, None, None)
    cluster = async_cassandra.ClusterMetrics(now, "name", 5, [host], 1, 1, 0)
    assert cluster.app_metrics == {}


def public_modules() -> list[str]:
    """Every module of the package without a part that begins with an underscore."""
    below = pkgutil.walk_packages(async_cassandra.__path__, "async_cassandra.")
    names = ["async_cassandra", *(module.name for module in below)]
    return [name for name in names if "._" not in name]


@pytest.mark.parametrize("name", public_modules())
def test_public_names_say_where_they_are_imported_from(name: str) -> None:
    """So that tracebacks, reprs and pickles name what a program can import."""
    module = import_module(name)
    for listed in getattr(module, "__all__", ()):
        value = getattr(module, listed)
        if not isinstance(value, type) and not inspect.isroutine(value):
            continue
        home: str = value.__module__
        assert "._" not in home, f"{listed}: {home}"
        assert getattr(import_module(home), value.__qualname__) is value


@pytest.mark.parametrize(
    ("name", "where_from"),
    [
        ("session.AsyncCassandraSession", r"AsyncCluster\.connect"),
        ("result.AsyncResultSet", r"AsyncCassandraSession\.execute"),
        ("result.TraceHandle", r"AsyncResultSet\.get_query_trace"),
        ("streaming.AsyncStreamingResultSet", r"AsyncCassandraSession\.execute_stream"),
        ("statements.PreparedStatement", r"AsyncCassandraSession\.prepare"),
    ],
)
def test_class_that_programs_do_not_construct_says_where_it_comes_from(
    name: str, where_from: str
) -> None:
    kind = find(name)
    with pytest.raises(TypeError, match=where_from):
        kind()
    shown = pydoc.plain(pydoc.render_doc(kind))
    calls = re.findall(rf"^ \|  ({kind.__name__}\(.*)$", shown, re.MULTILINE)
    assert [call for call in calls if not call.startswith(f"{kind.__name__}()")] == []


def test_every_error_is_one_that_programs_can_import() -> None:
    def below(kind: type) -> set[type]:
        return {kind}.union(*map(below, kind.__subclasses__()))

    for kind in below(async_cassandra.AsyncCassandraError):
        if kind.__module__.startswith("async_cassandra"):
            assert getattr(import_module(kind.__module__), kind.__name__) is kind
            assert kind.__module__ == "async_cassandra.exceptions"
            assert kind.__name__ in import_module(kind.__module__).__all__
            assert kind.__doc__
