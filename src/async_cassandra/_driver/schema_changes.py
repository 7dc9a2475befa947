"""What changed in the schema, as far as a server's report can be believed.

Cassandra writes the names of a SCHEMA_CHANGE as Latin-1, with "?" for each character that Latin-1
lacks: the type "名前" arrives as "??", "Ã¤" as the UTF-8 of "ä". Only plain ASCII without "?" cannot
be another name; Cassandra allows others for types, not for keyspaces and tables.
"""

import threading
from collections.abc import Mapping
from typing import Any

from cassandra import SignatureDescriptor, UserAggregateDescriptor, UserFunctionDescriptor
from cassandra.connection import Connection
from cassandra.metadata import KeyspaceMetadata, Metadata, get_schema_parser

from async_cassandra._driver.contract import restrict_schema_queries

_SIGNATURES: dict[str, type[SignatureDescriptor]] = {
    "FUNCTION": UserFunctionDescriptor,
    "AGGREGATE": UserAggregateDescriptor,
}
_TARGETS = {"KEYSPACE", "TABLE", "TYPE", *_SIGNATURES}


def schema_event(
    change_type: str,
    target: str,
    keyspace: str,
    name: str | None = None,
    argument_types: tuple[str, ...] = (),
) -> dict[str, Any]:
    """Return a schema change in the driver's words, see :func:`believed`.

    :param change_type: ``CREATED``, ``UPDATED`` or ``DROPPED``
    :param target: ``KEYSPACE``, ``TABLE``, ``TYPE``, ``FUNCTION`` or ``AGGREGATE``
    :param name: of the table, type, function or aggregate
    :param argument_types: of a function or aggregate, as CQL
    """
    event: dict[str, Any] = {
        "target_type": target,
        "change_type": change_type,
        "keyspace": keyspace,
    }
    if target != "KEYSPACE":
        signature = _SIGNATURES.get(target)
        event[target.lower()] = signature(name, list(argument_types)) if signature else name
    return believed(event)


def believed(event: Mapping[str, Any]) -> dict[str, Any]:
    """Widen an event if a name in it may stand for another one.

    :param event: as the driver decodes it
    :returns: the event; one that says that its whole keyspace was ``UPDATED``, if a name in the
        keyspace is in doubt; empty, for the whole schema, if the keyspace's own name is in doubt or
        the event is of an unknown kind
    """
    target, keyspace = event.get("target_type"), event.get("keyspace")
    if target not in _TARGETS or not isinstance(keyspace, str) or _is_doubtful(keyspace):
        return {}
    if target == "KEYSPACE":
        return dict(event)
    named = event[target.lower()]
    names = [named] if isinstance(named, str) else [named.name, *named.argument_types]
    if not any(map(_is_doubtful, names)):
        return dict(event)
    return {"target_type": "KEYSPACE", "change_type": "UPDATED", "keyspace": keyspace}


def _is_doubtful(name: str) -> bool:
    return "?" in name or not name.isascii()


class SchemaMetadata(Metadata):
    """The driver's, which reads all of a keyspace where the driver reads its replication only.

    So it does for a function or an aggregate, too: the driver looks for one with the argument types of
    the event, and the server stores them in other words ("varchar" as "text", "tuple<int>" as
    "frozen<tuple<int>>", "ks.name" as "name").

    One refresh ends before another begins to read: what was read earlier never takes the place of what
    was read later.
    """

    def __init__(self) -> None:
        super().__init__()
        self._refreshing = threading.Lock()

    def refresh(
        self,
        connection: Connection,
        timeout: float | None,
        target_type: str | None = None,
        change_type: str | None = None,
        **names: Any,
    ) -> None:
        """Read again what changed; see :func:`believed`. Blocking."""
        with self._refreshing:
            if target_type == "KEYSPACE" or target_type in _SIGNATURES:
                self._refresh_keyspace(connection, timeout, names["keyspace"])
            else:
                super().refresh(connection, timeout, target_type, change_type, **names)

    def _refresh_keyspace(self, connection: Connection, timeout: float | None, name: str) -> None:
        host = self.get_host(connection.endpoint)
        parser = get_schema_parser(connection, host.release_version, host.dse_version, timeout)
        quoted = name.replace("'", "''")
        restrict_schema_queries(parser, f"keyspace_name = '{quoted}'")
        found = {keyspace.name: keyspace for keyspace in parser.get_all_keyspaces()}
        if name in found:
            self._take_keyspace(found[name])
        else:
            self._drop_keyspace(name)

    def _take_keyspace(self, new: KeyspaceMetadata) -> None:
        old = self.keyspaces.get(new.name)
        self.keyspaces[new.name] = new
        if old is None:
            self._keyspace_added(new.name)
        elif old.replication_strategy != new.replication_strategy:
            self._keyspace_updated(new.name)
