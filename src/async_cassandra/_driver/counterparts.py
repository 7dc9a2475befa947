"""What the driver's ``Cluster`` and ``Session`` have and this library's do not, and what to do instead.

Assigning to a setting of the driver's is refused, so that a program written for the driver does
not silently run without it; reading one raises an error that says what to use.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from async_cassandra._driver.cluster_settings import DRIVER_SETTINGS
from async_cassandra.exceptions import ConfigurationError

_METADATA = "cluster.metadata follows the server's events automatically"
_POOLS = "one connection per node carries thousands of requests; "
_SIZES = _POOLS + "ClientOptions(connections_per_node=..., max_in_flight=...) changes that"
_INTERNAL = "it is internal to the driver; there is no counterpart"
_GATHER = "await session.execute(...) in asyncio.gather() or a TaskGroup"
_GRAPHS = "only DataStax Enterprise has graphs"
_LISTENER = "AsyncCluster(observers=[...]) with on_node_up and on_node_down"

CLUSTER: dict[str, str] = {
    "add_execution_profile": "AsyncCluster(execution_profiles=...) names them; execute() also takes "
    "an ExecutionProfile object, such as session.execution_profile_clone_update(...) returns",
    "add_host": _INTERNAL,
    "add_prepared": _INTERNAL,
    "connect_to_remote_hosts": "leave remote hosts out with the load balancing policy: "
    "DCAwareRoundRobinPolicy(local_dc, used_hosts_per_remote_dc=0)",
    "connection_factory": _INTERNAL,
    "control_connection": _INTERNAL,
    "executor": _INTERNAL,
    "get_connection_holders": _INTERNAL,
    "get_control_connection_host": _INTERNAL,
    "get_core_connections_per_host": _SIZES,
    "get_max_connections_per_host": _SIZES,
    "get_max_requests_per_connection": _SIZES,
    "get_min_requests_per_connection": _SIZES,
    "listeners": _LISTENER,
    "metrics": "session.stats(), or AsyncCluster(metrics=create_metrics_system(...))",
    "on_add": _INTERNAL,
    "on_down": _INTERNAL,
    "on_remove": _INTERNAL,
    "on_up": _INTERNAL,
    "profile_manager": "session.get_execution_profile(name)",
    "protocol_downgrade": _INTERNAL,
    "refresh_keyspace_metadata": _METADATA,
    "refresh_materialized_view_metadata": _METADATA,
    "refresh_nodes": _METADATA,
    "refresh_schema_metadata": _METADATA,
    "refresh_table_metadata": _METADATA,
    "refresh_user_aggregate_metadata": _METADATA,
    "refresh_user_function_metadata": _METADATA,
    "refresh_user_type_metadata": _METADATA,
    "register_listener": _LISTENER,
    "remove_host": _INTERNAL,
    "scheduler": _INTERNAL,
    "sessions": "keep what connect() returns",
    "set_core_connections_per_host": _SIZES,
    "set_max_connections_per_host": _SIZES,
    "set_max_requests_per_connection": _SIZES,
    "set_meta_refresh_enabled": "AsyncCluster(schema_metadata_enabled=..., "
    "schema_event_refresh_window=...)",
    "set_min_requests_per_connection": _SIZES,
    "signal_connection_failure": _INTERNAL,
    "unregister_listener": _LISTENER,
}
CLUSTER |= {name: f"pass it to AsyncCluster({name}=...)" for name in DRIVER_SETTINGS}
CLUSTER["default_retry_policy"] = "pass it to AsyncCluster(retry_policy=...)"
# What programs assign to; the driver itself never uses a value assigned to the rest.
ASSIGNED_ON_CLUSTER = DRIVER_SETTINGS | {"connect_to_remote_hosts"}

SESSION: dict[str, str] = {
    "add_or_renew_pool": _INTERNAL,
    "add_request_init_listener": "AsyncCluster(observers=[...]) with on_started",
    "client_protocol_handler": "this library has its own encoder and decoder: use row_factory, row=, "
    "cluster.register_user_type() or ClientOptions(vectors=...)",
    "execute_async": "await session.execute(...), in a task if other work goes on meanwhile",
    "execute_concurrent": _GATHER,
    "execute_concurrent_async": _GATHER,
    "execute_concurrent_with_args": _GATHER,
    "execute_graph": _GRAPHS,
    "execute_graph_async": _GRAPHS,
    "keyspace": "await session.set_keyspace(...)",
    "get_pool_state": "session.stats()",
    "get_pools": "session.stats()",
    "on_down": _INTERNAL,
    "on_remove": _INTERNAL,
    "prepare_on_all_hosts": "AsyncCluster(prepare_on_all_hosts=...)",
    "remove_pool": _INTERNAL,
    "remove_request_init_listener": "AsyncCluster(observers=[...])",
    "session_id": "it is for reports to DataStax Enterprise, which do not exist here",
    "shutdown": "await session.close()",
    "submit": _INTERNAL,
    "update_created_pools": _INTERNAL,
    "user_type_registered": _INTERNAL,
}
ASSIGNED_ON_SESSION = frozenset({"client_protocol_handler", "keyspace"})


class DriverFace:
    """Says what to do instead of an attribute of the driver's class that is missing here.

    A subclass whose class has an attribute of that name may assign it.
    """

    _counterparts: ClassVar[Mapping[str, str]] = {}
    _assigned: ClassVar[frozenset[str]] = frozenset()

    if not TYPE_CHECKING:
        # So that a type checker finds misspelt names.

        def __getattr__(self, name: str) -> Any:
            kind = type(self).__name__
            if name in self._counterparts:
                raise AttributeError(
                    f"{kind} has no {name}, unlike the driver: {self._counterparts[name]}",
                    name=name,
                    obj=self,
                )
            raise AttributeError(f"{kind} has no attribute {name}", name=name, obj=self)

        def __setattr__(self, name: str, value: Any) -> None:
            if name in self._assigned and self._has_no_effect(name, value):
                raise ConfigurationError(
                    f"{type(self).__name__}.{name} cannot be set: {self._counterparts[name]}"
                )
            super().__setattr__(name, value)

    def _has_no_effect(self, name: str, value: object) -> bool:
        """Whether assigning would look like a setting but change nothing."""
        if not hasattr(type(self), name):
            return True
        own = getattr(type(self), name)
        return isinstance(own, property) and own.fset is None
