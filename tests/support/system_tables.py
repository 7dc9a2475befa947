"""What a scripted node answers about itself, its peers and its schema."""

import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.support.cql_values import CqlTypeName

__all__ = ["Node", "SystemTables", "TableAnswer"]

_TABLE = re.compile(r"\bfrom\s+(system\w*)\.(\w+)", re.IGNORECASE)
_SCHEMA_VERSION = uuid.UUID("5ca1ab1e-0000-4000-8000-000000000001")
_REPLICATION = "org.apache.cassandra.locator.SimpleStrategy"

Columns = Sequence[tuple[str, CqlTypeName]]

_NODE: Columns = [
    ("data_center", "text"),
    ("rack", "text"),
    ("host_id", "uuid"),
    ("release_version", "text"),
    ("schema_version", "uuid"),
    ("tokens", "set<text>"),
]
_LOCAL: Columns = [
    ("key", "text"),
    ("bootstrapped", "text"),
    ("broadcast_address", "inet"),
    ("broadcast_port", "int"),
    ("cluster_name", "text"),
    ("cql_version", "text"),
    ("listen_address", "inet"),
    ("listen_port", "int"),
    ("native_protocol_version", "text"),
    ("partitioner", "text"),
    ("rpc_address", "inet"),
    ("rpc_port", "int"),
    *_NODE,
]
_PEERS: Columns = [("peer", "inet"), ("rpc_address", "inet"), *_NODE]
_PEERS_V2: Columns = [
    ("peer", "inet"),
    ("peer_port", "int"),
    ("native_address", "inet"),
    ("native_port", "int"),
    *_NODE,
]
_KEYSPACES: Columns = [
    ("keyspace_name", "text"),
    ("durable_writes", "boolean"),
    ("replication", "map<text, text>"),
]


@dataclass(frozen=True, slots=True)
class Node:
    """One node of a scripted cluster.

    :ivar tokens: Murmur3 tokens, -2**63 to 2**63 - 1
    """

    address: str
    port: int
    tokens: tuple[int, ...] = (0,)
    datacenter: str = "datacenter1"
    rack: str = "rack1"
    host_id: uuid.UUID = field(default_factory=uuid.uuid4)
    release_version: str = "5.0.4"


@dataclass(slots=True)
class TableAnswer:
    """The rows of one table, whatever is selected from it."""

    keyspace: str
    table: str
    columns: Columns
    rows: list[tuple[Any, ...]] = field(default_factory=list)


class SystemTables:
    """The system tables of one node among its peers.

    :ivar schema_version: change it to make nodes disagree
    :ivar answers: what replaces or completes the answers, by keyspace and table
    """

    def __init__(
        self, node: Node, peers: Sequence[Node] = (), cluster_name: str = "scripted"
    ) -> None:
        self.node = node
        self.peers = list(peers)
        self.cluster_name = cluster_name
        self.schema_version = _SCHEMA_VERSION
        self.answers: dict[tuple[str, str], TableAnswer] = {}

    def add_keyspace(self, name: str, *, replication_factor: int = 1) -> None:
        """Make a keyspace known to the schema."""
        key = ("system_schema", "keyspaces")
        answer = self.answers.setdefault(key, TableAnswer(*key, _KEYSPACES))
        replication = {"class": _REPLICATION, "replication_factor": str(replication_factor)}
        answer.rows.append((name, True, replication))

    def answer(self, query: str) -> TableAnswer | None:
        """Return what a query of a system table gets; None if it asks something else."""
        found = _TABLE.search(query)
        if found is None:
            return None
        key = (found[1].lower(), found[2].lower())
        if key in self.answers:
            return self.answers[key]
        if key == ("system", "local"):
            return TableAnswer(*key, _LOCAL, [self._local_row()])
        if key == ("system", "peers"):
            return TableAnswer(*key, _PEERS, [self._peer_row(peer) for peer in self.peers])
        if key == ("system", "peers_v2"):
            return TableAnswer(*key, _PEERS_V2, [self._peer_v2_row(peer) for peer in self.peers])
        return TableAnswer(*key, [("keyspace_name", "text")])

    def _node_columns(self, node: Node) -> tuple[Any, ...]:
        tokens = [str(token) for token in node.tokens]
        identity = (node.datacenter, node.rack, node.host_id, node.release_version)
        return (*identity, self.schema_version, tokens)

    def _local_row(self) -> tuple[Any, ...]:
        node = self.node
        return (
            "local",
            "COMPLETED",
            node.address,
            7000,
            self.cluster_name,
            "3.4.7",
            node.address,
            7000,
            "5",
            "org.apache.cassandra.dht.Murmur3Partitioner",
            node.address,
            node.port,
            *self._node_columns(node),
        )

    def _peer_row(self, peer: Node) -> tuple[Any, ...]:
        return (peer.address, peer.address, *self._node_columns(peer))

    def _peer_v2_row(self, peer: Node) -> tuple[Any, ...]:
        return (peer.address, 7000, peer.address, peer.port, *self._node_columns(peer))
