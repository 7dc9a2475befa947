"""What one workload costs one client, measured inside the client's process.

A closed loop: so many tasks each send a request, read every column of every row that it brings,
let the rows go and send the next. Only the standard library is imported here.
"""

import asyncio
import contextlib
import gc
import itertools
import resource
from array import array
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any, Final

from benchmarks.clients.base import Client
from benchmarks.data import BATCH_ROWS, FLIGHTS, STATEMENTS, new_keys, new_partitions
from benchmarks.digest import Digest
from benchmarks.workloads import READ_ROWS, SCAN_PAGE_ROWS, Workload

__all__ = ["LAG_INTERVAL", "Load", "Measurement", "WrongRowsError"]

LAG_INTERVAL: Final = 0.002
SCAN_SECONDS: Final = 3.0
VERIFIED_ROWS: Final = 25_000
VERIFIED_REQUESTS: Final = 500

type Operation = Callable[[Any], Awaitable[Any]]


class WrongRowsError(Exception):
    """A client returned other rows than there are."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """What a client did in one slice of time.

    :ivar operations: requests, or rows of a scan
    :ivar cpu_seconds: user and system time of all threads of the process
    :ivar voluntary_switches: context switches of all threads that had to wait for something
    :ivar involuntary_switches: those of all threads that could have gone on, but another got the core
    :ivar p50: latency in seconds, of a request or of a scan's page; p99 and p999 likewise
    :ivar lag_p99: how late a timer of 2 ms fired, in seconds; lag_p999 and lag_max likewise, all 0
        for lone requests, which a timer would disturb
    :ivar memory_growth: bytes by which the highest resident size was above the one before
    """

    operations: int
    seconds: float
    cpu_seconds: float
    voluntary_switches: int
    involuntary_switches: int
    p50: float
    p99: float
    p999: float
    lag_p99: float
    lag_p999: float
    lag_max: float
    memory_growth: int


def quantile(ordered: Sequence[float], share: float) -> float:
    """Return the value below which a share of the ordered values lies, 0 for none."""
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)] if ordered else 0.0


def use(rows: Sequence[Sequence[Any]]) -> None:
    """Read every column of every row."""
    for row in rows:
        tuple(row)


class _Memory:
    """The resident size of this process, where the system tells it, else nothing."""

    def __init__(self) -> None:
        gc.collect()
        self._before = 0
        with contextlib.suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")
            self._before = self._status("VmRSS")

    @staticmethod
    def _status(name: str) -> int:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith(name):
                return int(line.split()[1]) * 1024
        return 0

    def growth(self) -> int:
        return max(self._status("VmHWM") - self._before, 0) if self._before else 0


async def _probe(lags: "array[float]") -> None:
    while True:
        due = perf_counter() + LAG_INTERVAL
        await asyncio.sleep(LAG_INTERVAL)
        lags.append(perf_counter() - due)


class Load:
    """The requests of one workload, ready to be sent.

    :param clients: one for each of the workload's sessions, prepared
    """

    def __init__(self, workload: Workload, clients: Sequence[Client]) -> None:
        self.workload = workload
        self.clients = clients
        self._statement = STATEMENTS[workload.statement]
        self._latencies = array("d")
        keys = range(workload.keys)
        client = clients[0]
        self._requests: list[Any] = []
        if workload.operation == "batch":
            self._requests = [
                client.batch_request(
                    self._statement, range(key * BATCH_ROWS, (key + 1) * BATCH_ROWS)
                )
                for key in keys
            ]
        elif workload.operation != "scan":
            self._requests = [client.request(self._statement, key) for key in keys]

    async def measure(self, seconds: float) -> Measurement:
        """Keep the workload's requests in flight for a time, or scan for one of its own."""
        self._latencies = array("d")
        lags = array("d")
        memory = _Memory()
        probe = None if self.workload.is_lone else asyncio.create_task(_probe(lags))
        usage = resource.getrusage(resource.RUSAGE_SELF)
        started = perf_counter()
        operations = await self._run(started, seconds)
        elapsed = perf_counter() - started
        now = resource.getrusage(resource.RUSAGE_SELF)
        growth = memory.growth()
        if probe is not None:
            probe.cancel()
        return _summary(operations, elapsed, usage, now, self._latencies, lags, growth)

    async def _run(self, started: float, seconds: float) -> int:
        if self.workload.operation == "scan":
            return await self._scan(started + SCAN_SECONDS)
        deadline = started + seconds
        tasks = []
        for client in self.clients:
            operation = self._operation(client)
            requests = self._cycle()
            tasks += [
                asyncio.ensure_future(self._repeat(operation, requests, deadline))
                for _ in range(self.workload.in_flight)
            ]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
        return len(self._latencies)

    def _operation(self, client: Client) -> Operation:
        operation: Operation = getattr(client, self.workload.operation)
        return operation

    def _cycle(self) -> Iterator[Any]:
        """Yield all requests again and again, in an order without locality."""
        step = 7_919
        count = len(self._requests)
        return (self._requests[number * step % count] for number in itertools.count())

    async def _repeat(self, operation: Operation, requests: Iterator[Any], deadline: float) -> None:
        latencies = self._latencies
        has_rows = self.workload.operation != "batch"
        now = perf_counter()
        while now < deadline:
            started = now
            if has_rows:
                use(await operation(next(requests)))
            else:
                await operation(next(requests))
            now = perf_counter()
            latencies.append(now - started)

    async def _scan(self, deadline: float) -> int:
        """Read the whole table again and again, the last time only as far as the time allows."""
        rows = 0
        while perf_counter() < deadline:
            rows += await self._scan_once(deadline)
        return rows

    async def _scan_once(self, deadline: float) -> int:
        client = self.clients[0]
        count = 0
        page_end = SCAN_PAGE_ROWS
        started = perf_counter()
        async with contextlib.aclosing(client.scan(self._statement, SCAN_PAGE_ROWS)) as reading:  # type: ignore[type-var]
            async for rows in reading:
                if client.decodes:
                    await self._read(rows)
                count += len(rows)
                if count < page_end:
                    continue
                page_end += SCAN_PAGE_ROWS
                now = perf_counter()
                self._latencies.append(now - started)
                started = now
                if now > deadline:
                    return count
        if count != FLIGHTS:
            raise WrongRowsError(f"{count:,} rows of {FLIGHTS:,}")
        return count

    async def _read(self, rows: Sequence[Sequence[Any]]) -> None:
        """Read rows in portions, so that what keeps the loop from others is the client and not its reader."""
        for start in range(0, len(rows), READ_ROWS):
            if start:
                await asyncio.sleep(0)
            use(rows[start : start + READ_ROWS])

    async def verify(self) -> Digest:
        """Do a fixed part of the work once; return the digest of all values that came back.

        Rows that were written, which nobody wrote before, are read back.
        """
        digest = Digest()
        client = self.clients[0]
        if self.workload.operation != "scan":
            await self._each(range(min(VERIFIED_REQUESTS, len(self._requests))), digest)
            if self.workload.writes:
                await self._write_new(digest)
            return digest
        async with contextlib.aclosing(client.scan(self._statement, SCAN_PAGE_ROWS)) as reading:  # type: ignore[type-var]
            async for rows in reading:
                if client.decodes:
                    digest.add(itertools.islice(rows, VERIFIED_ROWS - digest.rows))
                if not client.decodes or digest.rows == VERIFIED_ROWS:
                    break
        return digest

    async def _write_new(self, digest: Digest) -> None:
        """Write rows that are not there, read them back."""
        client, statement = self.clients[0], self._statement
        read = STATEMENTS[f"read {statement.table.name}"]
        await client.prepare(read)
        keys = new_keys(statement.table)
        if self.workload.operation == "batch":
            await client.batch(client.batch_request(statement, keys))
        else:
            for key in keys:
                await client.write(client.request(statement, key))
        for key in new_partitions(statement.table):
            rows = await client.read(client.request(read, key))
            if client.decodes:
                digest.add(rows)

    async def send(self, keys: Sequence[int]) -> None:
        """Send the requests of these keys once."""
        await self._each(keys, None)

    async def _each(self, keys: Sequence[int], digest: Digest | None) -> None:
        """Send the requests of these keys once; the digest gets the rows that come back."""
        client = self.clients[0]
        operation = self._operation(client)
        has_rows = client.decodes and self.workload.operation != "batch"
        pending = iter(keys)

        async def work() -> None:
            for key in pending:
                rows = await operation(self._requests[key])
                if digest is not None and has_rows:
                    digest.add(rows)

        await asyncio.gather(*(work() for _ in range(min(self.workload.in_flight, 16))))


def _summary(
    operations: int,
    elapsed: float,
    before: resource.struct_rusage,
    after: resource.struct_rusage,
    latencies: "array[float]",
    lags: "array[float]",
    growth: int,
) -> Measurement:
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    ordered, lag = sorted(latencies), sorted(lags)
    return Measurement(
        operations=operations,
        seconds=elapsed,
        cpu_seconds=cpu,
        voluntary_switches=after.ru_nvcsw - before.ru_nvcsw,
        involuntary_switches=after.ru_nivcsw - before.ru_nivcsw,
        p50=quantile(ordered, 0.5),
        p99=quantile(ordered, 0.99),
        p999=quantile(ordered, 0.999),
        lag_p99=quantile(lag, 0.99),
        lag_p999=quantile(lag, 0.999),
        lag_max=quantile(lag, 1.0),
        memory_growth=growth,
    )
