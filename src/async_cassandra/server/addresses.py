"""Chooses the addresses and ports for the nodes of a server."""

from __future__ import annotations

import ipaddress
import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from async_cassandra.server.errors import ServerError
from async_cassandra.server.options import ServerOptions
from async_cassandra.server.ports import HeldPorts, can_bind

CQL_PORT = 9042
OTHER_PORT = "the option port (0 for any free one) or address takes another"
HAS_LOOPBACK_NETWORK = sys.platform == "linux"


@dataclass(frozen=True)
class NodeAddress:
    """Where one node listens: for clients on ``port``, for other nodes on ``storage_port``."""

    host: str
    port: int
    storage_port: int


def choose_addresses(options: ServerOptions, ports: HeldPorts) -> list[NodeAddress]:
    """Choose where each node listens, and hold its ports.

    :raises ~async_cassandra.server.ServerError: if a requested address or port is not available
    """
    hosts = choose_hosts(options)
    for host in set(hosts):
        if not can_bind(host, 0):
            raise ServerError(f"this machine cannot listen on the address {host}")
    if len(set(hosts)) == len(hosts):
        port = choose_cql_port(hosts, options.port, ports)
        storage_port = ports.take_any(hosts)
        return [NodeAddress(host, port, storage_port) for host in hosts]
    first = choose_cql_port(hosts[:1], options.port, ports)
    cql_ports = [first, *(ports.take_any([host]) for host in hosts[1:])]
    return [
        NodeAddress(host, port, ports.take_any([host]))
        for host, port in zip(hosts, cql_ports, strict=True)
    ]


def keep_addresses(kept: Sequence[NodeAddress], ports: HeldPorts) -> list[NodeAddress]:
    """Hold the ports on which nodes listened earlier; a lone node may use another port for nodes.

    :raises ~async_cassandra.server.ServerError: if a port is in use
    """
    addresses = []
    for node in kept:
        take_port([node.host], node.port, ports)
        storage_port = node.storage_port
        if len(kept) > 1:
            take_port([node.host], storage_port, ports)
        elif not ports.take([node.host], storage_port):
            storage_port = ports.take_any([node.host])
        addresses.append(NodeAddress(node.host, node.port, storage_port))
    return addresses


def choose_hosts(options: ServerOptions) -> list[str]:
    if options.address is None:
        if options.nodes == 1 or not HAS_LOOPBACK_NETWORK:
            return ["127.0.0.1"] * options.nodes
        return free_block(options)
    try:
        first = ipaddress.IPv4Address(options.address)
    except ValueError:
        raise ServerError(f"{options.address!r} is not an IPv4 address") from None
    if not first.is_loopback:
        raise ServerError(f"{first} is not a loopback address; this server is for one machine only")
    step = 1 if HAS_LOOPBACK_NETWORK else 0
    return [str(first + step * index) for index in range(options.nodes)]


def free_block(options: ServerOptions) -> list[str]:
    """Return consecutive addresses of 127.0.0.0/8 on which nobody listens at the wanted CQL port."""
    port = options.port or CQL_PORT
    for _ in range(100):
        prefix = f"127.{random.randint(16, 250)}.{random.randint(1, 250)}"
        hosts = [f"{prefix}.{number}" for number in range(1, options.nodes + 1)]
        if all(can_bind(host, port) for host in hosts):
            return hosts
    raise ServerError("no free block of loopback addresses was found")


def choose_cql_port(hosts: Sequence[str], wanted: int | None, ports: HeldPorts) -> int:
    """Hold one port on all hosts: the wanted one, else the usual one, else any."""
    if wanted:
        take_port(hosts, wanted, ports)
        return wanted
    if wanted is None and ports.take(hosts, CQL_PORT):
        return CQL_PORT
    return ports.take_any(hosts)


def take_port(hosts: Sequence[str], port: int, ports: HeldPorts) -> None:
    if not ports.take(hosts, port):
        raise ServerError(
            f"port {port} on {' or '.join(hosts)} is in use or not allowed; {OTHER_PORT}"
        )


def describe_busy_ports(node: NodeAddress) -> str:
    """Return which ports of an ended node somebody else uses now; empty if nobody uses any."""
    busy = [port for port in (node.port, node.storage_port) if not can_bind(node.host, port)]
    return "".join(f"Port {port} on {node.host} is in use; {OTHER_PORT}. " for port in busy)
