"""Compare this library with its floor and with the plain driver: ``python -m benchmarks.compare``.

All clients talk to one real Cassandra, each from a process of its own. They take turns within every
round, so that what else the machine does meets all of them; ratios are of the same round, and what
is printed are medians over the rounds.

Uses the server that ``CASSANDRA_CONTACT_POINTS`` and ``CASSANDRA_PORT`` name, or else starts one.
"""

import argparse
import asyncio
import json
import os
import platform
import struct
import sys
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

from async_cassandra.server import CassandraServer
from async_cassandra.server.running import ExistingServer
from benchmarks.clients import CLIENTS
from benchmarks.floor import FloorConnection, execute_request
from benchmarks.worker import Measurement
from benchmarks.workload import (
    FILL,
    POINT_ROWS,
    SCAN_BUCKET_ROWS,
    SCAN_ROWS,
    SCHEMA,
    WRITE,
    encoded,
    row_of,
)

WORKLOADS = ("read", "write", "lone read", "scan")
FLOOR, LIBRARY, DRIVER = "floor", "async-cassandra", "cassandra-driver"
ROOT = Path(__file__).parents[1]
LOADS_IN_FLIGHT = 128

Measurements = Mapping[str, Mapping[str, Sequence[Measurement]]]


class Number(NamedTuple):
    """One column of the table: a number made of each measurement."""

    title: str
    workload: str
    of: Callable[[Measurement], float]
    format: str


def _cpu_us(measured: Measurement) -> float:
    return measured.cpu_seconds / measured.operations * 1e6


def _per_second(measured: Measurement) -> float:
    return measured.operations / measured.seconds


NUMBERS = (
    Number("reads/s", "read", _per_second, ",.0f"),
    Number("CPU µs per read", "read", _cpu_us, ".1f"),
    Number("writes/s", "write", _per_second, ",.0f"),
    Number("CPU µs per write", "write", _cpu_us, ".1f"),
    Number("p50 of one, ms", "lone read", lambda one: one.median_latency * 1e3, ".3f"),
    Number(
        "switches per read",
        "lone read",
        lambda one: one.context_switches / one.operations,
        ".2f",
    ),
    Number("scan rows/s", "scan", _per_second, ",.0f"),
    Number("CPU µs per row", "scan", _cpu_us, ".2f"),
)


class Worker:
    """The process of one client."""

    def __init__(self, client: str, process: asyncio.subprocess.Process) -> None:
        self.client = client
        self._process = process

    @classmethod
    async def start(cls, client: str, loop: str, host: str, port: int) -> "Worker":
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "benchmarks.worker", client, loop, host, str(port)),
            cwd=ROOT,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        worker = cls(client, process)
        await worker._answer()
        return worker

    async def measure(self, workload: str, seconds: float, concurrency: int) -> Measurement:
        order = {"workload": workload, "seconds": seconds, "concurrency": concurrency}
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        return Measurement(**json.loads(await self._answer()))

    async def _answer(self) -> bytes:
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        if not line:
            raise SystemExit(f"the process of {self.client} ended; its message is above")
        return line

    async def stop(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._process.wait()


@asynccontextmanager
async def cassandra(console: Console) -> AsyncIterator[tuple[str, int]]:
    """Yield host and port of the server to use."""
    if os.environ.get("CASSANDRA_CONTACT_POINTS"):
        existing = ExistingServer.from_environment(os.environ)
        yield existing.contact_points[0], existing.port
        return
    console.print("Starting a Cassandra …")
    async with CassandraServer(profile="steady", port=0, heap_mb=1024) as server:
        yield server.contact_points[0], server.port


async def fill(host: str, port: int) -> None:
    """Create the tables and fill them."""
    connection = await FloorConnection.open(host, port)
    for statement in SCHEMA:
        await connection.query(statement)
    point, wide = await connection.prepare(WRITE), await connection.prepare(FILL)
    requests = [execute_request(point, encoded(row_of(key))) for key in range(POINT_ROWS)]
    for key in range(SCAN_ROWS):
        bucket = struct.pack(">i", key // SCAN_BUCKET_ROWS)
        requests.append(execute_request(wide, [*encoded(row_of(key)), bucket]))
    for start in range(0, len(requests), LOADS_IN_FLIGHT):
        await asyncio.gather(*map(connection.send, requests[start : start + LOADS_IN_FLIGHT]))
    connection.close()


async def run_rounds(
    workers: Sequence[Worker], arguments: argparse.Namespace, console: Console
) -> Measurements:
    """Let the workers take turns; the first round is for warming up and does not count."""
    results: dict[str, dict[str, list[Measurement]]] = {
        worker.client: defaultdict(list) for worker in workers
    }
    for number in range(arguments.rounds + 1):
        console.print(f"  round {number} of {arguments.rounds}" if number else "  warming up")
        for workload in WORKLOADS:
            first = number % len(workers)
            for worker in (*workers[first:], *workers[:first]):
                measured = await worker.measure(workload, arguments.seconds, arguments.concurrency)
                if number:
                    results[worker.client][workload].append(measured)
    return results


def median_of(results: Measurements, client: str, number: Number) -> float:
    return median(map(number.of, results[client][number.workload]))


def ratio(results: Measurements, client: str, to: str, number: Number) -> float:
    """Return the median of the ratios between two clients in the same round."""
    pairs = zip(results[client][number.workload], results[to][number.workload], strict=True)
    return median(number.of(one) / number.of(other) for one, other in pairs)


def table_of(results: Measurements, loop: str, concurrency: int) -> Table:
    table = Table(title=f"{loop}, {concurrency} in flight, medians")
    table.add_column()
    for client in results:
        table.add_column(client, justify="right")
    for number in NUMBERS:
        cells = (format(median_of(results, client, number), number.format) for client in results)
        table.add_row(number.title, *cells)
    return table


def targets_of(results: Measurements) -> dict[str, tuple[float, float]]:
    """Return each number that has a target, measured and wanted at most."""
    by_title = {number.title: number for number in NUMBERS}
    targets: dict[str, tuple[float, float]] = {}
    if LIBRARY not in results:
        return targets
    switches = median_of(results, LIBRARY, by_title["switches per read"])
    targets["context switches per lone read"] = (switches, 1.2)
    if FLOOR in results:
        read = ratio(results, LIBRARY, FLOOR, by_title["CPU µs per read"])
        targets["CPU per read, of the floor's"] = (read, 1.6)
    if DRIVER in results:
        row = ratio(results, LIBRARY, DRIVER, by_title["CPU µs per row"])
        targets["CPU per scanned row, of the driver's"] = (row, 1 / 3)
    return targets


def show(results: Measurements, loop: str, concurrency: int, console: Console) -> None:
    console.print(table_of(results, loop, concurrency))
    for name, (measured, wanted) in targets_of(results).items():
        verdict = "[green]met[/]" if measured <= wanted else "[red]missed[/]"
        console.print(f"  {name}: {measured:.2f}, target {wanted:.2f}: {verdict}")


def as_json(results: Mapping[str, Measurements], arguments: argparse.Namespace) -> str:
    """Return every measurement and what it was measured on."""
    report = {
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPUs",
        "rounds": arguments.rounds,
        "seconds": arguments.seconds,
        "concurrency": arguments.concurrency,
        "loops": {
            loop: {
                "targets": {
                    name: {"measured": measured, "at_most": wanted}
                    for name, (measured, wanted) in targets_of(clients).items()
                },
                "medians": {
                    client: {number.title: median_of(clients, client, number) for number in NUMBERS}
                    for client in clients
                },
                "measurements": {
                    client: {workload: list(map(asdict, all_)) for workload, all_ in done.items()}
                    for client, done in clients.items()
                },
            }
            for loop, clients in results.items()
        },
    }
    return json.dumps(report, indent=2)


async def compare(arguments: argparse.Namespace) -> None:
    console = Console()
    results: dict[str, Measurements] = {}
    async with cassandra(console) as (host, port):
        console.print(f"Filling {POINT_ROWS + SCAN_ROWS:,} rows at {host}:{port} …")
        await fill(host, port)
        for loop in arguments.loops:
            console.print(f"{loop}:")
            async with AsyncExitStack() as stack:
                workers = []
                for client in arguments.clients:
                    worker = await Worker.start(client, loop, host, port)
                    stack.push_async_callback(worker.stop)
                    workers.append(worker)
                results[loop] = await run_rounds(workers, arguments, console)
            show(results[loop], loop, arguments.concurrency, console)
    if arguments.json is not None:
        arguments.json.write_text(as_json(results, arguments))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5, help="default %(default)s")
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement")
    parser.add_argument("--concurrency", type=int, default=128, help="requests in flight")
    parser.add_argument("--clients", nargs="+", choices=CLIENTS, default=[FLOOR, LIBRARY, DRIVER])
    loops = ["asyncio", "uvloop"]
    parser.add_argument("--loops", nargs="+", choices=loops, default=loops)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every measurement there")
    asyncio.run(compare(parser.parse_args()))


if __name__ == "__main__":
    main()
