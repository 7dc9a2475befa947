"""Which addresses and ports the nodes of a server get."""

from __future__ import annotations

import ipaddress
import random
import socket
import sys
from dataclasses import dataclass

from async_cassandra.server.errors import ServerError
from async_cassandra.server.options import ServerOptions

CQL_PORT = 9042
STORAGE_PORT = 7000
# Below the range from which Linux and macOS take the ports of outgoing connections: one that is
# free now is still free when Java binds it, seconds later.
FREE_PORTS = range(20_000, 32_000)
HAS_LOOPBACK_NETWORK = sys.platform == "linux"


@dataclass(frozen=True)
class NodeAddress:
    """Where one node listens: for clients on ``port``, for other nodes on ``storage_port``."""

    host: str
    port: int
    storage_port: int


def choose_addresses(options: ServerOptions) -> list[NodeAddress]:
    """Choose where each node listens.

    :raises ~async_cassandra.server.ServerError: if an asked-for address or port cannot be had
    """
    hosts = choose_hosts(options)
    for host in set(hosts):
        if not can_bind(host, 0):
            raise ServerError(f"this machine cannot listen on the address {host}")
    if len(set(hosts)) == len(hosts):
        port = shared_port(hosts, options.port, CQL_PORT)
        storage_port = shared_port(hosts, None, STORAGE_PORT, taken={port})
        return [NodeAddress(host, port, storage_port) for host in hosts]
    first = shared_port(hosts[:1], options.port, CQL_PORT)
    taken = {first}
    addresses = [NodeAddress(hosts[0], first, free_port(hosts[:1], taken))]
    return addresses + [
        NodeAddress(host, free_port([host], taken), free_port([host], taken)) for host in hosts[1:]
    ]


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
    """Consecutive addresses of 127.0.0.0/8 on which nobody listens at the ports wanted."""
    ports = [options.port or CQL_PORT, STORAGE_PORT]
    for _ in range(100):
        prefix = f"127.{random.randint(16, 250)}.{random.randint(1, 250)}"
        hosts = [f"{prefix}.{number}" for number in range(1, options.nodes + 1)]
        if all(can_bind(host, port) for host in hosts for port in ports):
            return hosts
    raise ServerError("no free block of loopback addresses was found")


def can_bind(host: str, port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except OSError:
            return False
    return True


def shared_port(
    hosts: list[str], wanted: int | None, usual: int, taken: set[int] | None = None
) -> int:
    """One port that is free on all hosts: the wanted one, else the usual one, else any."""
    if wanted:
        busy = [host for host in hosts if not can_bind(host, wanted)]
        if busy:
            raise ServerError(f"port {wanted} on {busy[0]} is in use or not allowed")
        return wanted
    taken = set() if taken is None else taken
    if wanted is None and usual not in taken and all(can_bind(host, usual) for host in hosts):
        return usual
    return free_port(hosts, taken)


def free_port(hosts: list[str], taken: set[int]) -> int:
    """A port outside ``taken``, to which it is added, that is free on all hosts."""
    for port in random.sample(FREE_PORTS, k=200):
        if port not in taken and all(can_bind(host, port) for host in hosts):
            taken.add(port)
            return port
    raise ServerError(f"no free port was found on {hosts[0]}")
