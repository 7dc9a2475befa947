"""One client in a process of its own, measured as the lines of its standard input say.

Each line in is a JSON object ``{"workload": …, "seconds": …, "concurrency": …}``, each line out the
measurement.
"""

import asyncio
import json
import resource
import sys
from dataclasses import asdict, dataclass
from statistics import median
from time import perf_counter

from benchmarks.clients import CLIENTS, Client
from benchmarks.workload import keys

__all__ = ["Measurement"]


@dataclass(frozen=True, slots=True)
class Measurement:
    """What a client did in one round.

    :ivar operations: requests, or rows of a scan
    :ivar cpu_seconds: user and system time of the whole process
    :ivar context_switches: voluntary and involuntary ones of all threads
    :ivar median_latency: seconds, of a lone read; 0 in other workloads
    """

    operations: int
    seconds: float
    cpu_seconds: float
    context_switches: int
    median_latency: float = 0.0


def _used() -> tuple[float, int]:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime, usage.ru_nvcsw + usage.ru_nivcsw


async def _repeat(client: Client, operation: str, seconds: float, concurrency: int) -> int:
    """Keep so many operations in flight for a time; return how many were done."""
    work = getattr(client, operation)
    sequence = keys()
    deadline = perf_counter() + seconds

    async def one_after_the_other() -> int:
        count = 0
        while perf_counter() < deadline:
            await work(next(sequence))
            count += 1
        return count

    return sum(await asyncio.gather(*(one_after_the_other() for _ in range(concurrency))))


async def _read_alone(client: Client, seconds: float) -> list[float]:
    latencies = []
    sequence = keys()
    deadline = perf_counter() + seconds
    while (started := perf_counter()) < deadline:
        await client.read(next(sequence))
        latencies.append(perf_counter() - started)
    return latencies


async def measure(client: Client, workload: str, seconds: float, concurrency: int) -> Measurement:
    """Run one workload: ``read``, ``write``, ``lone read`` or ``scan``."""
    latency = 0.0
    cpu, switches = _used()
    started = perf_counter()
    if workload == "scan":
        operations = await client.scan()
    elif workload == "lone read":
        latencies = await _read_alone(client, seconds)
        operations = len(latencies)
    else:
        operations = await _repeat(client, workload, seconds, concurrency)
    elapsed = perf_counter() - started
    cpu_now, switches_now = _used()
    if workload == "lone read":
        latency = median(latencies)
    return Measurement(operations, elapsed, cpu_now - cpu, switches_now - switches, latency)


async def serve(name: str, host: str, port: int) -> None:
    """Connect, then obey the lines of standard input until it ends."""
    client = CLIENTS[name]()
    await client.open(host, port)
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(lines), sys.stdin
    )
    print(json.dumps({"ready": name}), flush=True)
    while line := await lines.readline():
        order = json.loads(line)
        result = await measure(client, order["workload"], order["seconds"], order["concurrency"])
        print(json.dumps(asdict(result)), flush=True)
    await client.close()


def main() -> None:
    name, loop, host, port = sys.argv[1:]
    if loop == "uvloop":
        import uvloop

        uvloop.run(serve(name, host, int(port)))
    else:
        asyncio.run(serve(name, host, int(port)))


if __name__ == "__main__":
    main()
