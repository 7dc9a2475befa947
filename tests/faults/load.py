"""A counted, bounded load on a cluster, and what is known of each of its requests."""

from __future__ import annotations

import asyncio
import itertools
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import cassandra
from cassandra import ConsistencyLevel

from async_cassandra import AsyncCassandraSession, PreparedStatement
from async_cassandra.exceptions import OverloadedError

WORKERS = 64
PERIOD = 0.1
TIMEOUT = 2.0
SEEDED_ROWS = 64

TABLES = (
    "CREATE TABLE IF NOT EXISTS {}.items (id bigint PRIMARY KEY, value text)",
    "CREATE TABLE IF NOT EXISTS {}.counts (id int PRIMARY KEY, n counter)",
    "CREATE TABLE IF NOT EXISTS {}.appended (id int PRIMARY KEY, numbers list<bigint>)",
)


class Kind(Enum):
    """What a request of the load does."""

    READ = "read"
    WRITE = "idempotent write"
    COUNT = "counter increment"
    APPEND = "list append"

    @property
    def is_idempotent(self) -> bool:
        return self in (Kind.READ, Kind.WRITE)


IDEMPOTENT = (Kind.READ, Kind.WRITE)
EVERY_KIND = tuple(Kind)

_loads = itertools.count()


@dataclass(frozen=True, slots=True)
class Outcome:
    """One request: when it was planned and ended, in seconds since the load began."""

    kind: Kind
    worker: int
    number: int
    planned: float
    ended: float
    error: Exception | None

    @property
    def was_not_applied(self) -> bool:
        """Whether the error says that nothing was executed."""
        return isinstance(self.error, cassandra.Unavailable | OverloadedError)

    @property
    def may_be_applied(self) -> bool:
        """Whether the error says that it may have been executed."""
        unknown = cassandra.WriteTimeout | cassandra.WriteFailure
        return isinstance(self.error, unknown) or "may or may not have been" in str(self.error)


@dataclass(slots=True)
class Tally:
    """What became of a load."""

    planned: int
    period: float
    workers: int
    outcomes: list[Outcome] = field(default_factory=list)

    @property
    def failures(self) -> list[Outcome]:
        return [outcome for outcome in self.outcomes if outcome.error is not None]

    @property
    def idempotent_failures(self) -> list[str]:
        """What the failed idempotent requests said."""
        return [
            f"{outcome.planned:.2f}-{outcome.ended:.2f} {outcome.kind.value}: {outcome.error!r}"
            for outcome in self.failures
            if outcome.kind.is_idempotent
        ]

    def succeeded(self, kind: Kind) -> list[Outcome]:
        return [o for o in self.outcomes if o.error is None and o.kind is kind]

    def share(self, start: float, end: float) -> float:
        """Successes among the requests planned from ``start`` to ``end``, sent or not; 0 to 1."""
        answered = [o for o in self.outcomes if o.error is None and start <= o.planned < end]
        return len(answered) / (self.workers * (end - start) / self.period)

    def p99(self, kind: Kind, start: float, end: float) -> float:
        """Seconds within which 99 of 100 such requests planned from ``start`` to ``end`` ended."""
        return percentile(
            [
                outcome.ended - outcome.planned
                for outcome in self.outcomes
                if outcome.kind is kind and start <= outcome.planned < end
            ],
            0.99,
        )

    def __str__(self) -> str:
        times = [outcome.ended - outcome.planned for outcome in self.outcomes]
        return (
            f"{len(self.outcomes)} of {self.planned} planned requests sent, "
            f"{len(self.failures)} failed, {len(self.idempotent_failures)} of them idempotent, "
            f"p99 {percentile(times, 0.99) * 1000:.0f} ms, longest {max(times) * 1000:.0f} ms"
        )


class Load:
    """Workers that each send one request a period; a worker that waits skips what it misses.

    :ivar tally: of the run under way, or the last one
    :param keyspace: that has :data:`TABLES`
    :param timeout: seconds for each request
    """

    def __init__(
        self,
        session: AsyncCassandraSession,
        statements: dict[Kind, PreparedStatement],
        *,
        workers: int = WORKERS,
        period: float = PERIOD,
        timeout: float = TIMEOUT,
    ) -> None:
        self._session = session
        self._statements = statements
        self._workers = workers
        self._period = period
        self._timeout = timeout
        self.tally = Tally(0, period, workers)
        # The tables are those of other loads, too: no row of theirs is written or counted here.
        self._first_row = next(_loads) * 1_000

    @classmethod
    async def prepare(cls, session: AsyncCassandraSession, keyspace: str, **settings: Any) -> Load:
        """Prepare the statements and write the rows to be read."""
        queries = {
            Kind.READ: f"SELECT value FROM {keyspace}.items WHERE id = ?",
            Kind.WRITE: f"INSERT INTO {keyspace}.items (id, value) VALUES (?, ?)",
            Kind.COUNT: f"UPDATE {keyspace}.counts SET n = n + 1 WHERE id = ?",
            Kind.APPEND: f"UPDATE {keyspace}.appended SET numbers = numbers + ? WHERE id = ?",
        }
        statements = {kind: await session.prepare(query) for kind, query in queries.items()}
        for kind, statement in statements.items():
            statement.consistency_level = ConsistencyLevel.QUORUM
            statement.is_idempotent = kind.is_idempotent
        load = cls(session, statements, **settings)
        for row in range(SEEDED_ROWS):
            await session.execute(statements[Kind.WRITE], (-1 - row, f"seeded {row}"))
        return load

    async def run(
        self,
        seconds: float,
        kinds: tuple[Kind, ...] = EVERY_KIND,
        disturb: Callable[[], Awaitable[object]] | None = None,
    ) -> Tally:
        """Send for so many seconds, or longer if ``disturb`` is not done by then."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        end = [started + seconds]
        tally = self.tally = Tally(0, self._period, self._workers)
        disturbing = asyncio.ensure_future(disturb()) if disturb is not None else None
        if disturbing is not None:
            end[0] = float("inf")

            def on_done(done: asyncio.Future[object]) -> None:
                end[0] = max(loop.time(), started + seconds)

            disturbing.add_done_callback(on_done)
        async with asyncio.TaskGroup() as group:
            for worker in range(self._workers):
                group.create_task(self._work(worker, kinds, started, end, tally))
        if disturbing is not None:
            await disturbing
        tally.planned = round(self._workers * (loop.time() - started) / self._period)
        return tally

    async def _work(
        self, worker: int, kinds: tuple[Kind, ...], started: float, end: list[float], tally: Tally
    ) -> None:
        loop = asyncio.get_running_loop()
        slot = 0
        offset = worker / self._workers * self._period
        while (planned := started + offset + slot * self._period) < end[0]:
            await asyncio.sleep(max(0.0, planned - loop.time()))
            kind = kinds[(slot + worker) % len(kinds)]
            error: Exception | None = None
            try:
                await self._send(kind, worker, slot)
            except Exception as failure:  # noqa: BLE001  every failure is counted
                error = failure
            ended = loop.time() - started
            tally.outcomes.append(Outcome(kind, worker, slot, planned - started, ended, error))
            slot = max(slot + 1, int((ended - offset) / self._period))

    async def _send(self, kind: Kind, worker: int, number: int) -> None:
        statement = self._statements[kind]
        match kind:
            case Kind.READ:
                row = number % SEEDED_ROWS
                result = await self._execute(statement, (-1 - row,))
                assert result.one().value == f"seeded {row}"
            case Kind.WRITE:
                key = self._item_key(worker, number)
                await self._execute(statement, (key, f"item {key}"))
            case Kind.COUNT:
                await self._execute(statement, (self._first_row + worker,))
            case Kind.APPEND:
                await self._execute(statement, ([number], self._first_row + worker))

    async def _execute(self, statement: PreparedStatement, values: tuple[Any, ...]) -> Any:
        return await self._session.execute(statement, values, timeout=self._timeout)

    async def check(self, tally: Tally, keyspace: str) -> str:
        """Compare what is stored with what was acknowledged; gives the figures.

        Every acknowledged write must be there, and nothing twice.
        """
        written = tally.succeeded(Kind.WRITE)
        for at in range(0, len(written), 256):
            keys = [self._item_key(o.worker, o.number) for o in written[at : at + 256]]
            rows = await asyncio.gather(
                *(self._execute(self._statements[Kind.READ], (key,)) for key in keys)
            )
            assert [row.one().value for row in rows] == [f"item {key}" for key in keys]
        counted = await self._check_counts(tally, keyspace)
        appended = await self._check_appended(tally, keyspace)
        unknown = [o for o in tally.failures if not o.kind.is_idempotent]
        unclear = [repr(o.error) for o in unknown if not o.may_be_applied and not o.was_not_applied]
        assert not unclear, unclear[:10]
        return (
            f"{len(written)} acknowledged writes there; {counted}; {appended}; "
            f"{len([o for o in unknown if o.may_be_applied])} may have been applied and say so"
        )

    async def _check_counts(self, tally: Tally, keyspace: str) -> str:
        stored = await self._stored(f"SELECT n FROM {keyspace}.counts WHERE id = ?")
        known = [0] * self._workers
        most = [0] * self._workers
        for outcome in tally.outcomes:
            if outcome.kind is Kind.COUNT:
                sure = outcome.error is None
                known[outcome.worker] += sure
                most[outcome.worker] += sure or not outcome.was_not_applied
        counts = [0 if row is None else row.n for row in stored]
        for worker, count in enumerate(counts):
            assert known[worker] <= count <= most[worker], f"counter of worker {worker}"
        return f"counters {sum(counts)} for {sum(known)} acknowledged increments"

    async def _check_appended(self, tally: Tally, keyspace: str) -> str:
        stored = await self._stored(f"SELECT numbers FROM {keyspace}.appended WHERE id = ?")
        lists = [[] if row is None else list(row.numbers) for row in stored]
        for worker, numbers in enumerate(lists):
            assert len(numbers) == len(set(numbers)), f"twice in the list of worker {worker}"
        appended = tally.succeeded(Kind.APPEND)
        missing = [o for o in appended if o.number not in lists[o.worker]]
        assert missing == []
        return f"{len(appended)} acknowledged appends each there once"

    async def _stored(self, query: str) -> list[Any]:
        """The row of each worker, ``None`` where there is none."""
        statement = await self._session.prepare(query)
        statement.consistency_level = ConsistencyLevel.QUORUM
        rows = range(self._first_row, self._first_row + self._workers)
        results = await asyncio.gather(*(self._execute(statement, (row,)) for row in rows))
        return [result.one() for result in results]

    def _item_key(self, worker: int, number: int) -> int:
        """The key of the row that a worker writes at its turn ``number``."""
        return (self._first_row + worker) * 1_000_000 + number


def percentile(values: list[float], share: float) -> float:
    """The smallest value that ``share`` of ``values`` do not exceed; 0 to 1."""
    return sorted(values)[math.ceil(len(values) * share) - 1]
