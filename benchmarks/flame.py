"""A flame graph of this library under one workload, with the frames of Python and of C.

usage: python -m benchmarks.flame [--workload read-128] [--client async-cassandra] [--seconds 8]

py-spy samples the client's process from outside, which needs the permission to trace it (root, or
``kernel.yama.ptrace_scope`` 0 on Linux). Writes ``build/bench/profile-WORKLOAD-CLIENT.svg`` and names the
functions in which most of the time went.
"""

import argparse
import asyncio
import sys
from collections import Counter
from pathlib import Path
from typing import Final

from async_cassandra.server import ServerError
from benchmarks.clients import ENTRANTS, LIBRARY, LOOPS, Entrant
from benchmarks.data import STATEMENTS
from benchmarks.environments import BUILD, InstallError, make_environment
from benchmarks.processes import ClientError, ClientProcess
from benchmarks.servers import running_server
from benchmarks.workloads import WORKLOADS

__all__ = ["leaves"]

SPY: Final = Entrant("py-spy", "", "profile")
RATE: Final = 400
SHOWN: Final = 25


class ProfileError(Exception):
    """py-spy recorded nothing; the message is its own."""


def leaves(stacks: str) -> list[tuple[str, float]]:
    """Return each function's share of the main thread's samples in which it was the innermost.

    Threads that only wait are sampled, too, and left out.

    :param stacks: a line each, the thread and the frames from the outside in with ``;`` between,
        and a count
    """
    found: Counter[str] = Counter()
    for line in stacks.splitlines():
        stack, _, count = line.rpartition(" ")
        thread, _, frames = stack.partition(";")
        if thread.endswith("MainThread"):
            found[frames.rpartition(";")[2]] += int(count)
    total = found.total() or 1
    return [(name, count / total) for name, count in found.most_common()]


async def _record(pid: int, kind: str, seconds: float, path: Path) -> None:
    spy = (await make_environment(SPY)).with_name("py-spy")
    process = await asyncio.create_subprocess_exec(
        str(spy),
        *("record", "--native", "--threads", "--pid", str(pid)),
        *("--rate", str(RATE), "--format", kind),
        *("--duration", f"{seconds:.0f}", "--output", str(path)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    if process.returncode:
        raise ProfileError(said.decode(errors="replace").strip())


async def _profile(arguments: argparse.Namespace) -> None:
    workload = WORKLOADS[arguments.workload]
    entrant, seconds = ENTRANTS[arguments.client], arguments.seconds
    python = await make_environment(entrant)
    await make_environment(SPY)
    picture = BUILD / f"profile-{workload.name}-{entrant.name}.svg"
    stacks = BUILD / f"profile-{workload.name}-{entrant.name}.txt"
    tables = {STATEMENTS[workload.statement].table.name}
    async with running_server(workload.nodes, tables, print) as server:
        client = await ClientProcess.start(entrant, arguments.loop, server, python)
        try:
            await client.ask(do="verify", workload=workload.name)
            for kind, path in (("flamegraph", picture), ("raw", stacks)):
                work = client.repeat(seconds, workload.name)
                await asyncio.gather(_record(client.pid, kind, seconds, path), work)
        finally:
            await client.stop()
    print(f"{workload.title}, {entrant.name} on {arguments.loop}: share of the main thread")
    for name, share in leaves(stacks.read_text())[:SHOWN]:
        print(f"{share:7.1%}  {name}")
    print(f"The flame graph is {picture}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--workload", choices=WORKLOADS, default="read-128", metavar="WORKLOAD")
    parser.add_argument("--client", choices=ENTRANTS, default=LIBRARY, metavar="CLIENT")
    parser.add_argument("--loop", choices=LOOPS, default=LOOPS[0])
    parser.add_argument("--seconds", type=float, default=8.0)
    try:
        asyncio.run(_profile(parser.parse_args()))
    except (ClientError, InstallError, ProfileError, ServerError) as error:
        print(f"No profile: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
