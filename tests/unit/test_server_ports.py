"""Which addresses and ports servers get, also those that start at the same moment."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from async_cassandra.server import ServerError
from async_cassandra.server.addresses import (
    NodeAddress,
    choose_addresses,
    describe_busy_ports,
    keep_addresses,
)
from async_cassandra.server.options import ServerOptions
from async_cassandra.server.ports import HeldPorts

HOST = "127.0.0.1"
HOLDER = f"""
import os, signal, sys
from async_cassandra.server.ports import HeldPorts
held = HeldPorts()
port = held.take_any(["{HOST}"])
if os.fork() == 0:
    print(port, flush=True)
    sys.stdin.read()
    os._exit(0)
signal.pause()
"""

on_linux = pytest.mark.skipif(
    sys.platform != "linux", reason="elsewhere there is one loopback address"
)


@pytest.fixture
def ports() -> Iterator[HeldPorts]:
    held = HeldPorts()
    yield held
    held.release()


@pytest.fixture
def other_ports() -> Iterator[HeldPorts]:
    """Those of another server."""
    held = HeldPorts()
    yield held
    held.release()


@on_linux
def test_nodes_have_consecutive_addresses_and_one_port(ports: HeldPorts) -> None:
    options = ServerOptions(nodes=3, address="127.0.3.201", port=0)
    addresses = choose_addresses(options, ports)
    assert [node.host for node in addresses] == ["127.0.3.201", "127.0.3.202", "127.0.3.203"]
    assert len({node.port for node in addresses}) == 1
    assert addresses[0].port != addresses[0].storage_port


def test_taken_port_is_refused_when_asked_for_and_avoided_when_not(ports: HeldPorts) -> None:
    with socket.create_server((HOST, 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(ServerError, match=r"in use .* the option port"):
            choose_addresses(ServerOptions(port=port), ports)
        assert choose_addresses(ServerOptions(port=0), ports)[0].port != port


@pytest.mark.parametrize("address", ["192.0.2.1", "::1", "localhost", "127.0.0.0.1"])
def test_address_must_be_a_loopback_address(address: str, ports: HeldPorts) -> None:
    with pytest.raises(ServerError):
        choose_addresses(ServerOptions(address=address), ports)


def test_servers_that_start_together_have_different_ports(
    ports: HeldPorts, other_ports: HeldPorts
) -> None:
    first = choose_addresses(ServerOptions(), ports)[0]
    second = choose_addresses(ServerOptions(), other_ports)[0]
    assert len({first.port, first.storage_port, second.port, second.storage_port}) == 4
    with pytest.raises(ServerError, match="in use"):
        choose_addresses(ServerOptions(port=first.port), other_ports)
    ports.release()
    assert choose_addresses(ServerOptions(port=first.port), other_ports)[0].port == first.port


def test_ports_are_held_until_their_process_ends_whatever_it_forked(ports: HeldPorts) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        port = int(holder.stdout.readline())
        assert not ports.take([HOST], port)
        holder.kill()
        holder.wait()
        assert ports.take([HOST], port)


@on_linux
def test_port_on_several_hosts_is_taken_on_all_or_none(
    ports: HeldPorts, other_ports: HeldPorts
) -> None:
    port = other_ports.take_any([HOST, "127.0.0.2"])
    other_ports.release()
    assert other_ports.take(["127.0.0.2"], port)
    assert not ports.take([HOST, "127.0.0.2"], port)
    assert other_ports.take([HOST], port)


def test_kept_nodes_stay_where_they_were_but_for_a_lone_ones_storage_port(
    ports: HeldPorts, other_ports: HeldPorts
) -> None:
    kept = choose_addresses(ServerOptions(port=0), ports)
    ports.release()
    assert keep_addresses(kept, ports) == kept
    ports.release()
    other_ports.take([HOST], kept[0].storage_port)
    moved = keep_addresses(kept, ports)
    assert moved[0].port == kept[0].port
    assert moved[0].storage_port != kept[0].storage_port
    with pytest.raises(ServerError, match=f"port {kept[0].port} on {HOST} is in use"):
        keep_addresses(kept, other_ports)


def test_ended_node_tells_which_of_its_ports_others_have() -> None:
    with socket.create_server((HOST, 0)) as listener:
        address = NodeAddress(HOST, listener.getsockname()[1], 0)
        told = describe_busy_ports(address)
    assert told.startswith(f"Port {address.port} on {HOST} is in use; the option port")
    assert describe_busy_ports(address) == ""
