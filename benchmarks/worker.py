"""One client in a process of its own, obeying the lines of its standard input.

Each line in is a JSON object, each line out the answer to it; ``runner`` is at the other end. An
exception of a client is an answer too. Only the standard library and the client's own library are
imported here.
"""

import asyncio
import json
import os
import sys
import traceback
from dataclasses import asdict
from typing import Any

from benchmarks.clients import ENTRANTS
from benchmarks.clients.base import Client, Server
from benchmarks.data import STATEMENTS
from benchmarks.measure import Load
from benchmarks.workloads import WORKLOADS

OPERATION_SECONDS = 20.0


class Worker:
    """A client and the loads it has made ready."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._siblings: list[Client] = []
        self._loads: dict[str, Load] = {}

    async def _load(self, name: str) -> Load:
        if name in self._loads:
            return self._loads[name]
        workload = WORKLOADS[name]
        await self._client.prepare(STATEMENTS[workload.statement])
        clients = [self._client]
        if workload.sessions > 1:
            self._siblings = [await self._client.sibling() for _ in range(workload.sessions - 1)]
            for sibling in self._siblings:
                await sibling.prepare(STATEMENTS[workload.statement])
            clients += self._siblings
        load = self._loads[name] = Load(workload, clients)
        return load

    async def obey(self, order: dict[str, Any]) -> dict[str, Any]:
        """Do what one line says: verify, measure, or send the requests of given keys.

        Loads with many sessions are closed again, so that they disturb no other workload.
        """
        name = order["workload"]
        load = await self._load(name)
        try:
            async with asyncio.timeout(order.get("seconds", 0) + OPERATION_SECONDS):
                if order["do"] == "verify":
                    digest = await load.verify()
                    return {"digest": str(digest) if self._client.decodes else None}
                if order["do"] == "send":
                    await load.send(order["keys"])
                    return {"sent": len(order["keys"])}
                return asdict(await load.measure(order["seconds"]))
        finally:
            if load.workload.sessions > 1:
                await self._close_siblings(name)

    async def _close_siblings(self, name: str) -> None:
        del self._loads[name]
        for sibling in self._siblings:
            await sibling.close()
        self._siblings = []


async def serve(name: str, server: Server) -> None:
    """Connect, then obey the lines of standard input until it ends."""
    client = ENTRANTS[name].load()()
    async with asyncio.timeout(OPERATION_SECONDS):
        await client.open(server)
    lines = asyncio.StreamReader(limit=2**24)
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(lines), sys.stdin
    )
    answer({"ready": name})
    worker = Worker(client)
    while line := await lines.readline():
        try:
            answer(await worker.obey(json.loads(line)))
        except Exception as error:  # noqa: BLE001 - whatever a client raises is its result
            traceback.print_exc()
            answer({"error": describe(error)})
    # Some clients' threads hang in their shutdown, and nothing is left to be saved.
    os._exit(0)


def describe(error: BaseException) -> str:
    text = str(error).strip().partition("\n")[0]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def answer(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def main() -> None:
    name, loop, server = sys.argv[1:]
    coroutine = serve(name, Server(**json.loads(server)))
    try:
        if loop == "uvloop":
            import uvloop

            uvloop.run(coroutine)
        else:
            asyncio.run(coroutine)
    except Exception as error:  # noqa: BLE001 - the runner shows it
        traceback.print_exc()
        answer({"error": describe(error)})
        os._exit(1)


if __name__ == "__main__":
    main()
