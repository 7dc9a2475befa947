"""The record that a server leaves in its data folder, for ``status``, ``stop`` and the next start."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from async_cassandra.server.addresses import NodeAddress
from async_cassandra.server.data_folder import DataFolder
from async_cassandra.server.made import LIST_NAME, read_made

STATE_VARIABLE = "ASYNC_CASSANDRA_STATE"
RECORD_NAME = "server.json"


@dataclass(frozen=True)
class NodeRecord:
    address: NodeAddress
    pid: int | None
    log: str


@dataclass(frozen=True)
class ServerRecord:
    """One server as it was when it became ready.

    :param pid: of the process that owns the nodes
    :param ca_path: the authority's certificate when the server speaks TLS
    """

    pid: int
    version: str
    auth: bool
    ca_path: str | None
    nodes: tuple[NodeRecord, ...]


def default_data_folder() -> Path:
    """Return where ``start`` keeps its server: ``ASYNC_CASSANDRA_STATE``, else a folder of the user."""
    if chosen := os.environ.get(STATE_VARIABLE):
        return Path(chosen).expanduser().absolute()
    if xdg := os.environ.get("XDG_STATE_HOME"):
        return Path(xdg) / "async-cassandra" / "server"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "async-cassandra" / "server"
    return Path.home() / ".local" / "state" / "async-cassandra" / "server"


def write_record(data: DataFolder, record: ServerRecord) -> None:
    partial = data.entry("server.json.partial")
    partial.write_text(json.dumps(asdict(record), indent=1))
    partial.replace(data.entry(RECORD_NAME))


def read_record(data: Path) -> ServerRecord | None:
    """Return the last server of a data folder, None if there was none."""
    made = read_made(data)
    if made is None or RECORD_NAME not in made.names:
        return None
    try:
        raw = json.loads((data / RECORD_NAME).read_text())
    except FileNotFoundError:
        return None
    nodes = tuple(
        NodeRecord(NodeAddress(**node["address"]), node["pid"], node["log"])
        for node in raw["nodes"]
    )
    return ServerRecord(raw["pid"], raw["version"], raw["auth"], raw["ca_path"], nodes)


def running_pid(data: Path) -> int | None:
    """Return the process that holds a data folder, None if nobody does."""
    import fcntl

    if read_made(data) is None:
        return None
    try:
        file = (data / LIST_NAME).open("r")
    except FileNotFoundError:
        return None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            made = read_made(data)
            return None if made is None else made.pid
    return None
