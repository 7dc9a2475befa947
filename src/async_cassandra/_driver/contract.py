"""What this library uses of cassandra-driver that the driver's documentation does not promise.

:data:`CONTRACT` has every private name that is used, and the undocumented ones without an underscore on
which most depends, with the modules that rely on each and the reason; tests compare it with the driver
that is installed and with the sources. A private name is touched in two places only: in a class that
derives from its owner or takes its place, and in the functions at the end of this module.
"""

import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from cassandra.cluster import Cluster, ExecutionProfile, _discard_cluster_shutdown
from cassandra.connection import Connection
from cassandra.policies import (
    DCAwareRoundRobinPolicy,
    DefaultLoadBalancingPolicy,
    LoadBalancingPolicy,
    RoundRobinPolicy,
    TokenAwarePolicy,
)
from cassandra.pool import Host
from cassandra.query import BatchStatement
from cassandra.util import OrderedMapSerializedKey, SortedSet


@dataclass(frozen=True, slots=True)
class Name:
    """One attribute of a class or module of the driver.

    :ivar used_by: the modules that rely on it, below ``async_cassandra``
    :ivar why: what it is needed for
    :ivar parameters: of a function, as in its definition without defaults and ``self``; ``None`` for
        what is not a function
    """

    name: str
    used_by: tuple[str, ...]
    why: str
    parameters: str | None = None


class Overridden(Name):
    """One that a class of ours has in the driver's place."""

    __slots__ = ()


_CONNECTION = ("_driver.control_connection",)
_NO_REACTOR = ("_default_connection",)
_TLS = ("_driver.connect_settings",)
_CLUSTER = ("_driver.driver_cluster",)
_PLANE = ("_driver.control_plane",)
_ROUTING = ("_driver.routing",)
_SCHEMA = ("_driver.schema_changes",)
_TYPES = ("_driver.types",)
_ERRORS = ("exceptions._server",)
_STATEMENTS = ("_statements.statements",)
_RESOLVER = ("_statements.resolver",)

_ASKED_OF_ONE = "cluster, control connection and schema parsers ask it of a connection"
_OF_QUERIES = "their queries are sent as messages of ours"
_OF_RESULTS = "they read answers so"
_NO_POOLS = "the cluster expects it of a session; ours has no pools"
_CLASSES = "column descriptions have the driver's type classes"

CONTRACT: Mapping[str, tuple[Name, ...]] = {
    "cassandra.cluster": (
        Name("_discard_cluster_shutdown", _CLUSTER, "exit waits for no cluster", "cluster"),
        Name("default_lbp_factory", _PLANE, "the default profile has the driver's policy", ""),
    ),
    "cassandra.cluster.Cluster": (
        Name(
            "_default_load_balancing_policy", _CLUSTER, "the control connection's hosts, in order"
        ),
        Name("_endpoint_map_for_insights", _CLUSTER, "which address came of which contact point"),
        Overridden(
            "_make_connection_factory",
            _CLUSTER,
            "how it finds out that a host is there again",
            "host, *args, **kwargs",
        ),
        Overridden("_new_session", _CLUSTER, "sessions have no pools", "keyspace"),
        Name("_protocol_version_explicit", _CLUSTER, "a version that was asked for is kept"),
        Name("_session_register_user_types", _CLUSTER, "types from before connect()", "session"),
        Name("_user_types", _CLUSTER, "types from before the cluster exists"),
        Name(
            "add_host",
            _CLUSTER,
            "hosts that a contact point's name means by now",
            "endpoint, datacenter, rack, signal, refresh_nodes",
        ),
        Overridden(
            "connection_factory",
            _CLUSTER,
            "connections are opened by the loop",
            "endpoint, *args, **kwargs",
        ),
        Name("control_connection", _CLUSTER + _PLANE, "replaced by ours"),
        Overridden(
            "get_connection_holders", _CLUSTER, "no connection is left to its heartbeat", ""
        ),
        Name("on_up", _CLUSTER, "a host that we reached counts as up", "host"),
        Name("profile_manager", _PLANE + _ROUTING, "the profiles and their policies"),
        Overridden(
            "protocol_downgrade",
            _CLUSTER,
            "version 5, then 4, without warnings",
            "host_endpoint, previous_version",
        ),
        Name("sessions", _CLUSTER, "the cluster tells its sessions of hosts"),
        Name(
            "signal_connection_failure",
            _CLUSTER,
            "a host that nobody reaches is marked down",
            "host, connection_exc, is_host_addition, expect_host_to_be_down",
        ),
    ),
    "cassandra.cluster.ControlConnection": (
        Name(
            "__init__",
            _CLUSTER,
            "made in the place of the cluster's",
            "cluster, timeout, schema_event_refresh_window, topology_event_refresh_window, "
            "status_event_refresh_window, schema_meta_enabled, token_meta_enabled",
        ),
        Name("_cluster", _CLUSTER, "its cluster's events, metadata and policy"),
        Name("_connection", _CLUSTER, "one that was lost at once is replaced"),
        Name(
            "_get_and_set_reconnection_handler",
            _CLUSTER,
            "a waiting attempt is given up",
            "new_handler",
        ),
        Overridden(
            "_handle_schema_change", _CLUSTER, "sessions hear of it before it is read", "event"
        ),
        Name("_is_shutdown", _CLUSTER, "no attempt is made after the end"),
        Name("_reconnect", _CLUSTER, "attempts run one at a time", ""),
        Overridden("_reconnect_internal", _CLUSTER, "names are resolved again", ""),
        Name("_reconnection_handler", _CLUSTER, "whether an attempt waits for its delay"),
        Overridden(
            "_refresh_node_list_and_token_map",
            _CLUSTER,
            "routing follows the topology",
            "connection, preloaded_results, force_token_rebuild",
        ),
        Overridden(
            "_refresh_schema",
            _CLUSTER,
            "sessions hear of what was read",
            "connection, preloaded_results, schema_agreement_wait, force, **kwargs",
        ),
        Overridden("_set_new_connection", _CLUSTER, "events may have been missed", "conn"),
        Name("_submit", _CLUSTER, "attempts run on the cluster's executor", "*args, **kwargs"),
        Overridden("_try_connect", _CLUSTER, "a silent host is passed over", "host"),
        Overridden("on_up", _CLUSTER, "an attempt is made at once", "host"),
        Overridden("reconnect", _CLUSTER, "a loss is reported twice", ""),
        Name("refresh_schema", _PLANE, "a change of our own is read at once", "force, **kwargs"),
        Name("return_connection", _CLUSTER, "a loss is noticed before the heartbeat", "connection"),
    ),
    "cassandra.cluster.ExecutionProfile": (
        Name("_load_balancing_policy_explicit", _PLANE, "a policy that was chosen is not replaced"),
    ),
    "cassandra.cluster.ProfileManager": (
        Name("distance", _PLANE, "which hosts get connections", "host"),
        Name("profiles", _PLANE + _ROUTING, "each profile's policy has a routing"),
    ),
    "cassandra.cluster.Session": (
        Overridden("_default_consistency_level", _CLUSTER, _NO_POOLS),
        Overridden("_initial_connect_futures", _CLUSTER, _NO_POOLS),
        Overridden("add_or_renew_pool", _CLUSTER, _NO_POOLS, "host, is_host_addition"),
        Overridden("get_pool_state", _CLUSTER, _NO_POOLS, ""),
        Overridden("get_pools", _CLUSTER, _NO_POOLS, ""),
        Overridden("on_down", _CLUSTER, _NO_POOLS, "host"),
        Overridden("on_remove", _CLUSTER, _NO_POOLS, "host"),
        Overridden("remove_pool", _CLUSTER, _NO_POOLS, "host"),
        Overridden("update_created_pools", _CLUSTER, _NO_POOLS, ""),
        Overridden("user_type_registered", _CLUSTER, _NO_POOLS, "keyspace, user_type, klass"),
    ),
    "cassandra.connection.Connection": (
        Name("_build_ssl_context_from_options", _TLS, "a context of ssl_options", ""),
        Overridden("_product_type", _CONNECTION, _ASKED_OF_ONE),
        Overridden("close", _CONNECTION, _ASKED_OF_ONE, ""),
        Overridden("control_conn_disposed", _CONNECTION, _ASKED_OF_ONE, ""),
        Overridden("defunct", _CONNECTION, _ASKED_OF_ONE, "exc"),
        Overridden(
            "factory",
            _NO_REACTOR,
            "a plain cluster says what it lacks",
            "endpoint, timeout, *args, **kwargs",
        ),
        Overridden("initialize_reactor", _CONNECTION + _NO_REACTOR, "no thread is started", ""),
        Name("is_closed", _CONNECTION, _ASKED_OF_ONE),
        Name("is_defunct", _CONNECTION, _ASKED_OF_ONE),
        Overridden(
            "register_watchers",
            _CONNECTION,
            "events of the loop's connection reach it",
            "type_callback_dict, register_timeout",
        ),
        Overridden("wait_for_response", _CONNECTION, _ASKED_OF_ONE, "msg, timeout, **kwargs"),
        Overridden("wait_for_responses", _CONNECTION, _ASKED_OF_ONE, "*msgs, **kwargs"),
    ),
    "cassandra.cqltypes": (
        Name("lookup_casstype", _TYPES, _CLASSES, "casstype"),
        Name("mkUnrecognizedType", _TYPES, _CLASSES, "casstypename"),
    ),
    "cassandra.cqltypes.CassandraType": (
        Name("apply_parameters", _TYPES, _CLASSES, "subtypes, names"),
        Name(
            "cass_parameterized_type",
            _STATEMENTS,
            "a foreign statement's types are compared",
            "full",
        ),
        Name("cassname", _TYPES, "an encrypted column's type is told by its class"),
    ),
    "cassandra.cqltypes.UserType": (
        Name("make_udt_class", _TYPES, _CLASSES, "keyspace, udt_name, field_names, field_types"),
    ),
    "cassandra.metadata": (
        Name(
            "get_schema_parser",
            _SCHEMA,
            "a keyspace is read as the driver reads all of them",
            "connection, server_version, dse_version, timeout",
        ),
    ),
    "cassandra.metadata.Metadata": (
        Name("_drop_keyspace", _SCHEMA, "a keyspace that is gone", "keyspace"),
        Name("_keyspace_added", _SCHEMA, "its replicas are computed", "ksname"),
        Name("_keyspace_updated", _SCHEMA, "its replicas are computed again", "ksname"),
        Overridden(
            "refresh",
            _SCHEMA,
            "one after the other, and whole keyspaces",
            "connection, timeout, target_type, change_type, **kwargs",
        ),
    ),
    # The schema of Cassandra 3 and 4; the one of 5 is read as that of 4.
    "cassandra.metadata.SchemaParserV3": (
        Name("_SELECT_KEYSPACES", _SCHEMA, "queries are found by the prefix, and restricted"),
        Name("get_all_keyspaces", _SCHEMA, "gives what the restricted queries find", ""),
    ),
    "cassandra.metadata.SchemaParserV4": (
        Name(
            "_SELECT_VIRTUAL_KEYSPACES", _SCHEMA, "queries are found by the prefix, and restricted"
        ),
        Name("get_all_keyspaces", _SCHEMA, "gives what the restricted queries find", ""),
    ),
    "cassandra.metadata.TokenMap": (
        Name(
            "rebuild_keyspace",
            _ROUTING,
            "replicas are computed when they are first asked for",
            "keyspace, build_if_absent",
        ),
        Name("token_class", _ROUTING, "tokens are ours to compute for Murmur3 only"),
        Name("tokens_to_hosts_by_ks", _ROUTING, "the replicas of each range"),
    ),
    "cassandra.policies.DCAwareRoundRobinPolicy": (
        Name("_dc_live_hosts", _ROUTING, "the hosts that the policy would give, by datacenter"),
    ),
    "cassandra.policies.RoundRobinPolicy": (
        Name("_live_hosts", _ROUTING, "the hosts that the policy would give"),
    ),
    "cassandra.policies.TokenAwarePolicy": (
        Name("_child_policy", _ROUTING, "the policy that knows the hosts"),
    ),
    "cassandra.policies.WrapperPolicy": (
        Name("_child_policy", _ROUTING, "what the driver's default policy asks"),
    ),
    "cassandra.protocol": (
        Name("error_classes", _ERRORS, "an error's class in the driver, by its code"),
    ),
    "cassandra.protocol.ErrorMessage": (
        Name("to_exception", _ERRORS, "an error's cause is the driver's exception", ""),
    ),
    "cassandra.protocol.QueryMessage": (
        Name("consistency_level", _CONNECTION, _OF_QUERIES),
        Name("fetch_size", _CONNECTION, _OF_QUERIES),
        Name("paging_state", _CONNECTION, _OF_QUERIES),
        Name("query", _CONNECTION, _OF_QUERIES),
    ),
    "cassandra.protocol.RegisterMessage": (
        Name("__init__", _CONNECTION, "events are asked for", "event_list"),
        Name("event_list", _CONNECTION, "sent as a message of ours"),
    ),
    "cassandra.protocol.ResultMessage": (
        Name("__init__", _CONNECTION, _OF_RESULTS, "kind"),
        Name("column_names", _CONNECTION, _OF_RESULTS),
        Name("paging_state", _CONNECTION, _OF_RESULTS),
        Name("parsed_rows", _CONNECTION, _OF_RESULTS),
        Name("type_codes", _TYPES, _CLASSES),
    ),
    "cassandra.query.BatchStatement": (
        Name(
            "_add_statement_and_params",
            _STATEMENTS,
            "strings are prepared later",
            "is_prepared, statement, parameters",
        ),
        Overridden(
            "_maybe_set_routing_attributes",
            _STATEMENTS,
            "a routing key is not a keyspace",
            "statement",
        ),
        Name("_session", _STATEMENTS, "whose encoder writes the parameters"),
        Name("_statements_and_parameters", _STATEMENTS + _RESOLVER, "what is to be sent"),
        Name("_update_custom_payload", _STATEMENTS, "statements' payloads go with it", "statement"),
        Name("_update_state", _STATEMENTS, "payload and routing of a statement", "statement"),
    ),
    "cassandra.query.Statement": (
        Name("_routing_key", _STATEMENTS, "a key that was set goes before the bound one"),
        Name("_set_routing_key", _STATEMENTS, "a key in parts is put together", "key"),
    ),
    "cassandra.util.OrderedMapSerializedKey": (
        Name("_index", _TYPES, "a map is made of what was read, without encoding its keys again"),
        Name("_items", _TYPES, "a map is made of what was read, without encoding its keys again"),
        Name("cass_key_type", _TYPES, "a key that is looked up is encoded"),
        Name("protocol_version", _TYPES, "a key that is looked up is encoded"),
    ),
    "cassandra.util.SortedSet": (
        Name("_items", _TYPES, "a set is made of what was read, which is in order"),
    ),
}
"""By the owner, as ``module`` or ``module.Class``."""

# Collections have the same layout since this version, older ones are not spoken.
_PROTOCOL_VERSION = 5


def child_policy(policy: DefaultLoadBalancingPolicy | TokenAwarePolicy) -> LoadBalancingPolicy:
    """Return the policy that another one asks for hosts."""
    child: LoadBalancingPolicy = policy._child_policy
    return child


def live_hosts(policy: RoundRobinPolicy) -> Iterable[Host]:
    hosts: Iterable[Host] = policy._live_hosts
    return hosts


def live_hosts_by_datacenter(policy: DCAwareRoundRobinPolicy) -> dict[str, tuple[Host, ...]]:
    """Return a copy; the policy changes its own."""
    hosts: dict[str, tuple[Host, ...]] = policy._dc_live_hosts.copy()
    return hosts


def has_chosen_policy(profile: ExecutionProfile) -> bool:
    """Whether a load balancing policy was passed to the profile, or set later."""
    return bool(getattr(profile, "_load_balancing_policy_explicit", True))


def leave_to_the_exit(cluster: Cluster) -> None:
    """Have a cluster not shut down at the interpreter's exit, nor waited for."""
    _discard_cluster_shutdown(cluster)


def context_from_options(ssl_options: Mapping[str, Any]) -> ssl.SSLContext:
    """Build the context that the driver's connections build of ``ssl_options``.

    :raises OSError: if a file cannot be read, or what is in it cannot be used
    :raises TypeError: or ``ValueError``, if an option is of the wrong kind
    """
    holder = SimpleNamespace(ssl_options=dict(ssl_options))
    context: ssl.SSLContext = Connection._build_ssl_context_from_options(holder)
    return context


def restrict_schema_queries(parser: Any, condition: str) -> None:
    """Have a schema parser read no more than what fits a condition.

    :param condition: of CQL, on the columns that all tables of the schema have
    """
    for name in dir(parser):
        if name.startswith("_SELECT_"):
            setattr(parser, name, f"{getattr(parser, name)} WHERE {condition}")


def batch_entries(batch: BatchStatement) -> list[tuple[bool, Any, Any]]:
    """Whether it is prepared, statement and parameters of each statement in a batch."""
    return batch._statements_and_parameters


def presorted_set(items: list[Any]) -> Any:
    """Build a SortedSet around a list; its constructor would search a place for each item."""
    result = SortedSet.__new__(SortedSet)
    result._items = items
    return result


def ordered_map(
    key_type: Any, pairs: list[tuple[Any, Any]], positions: dict[bytes | None, int]
) -> Any:
    """Build an OrderedMapSerializedKey around its two collections."""
    result = OrderedMapSerializedKey.__new__(OrderedMapSerializedKey)
    result.cass_key_type = key_type
    result.protocol_version = _PROTOCOL_VERSION
    result._items = pairs
    result._index = positions
    return result
