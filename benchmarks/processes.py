"""The process of one client, seen from the runner."""

import asyncio
import contextlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.clients import Entrant
from benchmarks.clients.base import Server
from benchmarks.environments import BUILD, ROOT, variables

__all__ = ["ClientError", "ClientProcess"]

ANSWER_SECONDS = 60.0
LINE_BYTES = 2**24


class ClientError(Exception):
    """A client failed; the message is its error."""


class ClientProcess:
    """A worker that runs one client on one loop.

    What it writes to its standard error goes to a file under ``build/bench/logs``.
    """

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def start(
        cls, entrant: Entrant, loop: str, server: Server, python: Path
    ) -> "ClientProcess":
        """Start the process and wait until its client is connected.

        :raises ClientError: if it cannot connect
        """
        logs = BUILD / "logs"
        logs.mkdir(parents=True, exist_ok=True)
        with (logs / f"{entrant.name}-{loop}.log").open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                str(python),
                *("-m", "benchmarks.worker", entrant.name, loop, json.dumps(asdict(server))),
                cwd=ROOT,
                env=variables(),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                limit=LINE_BYTES,
            )
        client = cls(process)
        try:
            await client._answer(ANSWER_SECONDS)
        except BaseException:
            await client.stop()
            raise
        return client

    async def ask(self, seconds: float = 0.0, **order: Any) -> dict[str, Any]:
        """Send an order and return the answer.

        :param seconds: how long the work is meant to take
        :raises ClientError: if the client failed, ended or did not answer in time
        """
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order | {"seconds": seconds}).encode() + b"\n")
        return await self._answer(seconds + ANSWER_SECONDS)

    async def _answer(self, seconds: float) -> dict[str, Any]:
        assert self._process.stdout is not None
        try:
            async with asyncio.timeout(seconds):
                line = await self._process.stdout.readline()
        except TimeoutError:
            await self.stop()
            raise ClientError(f"no answer within {seconds:.0f} s") from None
        if not line:
            status = await self._process.wait()
            raise ClientError(f"the process ended with status {status}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise ClientError(answer["error"])
        return answer

    async def repeat(self, seconds: float, workload: str) -> None:
        """Keep the client at a workload for a time, however short one measurement is.

        :raises ClientError: as :meth:`ask`
        """
        end = asyncio.get_running_loop().time() + seconds
        while (left := end - asyncio.get_running_loop().time()) > 0:
            await self.ask(left, do="measure", workload=workload)

    @property
    def pid(self) -> int:
        return self._process.pid

    async def stop(self) -> None:
        """Let the process end, within a second, or end it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        for end in (None, self._process.kill):
            with contextlib.suppress(ProcessLookupError, TimeoutError):
                if end is not None:
                    end()
                async with asyncio.timeout(1):
                    await self._process.wait()
                return
