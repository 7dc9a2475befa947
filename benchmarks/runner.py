"""The order of things: environments, a server, then rounds in which the clients take turns."""

import asyncio
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.clients import ENTRANTS
from benchmarks.clients.base import Server
from benchmarks.data import STATEMENTS
from benchmarks.environments import InstallError, make_environment
from benchmarks.measure import Measurement
from benchmarks.processes import ClientError, ClientProcess
from benchmarks.results import Key, Results
from benchmarks.screen import Advance, Screen
from benchmarks.servers import coordinated, delete_new, running_server
from benchmarks.workloads import WORKLOADS, Workload

__all__ = ["Plan", "Runner", "turns"]

ROUTED_KEYS = 300


@dataclass(frozen=True)
class Plan:
    """What to run.

    :ivar rounds: that count; one for warming up comes before them
    :ivar seconds: of each slice, but a scan takes as long as it takes, 3 s at most
    """

    clients: Sequence[str]
    workloads: Sequence[str]
    loops: Sequence[str]
    rounds: int
    seconds: float

    @property
    def contestants(self) -> list[tuple[str, str]]:
        return [(client, loop) for client in self.clients for loop in self.loops]


def turns[T](contestants: Sequence[T], number: int, rounds: int) -> list[T]:
    """Return the order in a round: begins elsewhere each time, and every other round goes back.

    So everybody is early and late, and after as well as before everybody else.
    """
    first = number * max(len(contestants) // max(rounds, 1), 1) % len(contestants)
    order = [*contestants[first:], *contestants[:first]]
    return order[::-1] if number % 2 else order


class Runner:
    """One run; what went wrong with a client is part of the results."""

    def __init__(self, plan: Plan, results: Results, screen: Screen) -> None:
        self._plan = plan
        self._results = results
        self._screen = screen
        self._pythons: dict[str, Path | str] = {}
        self._processes: dict[tuple[str, str], ClientProcess] = {}

    async def run(self) -> None:
        """Measure all that has not been measured yet."""
        await self._make_environments()
        for nodes in (1, 3):
            workloads = [WORKLOADS[name] for name in self._plan.workloads]
            workloads = [each for each in workloads if each.nodes == nodes and self._is_open(each)]
            if workloads:
                tables = {STATEMENTS[each.statement].table.name for each in workloads}
                async with running_server(nodes, tables, self._screen.notice) as server:
                    await self._run_rounds(server, workloads)

    def _key(self, workload: Workload, contestant: tuple[str, str]) -> Key:
        return Key(workload.name, *contestant)

    def _is_open(self, workload: Workload) -> bool:
        return not all(
            self._results.has(self._key(workload, contestant), number)
            for contestant in self._plan.contestants
            for number in range(self._plan.rounds + 1)
        )

    async def _make_environments(self) -> None:
        for name in self._plan.clients:
            self._screen.notice(f"Environment of {name}")
            try:
                self._pythons[name] = await make_environment(ENTRANTS[name])
            except InstallError as error:
                self._pythons[name] = f"not installed: {error}"

    async def _run_rounds(self, server: Server, workloads: Sequence[Workload]) -> None:
        slices = len(workloads) * len(self._plan.contestants) * (self._plan.rounds + 1)
        with self._screen.progress(slices) as advance:
            for number in range(self._plan.rounds + 1):
                try:
                    await self._run_round(server, workloads, number, advance)
                finally:
                    # Where a process has its code and data is luck and makes a tenth of its CPU: each round draws anew.
                    await self._stop_all()

    async def _run_round(
        self, server: Server, workloads: Sequence[Workload], number: int, advance: Advance
    ) -> None:
        for workload in workloads:
            for contestant in turns(self._plan.contestants, number, self._plan.rounds):
                advance(f"{number or 'warming up'}: {workload.name}", contestant)
                await self._slice(server, workload, contestant, number)

    async def _slice(
        self, server: Server, workload: Workload, contestant: tuple[str, str], number: int
    ) -> None:
        key = self._key(workload, contestant)
        if self._results.has(key, number):
            return
        try:
            process = await self._process(server, contestant)
            if number == 0:
                self._results.begin(key)
                if workload.writes:
                    table = STATEMENTS[workload.statement].table
                    await asyncio.to_thread(delete_new, server, table)
                answer = await process.ask(do="verify", workload=workload.name)
                if answer["digest"] is not None:
                    self._results.verify(key, answer["digest"])
                if workload.nodes > 1:
                    self._results.route(key, await share_to_owner(server, process, workload.name))
            else:
                await self._warm_up(process, workload)
            answer = await process.ask(self._plan.seconds, do="measure", workload=workload.name)
        except ClientError as error:
            self._screen.notice(f"{key.client} on {key.loop} failed {key.workload}: {error}")
            self._results.fail(key, str(error))
            await self._forget(contestant)
        else:
            self._results.measure(key, number, Measurement(**answer))

    async def _warm_up(self, process: ClientProcess, workload: Workload) -> None:
        """Have a process do some of the work before it is measured: Python specializes its code by that."""
        if workload.operation == "scan":
            await process.ask(do="verify", workload=workload.name)
        else:
            await process.ask(self._plan.seconds / 4, do="measure", workload=workload.name)

    async def _process(self, server: Server, contestant: tuple[str, str]) -> ClientProcess:
        """Return the contestant's process of this round, started again if the last one ended."""
        if contestant not in self._processes:
            name, loop = contestant
            python = self._pythons[name]
            if isinstance(python, str):
                raise ClientError(python)
            self._processes[contestant] = await ClientProcess.start(
                ENTRANTS[name], loop, server, python
            )
        return self._processes[contestant]

    async def _forget(self, contestant: tuple[str, str]) -> None:
        """Give the contestant a new process: a failure may leave the old one with open requests."""
        process = self._processes.pop(contestant, None)
        if process is not None:
            await process.stop()

    async def _stop_all(self) -> None:
        stops: list[Awaitable[None]] = [process.stop() for process in self._processes.values()]
        self._processes.clear()
        await asyncio.gather(*stops)


async def share_to_owner(server: Server, process: ClientProcess, workload: str) -> float:
    """Return which share of the requests went straight to the node that has the row.

    The keys of one node after the other are asked for; the nodes tell how many of these reads they
    coordinated.
    """
    sent = hits = 0
    for node in range(len(server.contact_points)):
        keys = [key for key, owner in enumerate(server.owners) if owner == node][:ROUTED_KEYS]
        before = await asyncio.to_thread(coordinated, server)
        await process.ask(do="send", workload=workload, keys=keys)
        after = await asyncio.to_thread(coordinated, server)
        hits += after[node] - before[node]
        sent += len(keys)
    return hits / sent
