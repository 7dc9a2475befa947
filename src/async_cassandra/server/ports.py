"""Finds free ports, and holds them against other servers until Cassandra listens there."""

from __future__ import annotations

import os
import random
import socket
import weakref
from collections.abc import Sequence

from async_cassandra.server.errors import ServerError

# Below the range from which Linux and macOS take the ports of outgoing connections: one that is
# free now is still free when Java binds it, seconds later.
FREE_PORTS = range(20_000, 32_000)

_holders: weakref.WeakSet[socket.socket] = weakref.WeakSet()


class HeldPorts:
    """The TCP ports of one server, held against every other server of this machine.

    A port is held by binding the UDP port of the same number, for which Cassandra has no use: two
    processes cannot both have it, and the system frees it however its process ends.
    """

    def __init__(self) -> None:
        self._holders: list[socket.socket] = []

    def take(self, hosts: Sequence[str], port: int) -> bool:
        """Hold a port on all hosts; return False and hold none if one of them is not free."""
        holders: list[socket.socket] = []
        for host in hosts:
            if (holder := hold_port(host, port)) is not None:
                holders.append(holder)
            if holder is None or not can_bind(host, port):
                release(holders)
                return False
        self._holders += holders
        return True

    def take_any(self, hosts: Sequence[str]) -> int:
        """Hold some port that is free on all hosts, and return it.

        :raises ~async_cassandra.server.ServerError: if none is found
        """
        for port in random.sample(FREE_PORTS, k=200):
            if self.take(hosts, port):
                return port
        raise ServerError(f"no free port was found on {hosts[0]}")

    def release(self) -> None:
        release(self._holders)
        self._holders = []


def hold_port(host: str, port: int) -> socket.socket | None:
    """Hold a port for this process; return None if a process holds it, this one included."""
    holder = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        holder.bind((host, port))
    except OSError:
        holder.close()
        return None
    _holders.add(holder)
    return holder


def release(holders: Sequence[socket.socket]) -> None:
    for holder in holders:
        holder.close()


def can_bind(host: str, port: int) -> bool:
    """Whether a server could listen there now; with port 0, whether it could on any port."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except OSError:
            return False
    return True


# A forked process must not hold the ports of a server that it does not own.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=lambda: release(list(_holders)))
