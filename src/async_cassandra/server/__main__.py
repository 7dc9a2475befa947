"""``python -m async_cassandra.server``: start, stop and watch a Cassandra on this machine."""

from __future__ import annotations

import argparse
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from async_cassandra.server.cassandra_server import SUPERUSER, CassandraServer
from async_cassandra.server.data_folder import DataFolder
from async_cassandra.server.distribution import DEFAULT_VERSION, check_platform, get_distribution
from async_cassandra.server.errors import ServerError
from async_cassandra.server.options import MAX_NODES, parse_heap, parse_setting
from async_cassandra.server.state import (
    ServerRecord,
    default_data_folder,
    read_record,
    running_pid,
)

NOT_RUNNING = 3
INTERRUPTED = 130
POLL_INTERVAL = 0.1
STOP_TIMEOUT = 60.0
OUTPUT_NAME = "server.log"


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m async_cassandra.server",
        description="A real Cassandra 5 on this machine, without Docker, Java or Maven installed.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    run = commands.add_parser("run", help="run in the foreground until Ctrl-C")
    run.add_argument("--data", type=Path, metavar="DIR", help="keep the data in DIR")
    run.set_defaults(function=run_server)
    start = commands.add_parser("start", help="start in the background")
    start.set_defaults(function=start_server)
    stop = commands.add_parser("stop", help="stop the server in the background")
    stop.set_defaults(function=stop_server)
    status = commands.add_parser("status", help="tell whether it runs, where, and where it logs")
    status.set_defaults(function=show_status)
    for command in (start, stop, status):
        command.add_argument(
            "--data",
            type=Path,
            metavar="DIR",
            default=default_data_folder(),
            help="data folder (default %(default)s)",
        )
    for command in (run, start):
        command.add_argument(
            "--temporary",
            action="store_true",
            help="delete at the end what the server made in the data folder",
        )
        add_server_options(command)
    return parser


def add_server_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--nodes", type=int, default=1, choices=range(1, MAX_NODES + 1), help="default 1")
    add("--address", help="loopback address of the first node; the others get the next ones")
    add("--port", type=int, help="CQL port; 0 picks a free one (default 9042 if it is free)")
    add("--heap", default="640M", help="Java heap of each node, such as 640M or 1G (default 640M)")
    add("--auth", action="store_true", help=f"ask for a password: {SUPERUSER}, {SUPERUSER}")
    add("--tls", action="store_true", help="speak TLS only, with a certificate made for it")
    add("--version", default=DEFAULT_VERSION, help="of Cassandra (default %(default)s)")
    add("--profile", default="test", choices=("test", "steady"), help="quick start, or speed later")
    add(
        "--config",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a setting of cassandra.yaml; may be given several times",
    )
    add("--start-timeout", type=float, default=180.0, metavar="SECONDS", help="default 180")


def make_server(arguments: argparse.Namespace) -> CassandraServer:
    return CassandraServer(
        nodes=arguments.nodes,
        address=arguments.address,
        port=arguments.port,
        heap_mb=parse_heap(arguments.heap),
        auth=arguments.auth,
        tls=arguments.tls,
        data=arguments.data,
        temporary=arguments.temporary,
        version=arguments.version,
        profile=arguments.profile,
        config=dict(parse_setting(text) for text in arguments.config),
        start_timeout=arguments.start_timeout,
    )


def run_server(arguments: argparse.Namespace) -> int:
    """Run a server until a signal comes or its last node has ended."""
    signal.signal(signal.SIGTERM, interrupt)
    signal.signal(signal.SIGHUP, interrupt)
    with make_server(arguments) as server:
        describe(server)
        print(f"ready at {server.nodes[0].address}:{server.port}", flush=True)
        code = watch(server)
    print("stopped", flush=True)
    return code


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def describe(server: CassandraServer) -> None:
    print(f"Cassandra {server.options.version}, data in {server.data}")
    for node in server.nodes:
        print(f"node {node.index + 1} at {node.address}:{node.port}, log {node.log}")
    if server.username is not None:
        print(f"user {server.username}, password {server.password}")
    if server.ca_path is not None:
        print(f"TLS, certificate authority {server.ca_path}")


def watch(server: CassandraServer) -> int:
    """Report nodes that end unasked; return 0 after a signal, 1 when no node is left."""
    alive = list(server.nodes)
    try:
        while alive:
            time.sleep(POLL_INTERVAL)
            for node in [node for node in alive if node.pid is None]:
                alive.remove(node)
                print(
                    f"node {node.index + 1} ended with {node.returncode}, log {node.log}",
                    file=sys.stderr,
                    flush=True,
                )
    except KeyboardInterrupt:
        return 0
    return 1


def start_server(arguments: argparse.Namespace) -> int:
    """Start a server in the background and return when it is ready."""
    data = arguments.data = arguments.data.expanduser().absolute()
    make_server(arguments)
    if running_pid(data) is not None:
        print(f"a server runs already in {data}; its options are left as they are")
        return 0
    get_distribution(arguments.version)
    folder = DataFolder.hold(data, temporary=arguments.temporary)
    try:
        output = folder.entry(OUTPUT_NAME)
        log = output.open("w")
    finally:
        folder.release()
    with log:
        process = spawn_background(arguments, log)
    try:
        ready = wait_for_background(data, process)
    except KeyboardInterrupt:
        process.terminate()
        process.wait()
        raise
    sys.stdout.write(output.read_text()) if ready else sys.stderr.write(output.read_text())
    return 0 if ready else 1


def spawn_background(arguments: argparse.Namespace, log: IO[str]) -> subprocess.Popen[bytes]:
    """Run this command's ``run`` with the same options in a session of its own."""
    command = [sys.executable, "-m", "async_cassandra.server", "run", "--data", arguments.data]
    for name in ("nodes", "address", "port", "heap", "version", "profile", "start_timeout"):
        value = getattr(arguments, name)
        if value is not None:
            command += [f"--{name.replace('_', '-')}", str(value)]
    command += [f"--{name}" for name in ("auth", "tls", "temporary") if getattr(arguments, name)]
    for setting in arguments.config:
        command += ["--config", setting]
    return subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
    )


def wait_for_background(data: Path, process: subprocess.Popen[bytes]) -> bool:
    """Wait until the server in the background is ready, or has given up."""
    while process.poll() is None:
        record = read_record(data)
        if record is not None and record.pid == process.pid:
            process.returncode = 0  # it lives on: it is not this process's to wait for
            return True
        time.sleep(POLL_INTERVAL)
    return False


def stop_server(arguments: argparse.Namespace) -> int:
    """Stop the server of a data folder and return when it is gone."""
    data = arguments.data.expanduser().absolute()
    pid = running_pid(data)
    if pid is None:
        print(f"no server runs in {data}")
        return 0
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_TIMEOUT
    while running_pid(data) == pid:
        if time.monotonic() > deadline:
            os.kill(pid, signal.SIGKILL)
        time.sleep(POLL_INTERVAL)
    print("stopped")
    return 0


def show_status(arguments: argparse.Namespace) -> int:
    """Print what runs in a data folder; 0 if it is ready, 3 if not."""
    data = arguments.data.expanduser().absolute()
    pid = running_pid(data)
    if pid is None:
        print(f"no server runs in {data}")
        return NOT_RUNNING
    record = read_record(data)
    if record is None or record.pid != pid:
        print(f"starting, process {pid}, output in {data / OUTPUT_NAME}")
        return NOT_RUNNING
    return show_record(record, data)


def show_record(record: ServerRecord, data: Path) -> int:
    print(f"Cassandra {record.version}, process {record.pid}, data in {data}")
    answering = 0
    for number, node in enumerate(record.nodes, start=1):
        answers = answers_at(node.address.host, node.address.port)
        answering += answers
        state = "up" if answers else "down"
        print(f"node {number} at {node.address.host}:{node.address.port} {state}, log {node.log}")
    if record.auth:
        print(f"user {SUPERUSER}, password {SUPERUSER}")
    if record.ca_path is not None:
        print(f"TLS, certificate authority {record.ca_path}")
    return 0 if answering else NOT_RUNNING


def answers_at(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=2.0).close()
    except OSError:
        return False
    return True


def main(words: Sequence[str] | None = None) -> int:
    """Run one command; return its exit status."""
    arguments = build_parser().parse_args(words)
    try:
        check_platform()
        code: int = arguments.function(arguments)
    except ServerError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED
    return code


if __name__ == "__main__":
    sys.exit(main())
