"""What a server leaves in its data folder, for ``status``, ``stop`` and the next start."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from async_cassandra.server.addresses import NodeAddress
from async_cassandra.server.errors import ServerError

STATE_VARIABLE = "ASYNC_CASSANDRA_STATE"
LOCK_NAME = "server.lock"


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
    """Where ``start`` keeps its server: ``ASYNC_CASSANDRA_STATE``, else a folder of the user."""
    if chosen := os.environ.get(STATE_VARIABLE):
        return Path(chosen).expanduser().absolute()
    if xdg := os.environ.get("XDG_STATE_HOME"):
        return Path(xdg) / "async-cassandra" / "server"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "async-cassandra" / "server"
    return Path.home() / ".local" / "state" / "async-cassandra" / "server"


def record_path(data: Path) -> Path:
    return data / "server.json"


def write_record(data: Path, record: ServerRecord) -> None:
    partial = data / "server.json.partial"
    partial.write_text(json.dumps(asdict(record), indent=1))
    partial.replace(record_path(data))


def read_record(data: Path) -> ServerRecord | None:
    """The last server of a data folder, None if there was none."""
    try:
        raw = json.loads(record_path(data).read_text())
    except FileNotFoundError:
        return None
    nodes = tuple(
        NodeRecord(NodeAddress(**node["address"]), node["pid"], node["log"])
        for node in raw["nodes"]
    )
    return ServerRecord(raw["pid"], raw["version"], raw["auth"], raw["ca_path"], nodes)


def lock_folder(data: Path) -> IO[str]:
    """Take a data folder for this process, until :func:`unlock_folder` or the end of the process.

    :raises ~async_cassandra.server.ServerError: if a server runs in it, or it cannot be written
    """
    import fcntl

    try:
        data.mkdir(parents=True, exist_ok=True)
        file = (data / LOCK_NAME).open("a+")
    except OSError as error:
        raise ServerError(f"the data folder {data} cannot be used: {error}") from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise ServerError(f"a server runs already in {data}") from None
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    return file


def unlock_folder(file: IO[str]) -> None:
    """Give up a data folder, also for processes that were forked from this one."""
    import fcntl

    fcntl.flock(file, fcntl.LOCK_UN)
    file.close()


def running_pid(data: Path) -> int | None:
    """The process that holds a data folder, None if nobody does."""
    import fcntl

    try:
        file = (data / LOCK_NAME).open("r")
    except FileNotFoundError:
        return None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            text = file.read()
            return int(text) if text else None
    return None
