"""A real Cassandra on this machine, owned by this process."""

from __future__ import annotations

import asyncio
import contextlib
import os
import ssl
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from async_cassandra.server._cql import CqlConnection, Row
from async_cassandra.server.addresses import (
    NodeAddress,
    choose_addresses,
    describe_busy_ports,
    keep_addresses,
)
from async_cassandra.server.certificates import Certificates, get_certificates
from async_cassandra.server.configuration import java_options, node_settings, write_configuration
from async_cassandra.server.data_folder import DataFolder
from async_cassandra.server.distribution import (
    DEFAULT_VERSION,
    Distribution,
    Progress,
    get_distribution,
    print_progress,
)
from async_cassandra.server.errors import CqlError, ServerError, ServerStartError
from async_cassandra.server.node import Node
from async_cassandra.server.options import Profile, ServerOptions, Setting
from async_cassandra.server.ports import HeldPorts
from async_cassandra.server.state import (
    NodeRecord,
    ServerRecord,
    read_record,
    write_record,
)

SUPERUSER = "cassandra"
POLL_INTERVAL = 0.05
PEERS = "SELECT peer, release_version, data_center FROM system.peers_v2"


class CassandraServer:
    """One to three Cassandra nodes on this machine, for development and tests.

    It is a context manager, sync and async. The nodes end with this process, however it ends.
    Concurrency: any thread, one at a time; ``async with`` starts and stops outside the loop.

    The parameters are those of :class:`~async_cassandra.server.ServerOptions`.

    :param progress: gets each line about a download, None for silence; standard error by default
    :raises ~async_cassandra.server.ServerError: if a value is out of its range
    """

    def __init__(
        self,
        *,
        nodes: int = 1,
        address: str | None = None,
        port: int | None = None,
        heap_mb: int = 640,
        auth: bool = False,
        tls: bool = False,
        data: str | Path | None = None,
        temporary: bool = False,
        version: str = DEFAULT_VERSION,
        profile: Profile = "test",
        config: Mapping[str, Setting] | None = None,
        jvm_options: Sequence[str] = (),
        start_timeout: float = 180.0,
        progress: Progress | None = print_progress,
    ) -> None:
        self.options: ServerOptions = ServerOptions(
            nodes=nodes,
            address=address,
            port=port,
            heap_mb=heap_mb,
            auth=auth,
            tls=tls,
            data=None if data is None else Path(data).expanduser().absolute(),
            temporary=temporary or data is None,
            version=version,
            profile=profile,
            config=dict(config or {}),
            jvm_options=tuple(jvm_options),
            start_timeout=start_timeout,
        )
        self.nodes: tuple[Node, ...] = ()
        self.data: Path | None = self.options.data
        self._progress: Progress = progress or (lambda line: None)
        self._certificates: Certificates | None = None
        self._folder: DataFolder | None = None
        self._ports: HeldPorts = HeldPorts()

    def __repr__(self) -> str:
        return f"<CassandraServer {self.options.version} {list(self.nodes)}>"

    @property
    def contact_points(self) -> list[str]:
        """The addresses of all nodes, each once."""
        return list(dict.fromkeys(node.address for node in self.nodes))

    @property
    def port(self) -> int:
        """The CQL port of the first node; with several addresses it is every node's.

        :raises ~async_cassandra.server.ServerError: before the start
        """
        return self._node(0).port

    @property
    def username(self) -> str | None:
        """The superuser's name, None without ``auth``."""
        return SUPERUSER if self.options.auth else None

    @property
    def password(self) -> str | None:
        """The superuser's password, None without ``auth``."""
        return SUPERUSER if self.options.auth else None

    @property
    def ca_path(self) -> Path | None:
        """The certificate of the server's authority in PEM form, None without ``tls``."""
        return None if self._certificates is None else self._certificates.ca_path

    def ssl_context(self) -> ssl.SSLContext | None:
        """Return a context for clients: trusts only this server, checks names; None without ``tls``."""
        ca_path = self.ca_path
        return None if ca_path is None else ssl.create_default_context(cafile=str(ca_path))

    def start(self) -> None:
        """Start all nodes and return when each answers and knows the others.

        :raises ~async_cassandra.server.NoCassandraError: if no Cassandra or no Java is available
        :raises ~async_cassandra.server.ServerStartError: if a node does not come up in time
        :raises ~async_cassandra.server.ServerError: if it runs already, or an address is taken
        """
        if self._folder is not None:
            raise ServerError("this server runs already")
        distribution = get_distribution(self.options.version, self._progress)
        self._folder = folder = self._hold_folder()
        try:
            self._prepare(folder, distribution)
            for node in self.nodes:
                node.spawn()
            self._wait_until_ready(self.nodes)
            write_record(folder, self._record())
        except ServerStartError:
            self._stop(remove=False)  # the error names the log
            raise
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop all nodes, if they run; delete what they made if it is temporary, nothing else."""
        self._stop(remove=self.options.temporary)

    def kill(self, node: Node | int) -> None:
        """End one node's process with SIGKILL, as a crash would; return when it is gone.

        Cassandra may lose the writes that it acknowledged in the last tenth of a second, unless
        ``config`` has ``commitlog_sync`` as ``batch``.
        """
        self._node(node).kill()

    def pause(self, node: Node | int) -> None:
        """Freeze one node's process with SIGSTOP: its connections stay open and nothing answers."""
        self._node(node).pause()

    def resume(self, node: Node | int) -> None:
        """Let a paused node continue."""
        self._node(node).resume()

    def restart(self, node: Node | int) -> None:
        """Start one node again, after stopping it if it runs; return when it answers.

        :raises ~async_cassandra.server.ServerStartError: if it does not come up in time
        """
        chosen = self._node(node)
        if self._folder is None:
            raise ServerError("this server does not run")
        chosen.terminate()
        chosen.wait()
        chosen.spawn()
        self._wait_until_ready((chosen,))
        write_record(self._folder, self._record())

    def connect(self, node: Node | int = 0, *, timeout: float = 10.0) -> CqlConnection:
        """Open a small synchronous connection to one node, as the superuser where there is one."""
        chosen = self._node(node)
        return CqlConnection(
            chosen.address,
            chosen.port,
            username=self.username,
            password=self.password,
            ssl_context=self.ssl_context(),
            timeout=timeout,
        )

    def execute(self, cql: str, node: Node | int = 0) -> list[Row]:
        """Run one statement on one node over a connection of its own.

        :raises ~async_cassandra.server.CqlError: if the node refuses the statement
        """
        with self.connect(node, timeout=30.0) as connection:
            return connection.query(cql)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self.start)
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await asyncio.to_thread(self.stop)

    def _stop(self, *, remove: bool) -> None:
        if self._folder is None:
            return
        for node in self.nodes:
            if self.options.temporary:
                node.kill()
            else:
                node.terminate()
        for node in self.nodes:
            node.wait()
        self._ports.release()
        folder, self._folder = self._folder, None
        if remove:
            for problem in folder.remove():
                self._progress(problem)
        folder.release()

    def _hold_folder(self) -> DataFolder:
        if (data := self.options.data) is not None:
            return DataFolder.hold(data, temporary=self.options.temporary)
        self.data = Path(tempfile.mkdtemp(prefix="async-cassandra-"))
        return DataFolder.hold(self.data, temporary=True, own=True)

    def _node(self, node: Node | int) -> Node:
        if isinstance(node, Node):
            return node
        if not self.nodes:
            raise ServerError("this server was not started")
        return self.nodes[node]

    def _prepare(self, data: DataFolder, distribution: Distribution) -> None:
        """Choose addresses, make certificates, write each node's files."""
        addresses = self._addresses(data.path)
        if self.options.tls:
            hosts = [address.host for address in addresses]
            self._certificates = get_certificates(data.entry("tls"), hosts)
        nodes = []
        for index, address in enumerate(addresses):
            folder = data.entry(f"node{index + 1}")
            arguments = write_configuration(
                folder,
                node_settings(self.options, addresses, index, self._certificates),
                java_options(self.options, distribution, folder),
            )
            command = [str(distribution.java), f"@{arguments}"]
            nodes.append(Node(index, address, folder, command, self.options.data is None))
        self.nodes = tuple(nodes)

    def _addresses(self, data: Path) -> list[NodeAddress]:
        """Return where the nodes listen: nodes whose data was kept stay where they were."""
        record = read_record(data)
        if record is None:
            return choose_addresses(self.options, self._ports)
        if len(record.nodes) != self.options.nodes:
            raise ServerError(
                f"{data} holds {len(record.nodes)} nodes, not {self.options.nodes}; "
                "delete it or use another folder"
            )
        kept = [node.address for node in record.nodes]
        same_host = self.options.address in (None, kept[0].host)
        same_port = self.options.port in (None, 0, kept[0].port)
        if same_host and same_port:
            return keep_addresses(kept, self._ports)
        if self.options.nodes == 1:
            return choose_addresses(self.options, self._ports)
        raise ServerError(
            f"the nodes in {data} listen from {kept[0].host}:{kept[0].port} on, as before"
        )

    def _wait_until_ready(self, nodes: Sequence[Node]) -> None:
        deadline = time.monotonic() + self.options.start_timeout
        for node in nodes:
            while not self._is_ready(node):
                if node.pid is None:
                    raise ServerStartError(self._obituary(node, f"ended with {node.returncode}"))
                if time.monotonic() > deadline:
                    waited = f"is not ready after {self.options.start_timeout:g} s"
                    raise ServerStartError(self._obituary(node, waited))
                time.sleep(POLL_INTERVAL)

    def _is_ready(self, node: Node) -> bool:
        """Whether a node answers, lets the superuser in, and knows all other nodes."""
        with contextlib.suppress(OSError, CqlError), self.connect(node, timeout=5.0) as connection:
            peers = connection.query(PEERS)
            known = [peer for peer in peers if None not in peer.values()]
            return len(known) >= self.options.nodes - 1
        return False

    def _obituary(self, node: Node, what: str) -> str:
        busy = "" if node.pid is not None else describe_busy_ports(node.listens_at)
        return (
            f"Cassandra node {node.address}:{node.port} {what}. {busy}"
            f"Its log is {node.log}; the end of it:\n{node.log_tail()}"
        )

    def _record(self) -> ServerRecord:
        nodes = tuple(NodeRecord(node.listens_at, node.pid, str(node.log)) for node in self.nodes)
        ca_path = None if self.ca_path is None else str(self.ca_path)
        return ServerRecord(os.getpid(), self.options.version, self.options.auth, ca_path, nodes)
