"""Count the instructions that one request takes: a figure without noise, needs valgrind.

usage: python -m benchmarks.instructions

The client's process runs twice, with fewer and with more requests; the difference is what they
took, in Python, the compiled core and the C library. Nothing outside the process has a say in it
(benchmarks/replay.py). On asyncio's own loop.
"""

import asyncio
import json
import re
import shutil
import sys
from dataclasses import asdict
from typing import Final

from async_cassandra.server import ServerError
from benchmarks.clients import ENTRANTS, FLOOR, LIBRARY
from benchmarks.clients.base import Server
from benchmarks.environments import ROOT, make_environment, variables
from benchmarks.servers import running_server

__all__ = ["CountError", "counted", "per_request", "requests_of"]

LOADS: Final = (1, 128, 8192)
FEWER: Final = 1_280

_COUNT: Final = re.compile(r"I +refs: +([\d,]+)")
_VALGRIND: Final = (
    "valgrind",
    "--tool=cachegrind",
    "--cache-sim=no",
    "--cachegrind-out-file=/dev/null",
)


class CountError(Exception):
    """The instructions were not counted; the message says why."""


def counted(report: str) -> int:
    """Return the instructions that cachegrind reports.

    :raises CountError: if it reports none
    """
    found = _COUNT.search(report)
    if found is None:
        raise CountError(report.strip()[-500:] or "valgrind said nothing")
    return int(found[1].replace(",", ""))


def requests_of(in_flight: int) -> tuple[int, int]:
    """Return how many requests the two processes send."""
    fewer = max(FEWER, 2 * in_flight)
    return fewer, fewer + max(4 * FEWER, 4 * in_flight)


def per_request(in_flight: int, before: int, after: int) -> float:
    """Return what one request took, from the instructions of the two processes."""
    fewer, more = requests_of(in_flight)
    return (after - before) / (more - fewer)


async def _count(client: str, in_flight: int, requests: int, server: Server) -> int:
    python = await make_environment(ENTRANTS[client])
    process = await asyncio.create_subprocess_exec(
        *_VALGRIND,
        str(python),
        *("-m", "benchmarks.replay", client, str(in_flight), str(requests)),
        json.dumps(asdict(server)),
        cwd=ROOT,
        env=variables(),
        stderr=asyncio.subprocess.PIPE,
    )
    _, report = await process.communicate()
    return counted(report.decode(errors="replace"))


async def run() -> None:
    print(f"{'instructions a request':24} {'in flight':>10} {'':>10} {'of floor':>9}")
    async with running_server(1, {"point"}, lambda text: print(text, file=sys.stderr)) as server:
        for in_flight in LOADS:
            floor = 0.0
            for client in (FLOOR, LIBRARY):
                before, after = [
                    await _count(client, in_flight, count, server)
                    for count in requests_of(in_flight)
                ]
                figure = per_request(in_flight, before, after)
                floor = floor or figure
                print(f"{client:24} {in_flight:10} {figure:10,.0f} {figure / floor:9.2f}")


def main() -> int:
    if shutil.which("valgrind") is None:
        print("valgrind is missing: it counts the instructions", file=sys.stderr)
        return 2
    try:
        asyncio.run(run())
    except (CountError, ServerError) as error:
        print(f"Nothing counted: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
